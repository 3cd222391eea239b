"""Planes laid out so that a tap of all windows at once is one long row, read from another place.

The rows of a padded plane lie end to end. Tap (k, m) of window (0, 0) stands at some offset; the same tap
of every other window follows in the order of the output, with a few cells between two rows of it:

    padded plane, 3x3 windows      a b c d | e f g h | i j k l | m n o p     width 4
    tap (0, 0) from offset 0       a b . . | e f
    tap (0, 1) from offset 1         b c . . | f g
    tap (1, 0) from offset 4                 e f . . | i j
    output                         0 1 . . | 2 3                             length 6

So a convolution is a sum of shifted rows, and a pooling their maximum; what lands in the dots is thrown
away. With a stride s, the cells that one tap reads stand s apart. Then there is a plane for each remainder
of row and column (a phase), in which they stand side by side again, and all else stays as it is.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.geometry import inside


def layout(kernel_size, output_size, stride, dilation):
    """Return the phases (remainders of rows, of columns), the size of a plane, and the offset of every tap.

    >>> phases, size, offsets = layout((3, 3), (2, 2), stride=(1, 1), dilation=(1, 1))
    >>> phases, size, offsets.tolist()                          # the picture above
    ([[0], [0]], [4, 4], [0, 1, 2, 4, 5, 6, 8, 9, 10])
    >>> layout((1, 3), (1, 2), stride=(1, 2), dilation=(1, 1))  # a b c d e: a c e and b d
    ([[0], [0, 1]], [1, 3], array([0, 3, 1]))
    """
    phases, size, places = [], [], []
    for taps, cells, step, gap in zip(kernel_size, output_size, stride, dilation, strict=True):
        found = [divmod(tap * gap, step) for tap in range(taps)]  # (cell, remainder)
        phases.append(sorted({remainder for _, remainder in found}))
        size.append(cells + found[-1][0])
        places.append([(phases[-1].index(remainder), cell) for cell, remainder in found])
    offsets = [
        ((a * len(phases[1]) + b) * size[0] + row) * size[1] + column
        for a, row in places[0]
        for b, column in places[1]
    ]
    return phases, size, np.array(offsets)


def pairs(input_size, phases, size, stride, padding):
    """Yield for each phase its cells in the planes and in the input, as two indexes into the last axes.

    >>> for planes_index, input_index in pairs((1, 5), [[0], [0, 1]], [1, 3], (1, 2), (0, 0)):
    ...     print(planes_index[-1], input_index[-1])
    slice(0, 3, None) slice(0, 5, 2)
    slice(0, 2, None) slice(1, 4, 2)
    """
    for a, first_row in enumerate(phases[0]):
        ys, rows = inside(input_size[0], first_row, stride[0], padding[0], 1, size[0])
        for b, first_column in enumerate(phases[1]):
            xs, columns = inside(input_size[1], first_column, stride[1], padding[1], 1, size[1])
            yield (..., a, b, ys, xs), (..., rows, columns)


def spread(input, phases, size, stride, padding, fill=0):
    """Return the input as planes (N, C, phases of rows, phases of columns, height, width), padded by `fill`.

    >>> spread(np.array([[[[1, 2, 3, 4, 5]]]]), [[0], [0, 1]], [1, 3], (1, 2), (0, 0)).ravel()
    array([1, 3, 5, 2, 4, 0])
    """
    planes = np.full((*input.shape[:2], len(phases[0]), len(phases[1]), *size), fill, input.dtype)
    for planes_index, input_index in pairs(input.shape[2:], phases, size, stride, padding):
        planes[planes_index] = input[input_index]
    return planes


def fold(planes, input_size, phases, size, stride, padding):
    """Return the planes as (N, C, H, W) again, without the padding; the reverse of `spread`.

    >>> planes = np.array([1, 3, 5, 2, 4, 0]).reshape(1, 1, 1, 2, 1, 3)
    >>> fold(planes, (1, 5), [[0], [0, 1]], [1, 3], (1, 2), (0, 0)).ravel()
    array([1, 2, 3, 4, 5])
    """
    input = np.zeros((*planes.shape[:2], *input_size), planes.dtype)
    for planes_index, input_index in pairs(input_size, phases, size, stride, padding):
        input[input_index] = planes[planes_index]
    return input


def widen(grad_output, width):
    """Return the gradient's rows end to end, zeros behind each to fill `width`; and how many cells count.

    >>> widen(np.array([[[[1, 2], [3, 4]]]]), 4)                # (N, C_out, H_out · width)
    (array([[[1, 2, 0, 0, 3, 4, 0, 0]]]), 6)
    """
    batch, filters, rows, columns = grad_output.shape
    wide = np.zeros((batch, filters, rows, width), grad_output.dtype)
    wide[..., :columns] = grad_output
    return wide.reshape(batch, filters, rows * width), (rows - 1) * width + columns


def by_group(planes, groups):
    """Return (N, C, ...) as (N, groups, all cells of the group's channels end to end).

    >>> by_group(np.arange(8).reshape(1, 4, 2), 2)
    array([[[0, 1, 2, 3],
            [4, 5, 6, 7]]])
    """
    return planes.reshape(len(planes), groups, math.prod(planes.shape[1:]) // groups)


def ready(array: np.ndarray) -> np.ndarray:
    """Return the array as kernels take it: C-contiguous, aligned and writeable, copied only if it is not.

    One layout means one compiled version of every kernel.

    >>> ready(np.arange(4.0)[::-1]).flags.c_contiguous
    True
    """
    if type(array) is np.ndarray and array.flags.carray:  # the usual case, without the questions
        return array
    return np.require(array, requirements=("C", "A", "W", "E"))
