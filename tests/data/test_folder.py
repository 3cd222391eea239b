"""ImageFolder: one folder a class, in natural order."""

import numpy as np
import pytest

from minicnn.data import DataLoader, ImageFolder, split
from minicnn.data.transforms import Compose, Normalize, ToFloat
from tests.data.files import packed, write_files
from tests.helpers import raises

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)


def test_by_hand(tmp_path):
    write_files(
        tmp_path,
        {
            "10/a.png": np.full((2, 3), 100, np.uint8),
            "2/img10.png": np.full((2, 3), 30, np.uint8),
            "2/img9.png": np.full((2, 3), 20, np.uint8),
            "1/a.PNG": np.full((2, 3), 10, np.uint8),
            "1/notes.txt": b"no image",
            "1/.hidden.png": b"no image",
            ".git/a.png": b"no image",
            "readme.png": b"no image",
        },
    )
    dataset = ImageFolder(tmp_path)
    assert dataset.classes == ("1", "2", "10")
    assert dataset.images[:, 0, 0].tolist() == [10, 20, 30, 100]
    assert dataset.targets.tolist() == [0, 1, 1, 2]
    assert [path.name for path in dataset.paths] == ["a.PNG", "img9.png", "img10.png", "a.png"]
    assert repr(dataset) == "ImageFolder(4 images (2, 3) uint8, 3 classes)"
    image, target = dataset[3]
    assert (image.shape, image.dtype, target) == ((1, 2, 3), np.float32, 2)


def test_colour_is_found_out_or_chosen(tmp_path):
    write_files(tmp_path, {"a/1.png": GREY, "a/2.png": GREY})
    assert ImageFolder(tmp_path).images.shape == (2, 3, 4)
    assert ImageFolder(tmp_path, color=True).images.shape == (2, 3, 4, 3)
    write_files(tmp_path, {"b/1.png": COLOUR})
    dataset = ImageFolder(str(tmp_path))
    assert dataset.images.shape == (3, 3, 4, 3)
    np.testing.assert_array_equal(dataset.images[2], COLOUR)
    assert ImageFolder(tmp_path, color=False).images.shape == (3, 3, 4)


def test_it_works_with_the_rest(tmp_path):
    write_files(tmp_path, {f"{kind}/{i}.png": COLOUR + np.uint8(i) for kind in "ab" for i in range(6)})
    folder = ImageFolder(tmp_path)
    train, test = split(folder, [8, 4])
    loader = DataLoader(train, 3, True, transform=Compose([ToFloat(), Normalize.fit(train)]), rng=0)
    shapes = [(images.shape, targets.shape) for images, targets in loader]
    assert shapes == [((3, 3, 3, 4), (3,)), ((3, 3, 3, 4), (3,)), ((2, 3, 3, 4), (2,))]
    assert np.bincount(test.targets).tolist() == [2, 2]


def test_sizes(tmp_path):
    write_files(tmp_path, {"a/1.png": GREY, "a/2.png": GREY[:2]})
    with raises(
        ValueError,
        "ImageFolder: images must be of one size, 3x4 as the first. "
        f"Got 2x4 in {str(tmp_path / 'a' / '2.png')!r}. Pass size=(3, 4) to resize them.",
    ):
        ImageFolder(tmp_path)
    assert ImageFolder(tmp_path, size=(3, 4)).images.shape == (2, 3, 4)
    assert ImageFolder(tmp_path, size=5).images.shape == (2, 5, 5)


def test_own_transform(tmp_path):
    write_files(tmp_path, {"a/1.png": GREY})
    transform = ToFloat(np.float64)
    assert ImageFolder(tmp_path, transform=transform).transform is transform


@pytest.mark.parametrize("color", [None, True])
def test_a_broken_image_is_named(tmp_path, color):
    write_files(tmp_path, {"a/1.png": GREY, "b/2.png": packed(GREY)[:50]})
    path = tmp_path / "b" / "2.png"
    with pytest.raises(ValueError, match="must be a whole PNG or JPEG image") as caught:
        ImageFolder(tmp_path, color=color)
    assert str(caught.value).startswith(f"ImageFolder: {str(path)!r} must be")


def test_folders_that_do_not_fit(tmp_path):
    write_files(tmp_path, {"1.png": GREY})
    with raises(
        ValueError,
        "ImageFolder: there must be one folder for each class. "
        f"Got none in {str(tmp_path)!r}. Move the images into folders that are called like the classes.",
    ):
        ImageFolder(tmp_path)
    write_files(tmp_path, {"cat/1.png": GREY, "dog/1.gif": b"GIF89a"})
    with raises(
        ValueError,
        "ImageFolder: every class must have images (.png, .jpg, .jpeg). "
        f"Got none in {str(tmp_path / 'dog')!r}. Put images there, or remove the folder.",
    ):
        ImageFolder(tmp_path)
    path = tmp_path / "1.png"
    with raises(
        ValueError,
        f"ImageFolder: path must name a folder. Got {str(path)!r}, which is none. Pass the path of a folder.",
    ):
        ImageFolder(path)
    message = (
        "ImageFolder: color must be True, False or None. Got 'grey' (str). Pass False for grey, True for RGB."
    )
    with raises(TypeError, message):
        ImageFolder(tmp_path, color="grey")
    with raises(ValueError, "ImageFolder: size must be at least 1. Got 0. Pass a larger number."):
        ImageFolder(tmp_path, size=0)
