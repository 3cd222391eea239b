"""load: the well-known datasets, by name."""

from __future__ import annotations

from pathlib import Path

from minicnn.data import cifar, idx
from minicnn.data.dataset import ArrayDataset
from minicnn.data.sources import SOURCES
from minicnn.data.transforms import Compose, Normalize, ToFloat

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
# Class names, and mean and deviation of all training pixels to four digits: those of mnist-5k and mnist
# measured with Normalize.fit, those of fashion-mnist as published (for cifar10 see cifar.py).
IDX_FACTS = {
    "mnist-5k": (DIGITS, 0.1309, 0.3080),
    "mnist": (DIGITS, 0.1307, 0.3081),
    "fashion-mnist": (CLOTHES, 0.2860, 0.3530),
}
NAMES = ("mnist-5k", *SOURCES)


def load(name: str, root=None) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, test) of a well-known dataset, from this machine or, if it is not there, from the net.

    | name            | train  | test   | images        | classes                                     |
    |-----------------|--------|--------|---------------|---------------------------------------------|
    | `mnist-5k`      | 4,000  | 1,000  | (N, 28, 28)   | digits "0" to "9"; in the package           |
    | `mnist`         | 60,000 | 10,000 | (N, 28, 28)   | the same; 12 MB to download                 |
    | `fashion-mnist` | 60,000 | 10,000 | (N, 28, 28)   | "T-shirt/top", "Trouser", ...; 31 MB        |
    | `cifar10`       | 50,000 | 10,000 | (N, 32, 32, 3)| "airplane", "automobile", ...; 170 MB       |

    Parameters
    ----------
    name : str
    root : str or path, optional
        The folder where the dataset's own folder (`mnist`, `fashion-mnist`, `cifar-10-batches-bin`) is
        looked for and, if need be, made. By default the folder in the environment variable `MINICNN_DATA`
        and then a cache folder of the user, where downloads go.

    Returns
    -------
    tuple of two ArrayDataset
        Raw images, uint8, with class names and with the transform ``Compose([ToFloat(), Normalize(mean,
        std)])``, whose numbers are those of the training part.

    Raises
    ------
    ConnectionError
        If the dataset is not there and cannot be downloaded.
    ValueError
        If the name is unknown, or a file is damaged.

    Notes
    -----
    `mnist-5k` is made of the first 500 images of each digit in MNIST's training set. They stand in turn, 0
    to 9, in MNIST's order; the first 400 of each digit are the training part, the last 100 the test part.
    Writers follow each other in MNIST, so the parts hardly share any.

    What is downloaded is compared with a known md5 before it gets its name. A folder of your own may also
    hold the four files of MNIST or Fashion-MNIST directly; their md5s tell which of the two it is.

    Examples
    --------
    >>> train, test = load("mnist-5k")
    >>> train, len(test)
    (ArrayDataset(4000 images (28, 28) uint8, 10 classes), 1000)
    >>> train.targets[:12]
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    >>> image, target = train[0]
    >>> image.shape, image.dtype, train.classes[target]
    ((1, 28, 28), dtype('float32'), '0')
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(
            f"load: name must be one of {', '.join(NAMES)}. Got {name!r}. "
            "For a folder of images use data.ImageFolder(path)."
        )
    if name == "mnist-5k":
        folder = Path(__file__).parent / "mnist-5k"
    else:
        from minicnn.data import store  # here, because urllib is slow to import

        folder = store.find(name, root) or store.download(name, root)
    if name == "cifar10":
        return cifar.read(folder)
    classes, mean, std = IDX_FACTS[name]
    return idx.read_folder(folder, classes, Compose([ToFloat(), Normalize(mean, std)]))
