"""Padding: what stands around the image when a window reaches over its edge.

zeros        0 0 | a b c d | 0 0
reflect      c b | a b c d | c b        the edge itself is not repeated
replicate    a a | a b c d | d d
circular     c d | a b c d | a b        the opposite edge
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@lru_cache(maxsize=256)
def split_padding(padding, mode: str, kernel_size: tuple, dilation: tuple) -> tuple[tuple | None, tuple]:
    """Return what `pad2d` has to add (None for nothing), and what the kernels take as zero padding.

    >>> split_padding("same", "zeros", (3, 5), (1, 1))
    (None, (1, 2))
    >>> split_padding("same", "zeros", (2, 1), (1, 1))          # one row below, none above
    (((0, 1), (0, 0)), (0, 0))
    """
    if isinstance(padding, str):
        reach = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        reach = reach if padding == "same" else [0, 0]
        pads = tuple((r // 2, r - r // 2) for r in reach)
    else:
        pads = tuple((p, p) for p in padding)
    symmetric = all(before == after for before, after in pads)
    if symmetric and mode == "zeros":
        return None, (pads[0][0], pads[1][0])
    return pads, (0, 0)


def pad2d(input: np.ndarray, pads: tuple, mode: str) -> np.ndarray:
    """Return the images with `pads` cells around them.

    Parameters
    ----------
    input : ndarray of shape (N, C, H, W)
    pads : pair of pairs of int
        ((top, bottom), (left, right)).
    mode : "zeros", "reflect", "replicate" or "circular"

    Returns
    -------
    ndarray of shape (N, C, top + H + bottom, left + W + right), dtype of the input

    Examples
    --------
    >>> pad2d(np.array([[[[1, 2, 3]]]]), ((0, 0), (1, 2)), "reflect")
    array([[[[2, 1, 2, 3, 2, 1]]]])
    """
    return np.pad(input, ((0, 0), (0, 0), *pads), NUMPY_MODES[mode])


def pad2d_backward(grad_output: np.ndarray, pads: tuple, mode: str) -> np.ndarray:
    """Return the gradient of the unpadded images: every padded cell gives its own back to its source.

    >>> grad = np.array([[[[10, 1, 2, 3, 20, 30]]]])        # the sources of the padding are 2, 2 and 1
    >>> pad2d_backward(grad, ((0, 0), (1, 2)), "reflect")   # 1 + 30, 2 + 10 + 20, 3
    array([[[[31, 32,  3]]]])
    """
    for axis, (before, after) in zip((2, 3), pads, strict=True):
        along = np.moveaxis(grad_output, axis, 0)  # (size, ...)
        size = len(along) - before - after
        grad = along[before : before + size].copy()
        if mode != "zeros":
            sources = np.pad(np.arange(size), (before, after), NUMPY_MODES[mode])
            for place in (*range(before), *range(before + size, before + size + after)):
                grad[sources[place]] += along[place]
        grad_output = np.moveaxis(grad, 0, axis)
    return grad_output


def check_pads(who: str, pads: tuple, mode: str, size: tuple[int, int]) -> None:
    """Raise ValueError if an image of `size` is too small to take its padding from itself.

    >>> check_pads("Conv2d", ((2, 2), (0, 0)), "reflect", (2, 5))
    Traceback (most recent call last):
    ValueError: Conv2d: reflect padding must be smaller than the image. Got padding 2 for height 2. \
Use less padding or padding_mode="replicate".
    """
    for name, (before, after), cells in zip(("height", "width"), pads, size, strict=True):
        most = max(before, after)
        if mode == "reflect" and most >= cells and most:
            rule = "reflect padding must be smaller than the image"
        elif mode == "circular" and most > cells:
            rule = "circular padding must not be larger than the image"
        elif mode == "replicate" and most and not cells:
            raise ValueError(
                f"{who}: replicate padding needs a pixel to repeat. Got padding {most} for {name} 0. "
                "Pass images with pixels."
            )
        else:
            continue
        raise ValueError(
            f"{who}: {rule}. Got padding {most} for {name} {cells}. "
            'Use less padding or padding_mode="replicate".'
        )
