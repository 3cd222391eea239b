"""ImageFolder: one folder a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minicnn import checks
from minicnn.data import images as image_files
from minicnn.data.dataset import ArrayDataset
from minicnn.data.files import check_is_folder
from minicnn.data.natural import natural_key
from minicnn.data.transforms import ToFloat

SUFFIXES = (".png", ".jpg", ".jpeg")


class MixedSizes(ValueError):
    """The images of a folder are not of one size.

    Attributes
    ----------
    first, size : str
        Of the first image, and of the one that differs, such as "28x28".
    path : Path
        The file of that one.

    Examples
    --------
    >>> MixedSizes("ImageFolder: images must be of one size.", "3x4", "2x4", Path("a.png")).first
    '3x4'
    """

    def __init__(self, message: str, first: str = "", size: str = "", path: Path | None = None) -> None:
        super().__init__(message)
        self.first, self.size, self.path = first, size, path


class ImageFolder(ArrayDataset):
    """A dataset from PNG and JPEG files in one folder a class.

        pets/cat/1.png, pets/cat/2.jpg, ..., pets/dog/1.png, ...      classes ("cat", "dog")

    Classes and the files in them stand in natural order, "2" before "10". Hidden files and files with other
    suffixes are left out. All images are read at once, with a progress bar if that takes long.

    Parameters
    ----------
    path : str or path
    size : int or pair (height, width), optional
        What every image is resized to; without it, all must have the size of the first.
    color : bool or None
        True reads all images as RGB, False all as grey, None as grey if all of them are.
    transform : callable, optional
        By default `ToFloat()`. For more, measure: ``Compose([ToFloat(), Normalize.fit(folder)])``.
    progress : bool
        False shows no bar.

    Attributes
    ----------
    paths : tuple of Path
        The file of each image.
    images, targets, classes, transform
        As in `ArrayDataset`: images are uint8 (N, H, W) or (N, H, W, 3).

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If there are no classes, a class has no images, a file is damaged, or images differ in size.

    Notes
    -----
    Memory: N·H·W bytes, three times that in colour. See `read_image` for what becomes of photos that lie on
    their side, of transparency and of 16 bits a pixel.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ("10", "2"):
    ...     Path(folder.name, name).mkdir()
    ...     Image.new("L", (4, 3), int(name)).save(Path(folder.name, name, "a.png"))
    >>> dataset = ImageFolder(folder.name)
    >>> dataset, dataset.classes, dataset.images[:, 0, 0]
    (ImageFolder(2 images (3, 4) uint8, 2 classes), ('2', '10'), array([ 2, 10], dtype=uint8))
    >>> folder.cleanup()
    """

    def __init__(self, path, *, size=None, color=None, transform=None, progress: bool = True) -> None:
        from tqdm import tqdm

        image_files.check_color("ImageFolder", color)
        size = None if size is None else checks.as_pair("ImageFolder", "size", size, minimum=1)
        classes, paths, targets = find_images(path)
        if color is None:
            color = not all(image_files.is_grey(file) for file in paths)
        stacked = None
        hidden = None if progress else True  # None: on a terminal only; delay: after a second only
        bar = tqdm(paths, desc="images", unit="image", leave=False, delay=1, disable=hidden)
        for place, file in enumerate(bar):
            array = image_files.with_image(
                "ImageFolder", file, lambda image: image_files.as_array(image, color, size)
            )
            if stacked is None:
                stacked = np.empty((len(paths), *array.shape), np.uint8)  # (N, H, W) or (N, H, W, 3)
            if array.shape != stacked.shape[1:]:
                (H, W), (first_H, first_W) = array.shape[:2], stacked.shape[1:3]
                raise MixedSizes(
                    f"ImageFolder: images must be of one size, {first_H}x{first_W} as the first. "
                    f"Got {H}x{W} in {str(file)!r}. Pass size=({first_H}, {first_W}) to resize them.",
                    f"{first_H}x{first_W}",
                    f"{H}x{W}",
                    file,
                )
            stacked[place] = array
        super().__init__(stacked, targets, classes, ToFloat() if transform is None else transform)
        self.paths = tuple(paths)


def find_images(path) -> tuple[list[str], list[Path], np.ndarray]:
    """Return the classes, the files of all images and the class index of each, in natural order.

    >>> find_images("no/such/folder")
    Traceback (most recent call last):
    ValueError: ImageFolder: path must name a folder. Got 'no/such/folder', which is none. Pass the path of \
a folder.
    """
    check_is_folder("ImageFolder", path)
    folders = [entry for entry in _visible(path) if entry.is_dir()]
    if not folders:
        raise ValueError(
            "ImageFolder: there must be one folder for each class. "
            f"Got none in {str(path)!r}. Move the images into folders that are called like the classes."
        )
    paths, targets = [], []
    for target, folder in enumerate(folders):
        files = [entry for entry in _visible(folder) if entry.suffix.lower() in SUFFIXES and entry.is_file()]
        if not files:
            raise ValueError(
                "ImageFolder: every class must have images (.png, .jpg, .jpeg). "
                f"Got none in {str(folder)!r}. Put images there, or remove the folder."
            )
        paths += files
        targets += [target] * len(files)
    return [folder.name for folder in folders], paths, np.array(targets)


def _visible(path) -> list[Path]:
    entries = [entry for entry in Path(path).iterdir() if not entry.name.startswith(".")]
    return sorted(entries, key=lambda entry: natural_key(entry.name))
