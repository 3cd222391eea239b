"""What in an image speaks for a class: by the gradient, and by covering parts of the image."""

from __future__ import annotations

import sys

import numpy as np
from tqdm import tqdm

from minicnn import checks, nn
from minicnn.inspection.record import unchanged
from minicnn.nn.tree import check_module


def saliency(model: nn.Module, images: np.ndarray, index: int | None = None) -> np.ndarray:
    """Return gradient × input for one logit: ``∂z[index]/∂x · x``, a number for each pixel.

    For a model that is linear, the sum over the pixels is the logit without the bias. The model is run in
    evaluation mode and left as it was, to the bit.

    Parameters
    ----------
    model : Module
        Gives logits (N, classes).
    images : ndarray of shape (N, C, H, W)
        As the model takes them, in its dtype.
    index : int, optional
        The class; by default each image's largest logit.

    Returns
    -------
    ndarray of shape (N, C, H, W), in the images' dtype

    Raises
    ------
    TypeError
        If `model` is no module, or `images` are no float array.
    ValueError
        If the model's output is not (N, classes), or there is no such class.

    Notes
    -----
    Shrikumar et al., "Not just a black box", 2016.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, rng=0))
    >>> model[1].weight.data[...] = [[2, 3], [0, 1]]
    >>> saliency(model, np.float32([[[[10, 100]]]]), index=0).tolist()             # 2·10, 3·100
    [[[[20.0, 300.0]]]]
    """
    check_images("saliency", model, images)
    with nn.enable_grad(), unchanged(model):
        logits = model.eval()(images)
        chosen = chosen_classes("saliency", logits, index)
        grad_logits = np.zeros_like(logits)
        grad_logits[np.arange(len(logits)), chosen] = 1
        return model.backward(grad_logits) * images


def occlusion(
    model: nn.Module,
    image: np.ndarray,
    index: int | None = None,
    *,
    size: int = 5,
    stride: int = 2,
    value: float | None = None,
    batch_size: int = 256,
    progress: bool = True,
) -> np.ndarray:
    """Return how far a logit falls when the surroundings of a pixel are covered.

    A square patch moves over the image; for each place the model gives a logit, and the fall is the logit
    of the whole image minus this one. A pixel's number is the mean fall over all patches that cover it:
    positive where the image speaks for the class.

    Parameters
    ----------
    model : Module
        Gives logits (N, classes); run in evaluation mode and left as it was.
    image : ndarray of shape (C, H, W) or (1, C, H, W)
        As the model takes it, in its dtype.
    index : int, optional
        The class; by default that of the largest logit.
    size, stride : int
        Rows and columns of the patch, and how far it moves.
    value : float, optional
        What covers; by default each channel's median: the background of a digit, a middle colour of a
        photo.
    batch_size : int
        How many covered images go through the model at once.
    progress : bool
        Whether a terminal shows a bar if it takes more than a second.

    Returns
    -------
    ndarray of shape (H, W), float64

    Raises
    ------
    TypeError
        If `model` is no module, or `image` is no float array.
    ValueError
        If `image` is not one image, the patch does not fit, or there is no such class.

    Notes
    -----
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2013.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False, rng=0))
    >>> model[1].weight.data[...] = [[2, 3, 0], [0, 0, 0]]
    >>> occlusion(model, np.float32([[[10, 100, 5]]]), 0, size=1, stride=1, value=0).tolist()
    [[20.0, 300.0, 0.0]]
    """
    who = "occlusion"
    image = as_single_image(who, model, image)  # (1, C, H, W)
    height, width = image.shape[2:]
    size = checks.as_int(who, "size", size, minimum=1)
    stride = checks.as_int(who, "stride", stride, minimum=1)
    batch_size = checks.as_int(who, "batch_size", batch_size, minimum=1)
    if size > min(height, width) or stride > size:
        raise ValueError(
            f"{who}: patches must fit into the image and leave no gaps. Got size {size} and stride {stride} "
            f"for {height}x{width} pixels. Choose stride <= size <= {min(height, width)}."
        )
    cover = np.median(image, axis=(2, 3), keepdims=True) if value is None else value
    rows, columns = places(height, size, stride), places(width, size, stride)
    corners = [(row, column) for row in rows for column in columns]
    falls, covering = np.zeros((height, width)), np.zeros((height, width))
    on_terminal = progress and sys.stderr is not None and sys.stderr.isatty()
    bar = tqdm(total=len(corners), desc=who, unit="patch", leave=False, delay=1.0, disable=not on_terminal)
    with nn.no_grad(), unchanged(model), bar:
        model.eval()
        whole = model(image)
        chosen = chosen_classes(who, whole, index)[0]
        for start in range(0, len(corners), batch_size):
            part = corners[start : start + batch_size]
            covered = np.repeat(image, len(part), axis=0)  # (patches, C, H, W)
            for number, (row, column) in enumerate(part):
                covered[number : number + 1, :, row : row + size, column : column + size] = cover
            logits = checks.cast(model(covered)[:, chosen])
            for (row, column), logit in zip(part, logits, strict=True):
                falls[row : row + size, column : column + size] += float(whole[0, chosen]) - logit
                covering[row : row + size, column : column + size] += 1
            bar.update(len(part))
    return falls / covering


def places(length: int, size: int, stride: int) -> list[int]:
    """Return where patches begin along one axis; the last one ends at the edge.

    >>> places(8, size=3, stride=2)
    [0, 2, 4, 5]
    """
    return [*range(0, length - size, stride), length - size]


def check_images(who: str, model, images) -> None:
    """Raise unless `model` is a module and `images` a float array (N, C, H, W) with at least one image.

    >>> check_images("saliency", nn.ReLU(), np.zeros((28, 28)))
    Traceback (most recent call last):
    ValueError: saliency: images must be (N, C, H, W), at least one. Got shape (28, 28). Add the missing axes.
    """
    check_module(who, "model", model)
    checks.as_float_array(who, "images", images)
    if images.ndim != 4 or not images.size:
        raise ValueError(
            f"{who}: images must be (N, C, H, W), at least one. Got shape {images.shape}. "
            "Add the missing axes."
        )


def as_single_image(who: str, model, image) -> np.ndarray:
    """Return one image as (1, C, H, W), once it is seen that it is one.

    >>> as_single_image("occlusion", nn.ReLU(), np.zeros((1, 2, 3))).shape
    (1, 1, 2, 3)
    >>> as_single_image("occlusion", nn.ReLU(), np.zeros((4, 1, 2, 3)))
    Traceback (most recent call last):
    ValueError: occlusion: image must be a single one, (C, H, W). Got shape (4, 1, 2, 3). Pass images[0].
    """
    check_module(who, "model", model)
    checks.as_float_array(who, "image", image)
    images = image[None] if image.ndim == 3 else image
    if images.ndim != 4 or len(images) != 1 or not images.size:
        raise ValueError(
            f"{who}: image must be a single one, (C, H, W). Got shape {image.shape}. Pass images[0]."
        )
    return images


def chosen_classes(who: str, logits: np.ndarray, index: int | None) -> np.ndarray:
    """Return the class for each row: `index`, or the largest logit's.

    >>> chosen_classes("saliency", np.array([[1.0, 2.0]]), None)
    array([1])
    >>> chosen_classes("saliency", np.array([[1.0, 2.0]]), 2)
    Traceback (most recent call last):
    ValueError: saliency: index must be a class from 0 to 1. Got 2. Choose one of the 2.
    """
    if logits.ndim != 2:
        raise ValueError(
            f"{who}: the model must give logits (N, classes). Got shape {logits.shape}. "
            "Pass a model that classifies."
        )
    if index is None:
        return logits.argmax(axis=1)  # (N,)
    index, count = checks.as_int(who, "index", index), logits.shape[1]
    if not 0 <= index < count:
        raise ValueError(
            f"{who}: index must be a class from 0 to {count - 1}. Got {index}. Choose one of the {count}."
        )
    return np.full(len(logits), index)
