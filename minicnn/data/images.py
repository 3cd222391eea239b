"""read_image: a PNG or JPEG file as an array of bytes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from minicnn import checks
from minicnn.data.files import check_is_file

GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # and I;16, I;16B


class OnlyLowBits(ValueError):
    """The largest value of an image with 16 bits a pixel that uses the lower 8 only.

    >>> raise OnlyLowBits(200)
    Traceback (most recent call last):
    minicnn.data.images.OnlyLowBits: 200
    """


def read_image(path, *, color: bool | None = None, size=None) -> np.ndarray:
    """Return the pixels of a PNG or JPEG file.

    Parameters
    ----------
    path : str or path
    color : bool or None
        True gives red, green and blue, False grey (brightness 0.299 R + 0.587 G + 0.114 B), None what the
        file has.
    size : int or pair (height, width), optional
        What the image is resized to, bilinearly and without regard to its proportions.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 3), uint8

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    TypeError
        If `color` is something else, or `size` no integer.
    ValueError
        If the file is no whole PNG or JPEG image, or has more than 89 million pixels (Pillow's limit, which
        keeps a small file from filling the memory); or if it has 16 bits a pixel, grey, but no value above
        255, so that nothing but black would remain.

    Notes
    -----
    A photo is turned upright as its EXIF data say. What is transparent becomes white. Of 16 bits a pixel
    the upper 8 are kept: as the standard has it, 65535 is white.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = tempfile.TemporaryDirectory()
    >>> Image.fromarray(np.array([[0, 50], [100, 150]], np.uint8)).save(folder.name + "/a.png")
    >>> read_image(folder.name + "/a.png")
    array([[  0,  50],
           [100, 150]], dtype=uint8)
    >>> read_image(folder.name + "/a.png", color=True, size=(1, 1))
    array([[[75, 75, 75]]], dtype=uint8)
    >>> folder.cleanup()
    """
    check_color("read_image", color)
    size = None if size is None else checks.as_pair("read_image", "size", size, minimum=1)
    return with_image("read_image", path, lambda image: as_array(image, color, size))


def check_color(who: str, color) -> None:
    """Raise TypeError unless `color` is a bool or None: "grey" would count as True, and give colours.

    >>> check_color("read_image", "grey")
    Traceback (most recent call last):
    TypeError: read_image: color must be True, False or None. Got 'grey' (str). Pass False for grey, True for RGB.
    """
    if color is not None and not isinstance(color, bool | np.bool_):
        raise TypeError(
            f"{who}: color must be True, False or None. Got {color!r} ({type(color).__name__}). "
            "Pass False for grey, True for RGB."
        )


def is_grey(path) -> bool:
    """Return whether a PNG or JPEG file has no colours; only its header is read.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
    ...     Image.new("RGB", (1, 1)).save(file.name)
    ...     is_grey(file.name)
    False
    """
    return with_image("ImageFolder", path, has_grey_mode)


def has_grey_mode(image) -> bool:
    """Return whether a Pillow image has no colours.

    >>> from PIL import Image
    >>> has_grey_mode(Image.new("L", (1, 1)))
    True
    """
    return image.mode in GREY_MODES or image.mode.startswith("I;16")


def with_image(who: str, path, function):
    """Return ``function(image)`` for the Pillow image in a file; whatever is wrong with it names the file.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     with_image("read_image", file.name, as_array)               # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: read_image: '...' must be a whole PNG or JPEG image. Got 0 bytes that are none \
(UnidentifiedImageError). Replace or remove the file.
    """
    from PIL import Image

    check_is_file(who, path)
    with Path(path).open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # such as damaged EXIF data
        try:
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                return function(image)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(
                f"{who}: {str(path)!r} must have at most {Image.MAX_IMAGE_PIXELS} pixels. "
                "Got more, enough to fill the memory. Replace or remove the file."
            ) from None
        except OnlyLowBits as largest:
            raise ValueError(
                f"{who}: {str(path)!r} must have values above 255, as of its 16 bits a pixel the upper 8 are kept. "
                f"Got {largest} as the largest: all would be black. Save it with 8 bits a pixel, or multiply its "
                "values by 257."
            ) from None
        except Exception as error:  # Pillow's decoders raise a dozen kinds, and who made the file is unknown
            length = Path(path).stat().st_size
            raise ValueError(
                f"{who}: {str(path)!r} must be a whole PNG or JPEG image. Got {length} bytes that are none "
                f"({type(error).__name__}). Replace or remove the file."
            ) from error


def as_array(image, color: bool | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return the pixels of a Pillow image: upright, without transparency, in the wanted mode and size.

    >>> from PIL import Image
    >>> as_array(Image.new("RGBA", (2, 1), (255, 0, 0, 0)))             # transparent: white
    array([[[255, 255, 255],
            [255, 255, 255]]], dtype=uint8)
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    color = not has_grey_mode(image) if color is None else color
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.int64)  # (H, W)
        upper = np.clip(deep >> 8, 0, 255)
        if deep.any() and not upper.any():
            raise OnlyLowBits(deep.max())
        image = Image.fromarray(upper.astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB" if color else "L")
    if size is not None and size != (image.height, image.width):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.array(image)
