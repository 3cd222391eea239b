"""Images and targets: where they come from, and how they reach the model in batches.

load, ImageFolder, cifar.read, idx.read -> ArrayDataset -> split -> DataLoader -> (images, targets)
                                                                        ^ transforms, samplers
"""

from minicnn.data import cifar, idx, transforms
from minicnn.data.dataset import ArrayDataset
from minicnn.data.folder import ImageFolder
from minicnn.data.images import read_image
from minicnn.data.loader import DataLoader
from minicnn.data.named import NAMES, load
from minicnn.data.samplers import WeightedRandomSampler
from minicnn.data.splitting import split

__all__ = [
    "NAMES",
    "ArrayDataset",
    "DataLoader",
    "ImageFolder",
    "WeightedRandomSampler",
    "cifar",
    "idx",
    "load",
    "read_image",
    "split",
    "transforms",
]
