"""read_image: what Pillow reads becomes arrays; what it cannot read is named."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minicnn.data import ImageFolder, read_image
from minicnn.data.natural import natural_key
from tests.data.files import memory_below, packed, write_files
from tests.helpers import raises

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width: int, height: int) -> bytes:
    """Return a short PNG whose header promises this many grey pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**5), 9)) + chunk(b"IEND", b"")
    )


# Natural order


def test_natural_order():
    names = ["10", "2", "1", "b", "A", "a", "x10y2", "x10y1", "x9", "01", ""]
    assert sorted(names, key=natural_key) == ["", "01", "1", "2", "10", "A", "a", "b", "x9", "x10y1", "x10y2"]


# One image


def test_pixels_are_those_of_the_file(tmp_path):
    write_files(tmp_path, {"grey.png": GREY, "colour.png": COLOUR})
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), GREY)
    np.testing.assert_array_equal(read_image(str(tmp_path / "colour.png")), COLOUR)
    assert read_image(tmp_path / "grey.png").flags.writeable


def test_grey_and_colour(tmp_path):
    write_files(tmp_path, {"grey.png": GREY, "colour.png": np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)})
    np.testing.assert_array_equal(
        read_image(tmp_path / "grey.png", color=True), np.stack([GREY] * 3, axis=-1)
    )
    # 0.299·255 = 76.2, 0.587·255 = 149.7
    assert read_image(tmp_path / "colour.png", color=False).tolist() == [[76, 150]]


def test_jpeg(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (24, 1))
    Image.fromarray(smooth).save(tmp_path / "a.JPG", "JPEG", quality=95)
    read = read_image(tmp_path / "a.JPG")
    assert read.shape == (24, 32)
    assert np.abs(read.astype(int) - smooth).max() < 6


def test_resized(tmp_path):
    halves = np.repeat(np.array([[10, 250]], np.uint8), 20, axis=1)  # (1, 40), dark left, bright right
    write_files(tmp_path, {"a.png": np.repeat(halves, 30, axis=0)})
    read = read_image(tmp_path / "a.png", size=(3, 4))
    assert read.shape == (3, 4)
    np.testing.assert_array_equal(read[:, [0, 3]], [[10, 250]] * 3)
    assert (np.diff(read.astype(int), axis=1) > 0).any(axis=1).all()
    assert read_image(tmp_path / "a.png", size=7, color=True).shape == (7, 7, 3)
    assert read_image(tmp_path / "a.png", size=(30, 40)).shape == (30, 40)


def test_a_photo_on_its_side(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(GREY, -1))


def test_transparent_is_white(tmp_path):
    pixels = np.array([[[0, 0, 0, 0], [0, 0, 0, 255]]], np.uint8)  # black ink on nothing
    write_files(tmp_path, {"a.png": pixels, "b.png": pixels[..., [0, 3]]})
    assert read_image(tmp_path / "a.png", color=False).tolist() == [[255, 0]]
    assert read_image(tmp_path / "a.png").tolist() == [[[255] * 3, [0] * 3]]
    assert read_image(tmp_path / "b.png").tolist() == [[255, 0]]  # grey with alpha stays grey


def test_16_bits_and_1_bit(tmp_path):
    write_files(tmp_path, {"deep.png": np.array([[0, 255, 256, 65535]], np.uint16)})
    assert read_image(tmp_path / "deep.png").tolist() == [[0, 0, 1, 255]]
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "flat.png")
    assert read_image(tmp_path / "flat.png").tolist() == [[255, 0]]


@pytest.mark.parametrize("read", [read_image, lambda path: ImageFolder(path.parent.parent)])
def test_16_bits_whose_upper_8_are_not_used(read, tmp_path):
    """8 bits that were saved as 16: black everywhere, though a viewer that stretches them shows a picture."""
    path, who = tmp_path / "cat" / "a.png", "read_image" if read is read_image else "ImageFolder"
    write_files(tmp_path, {"cat/a.png": np.array([[0, 7], [0, 200]], np.uint16)})
    message = (
        f"{who}: {str(path)!r} must have values above 255, as of its 16 bits a pixel the upper 8 are kept. "
        "Got 200 as the largest: all would be black. Save it with 8 bits a pixel, or multiply its values by 257."
    )
    with raises(ValueError, message):
        read(path)
    write_files(tmp_path, {"cat/a.png": np.array([[0, 7], [0, 200]], np.uint16) * 257})
    read(path)
    assert read_image(path).tolist() == [[0, 7], [0, 200]]


def test_16_bits_may_be_black(tmp_path):
    write_files(tmp_path, {"a.png": np.zeros((2, 3), np.uint16)})
    assert read_image(tmp_path / "a.png").tolist() == [[0, 0, 0]] * 2


def test_palette(tmp_path):
    Image.fromarray(COLOUR).quantize(16).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (3, 4, 3)


# Broken images


def broken(path, error: str) -> str:
    length = Path(path).stat().st_size
    return (
        f"read_image: {str(path)!r} must be a whole PNG or JPEG image. Got {length} bytes that are none "
        f"({error}). Replace or remove the file."
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a" + bytes(50),
        packed(COLOUR)[:20],
        packed(COLOUR)[:60],
        packed(COLOUR)[:-30],
        packed(COLOUR).replace(b"IDAT", b"IDAX"),
        b"\xff\xd8\xff" + bytes(50),
        packed(NOISE, "JPEG")[:-400],
    ],
    ids=[
        "empty",
        "GIF",
        "cut in the header",
        "cut in the data",
        "cut at the end",
        "no data",
        "JPEG of zeros",
        "JPEG cut off",
    ],
)
def test_broken(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must be a whole PNG or JPEG image") as caught:
        read_image(path)
    cause = type(caught.value.__cause__).__name__  # which of its errors Pillow takes is its own affair
    assert str(caught.value) == broken(path, cause)


def test_other_formats_are_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png", "BMP")
    with raises(ValueError, broken(tmp_path / "a.png", "UnidentifiedImageError")):
        read_image(tmp_path / "a.png")


def test_missing_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "a.png")
    with raises(
        ValueError,
        f"read_image: path must name a file. Got {str(tmp_path)!r}, which is none. Pass the path of a file.",
    ):
        read_image(tmp_path)
    message = (
        "read_image: color must be True, False or None. Got 'grey' (str). Pass False for grey, True for RGB."
    )
    with raises(TypeError, message):
        read_image(tmp_path, color="grey")
    with raises(ValueError, "read_image: size must be at least 1. Got 0. Pass a larger number."):
        read_image(tmp_path, size=0)


@pytest.mark.parametrize("side", [10000, 60000])  # Pillow warns of the one and refuses the other
def test_decompression_bomb(tmp_path, side):
    path = tmp_path / "a.png"
    path.write_bytes(png_bomb(side, side))
    with (
        memory_below(2 * 10**6),
        raises(
            ValueError,
            f"read_image: {str(path)!r} must have at most {Image.MAX_IMAGE_PIXELS} pixels. "
            "Got more, enough to fill the memory. Replace or remove the file.",
        ),
    ):
        read_image(path)


WHOLE = packed(COLOUR)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_gives_an_image_or_an_error(tmp_path_factory, data):
    damaged = bytearray(WHOLE)
    for place in data.draw(st.lists(st.integers(0, len(WHOLE) - 1), min_size=1, max_size=3)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "a.png"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(WHOLE)))])
    try:
        array = read_image(path)
    except ValueError as error:
        if not str(error).startswith(f"read_image: {str(path)!r} must"):
            raise
    else:
        assert array.dtype == np.uint8
