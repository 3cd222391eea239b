"""How large an output is, and which input pixels a window covers.

Along one axis, output cell ``o`` with tap ``k`` reads input cell ``o·stride + k·dilation - padding``.

    input            . 0 1 2 3 4 .      padding 1
    window, o = 0   [k k k]
    window, o = 1       [k k k]          stride 2
    window, o = 2           [k k k]
"""

from __future__ import annotations

from functools import lru_cache


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return ``⌊(size + 2·padding - dilation·(kernel - 1) - 1) / stride⌋ + 1``.

    >>> conv_output_size(5, kernel=3, stride=2, padding=1, dilation=1)
    3
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@lru_cache(maxsize=256)
def conv_output_sizes(size, kernel_size, stride, padding, dilation) -> tuple[int, int]:
    """Return height and width of a convolution's output; all arguments are pairs.

    >>> conv_output_sizes((5, 4), (3, 3), (2, 1), (1, 1), (1, 1))
    (3, 4)
    """
    rows, columns = map(conv_output_size, size, kernel_size, stride, padding, dilation)
    return rows, columns


def pool_output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """Return the same for pooling; `ceil_mode` keeps a last window that is cut off at the edge.

    A window that would begin in the padding behind the input is dropped, as in torch
    (``aten/src/ATen/native/Pool.h``, pooling_output_shape).

    >>> [pool_output_size(5, 2, 2, 0, 1, ceil_mode) for ceil_mode in (False, True)]
    [2, 3]
    """
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def inside(
    size: int, tap: int, stride: int, padding: int, dilation: int, output_size: int
) -> tuple[slice, slice]:
    """Return which outputs find `tap` inside the input, and the cells where they find it.

    >>> inside(5, tap=0, stride=2, padding=1, dilation=1, output_size=3)    # outputs 1, 2 read cells 1, 3
    (slice(1, 3, None), slice(1, 4, 2))
    """
    offset = tap * dilation - padding  # output o reads cell o·stride + offset
    first = max(0, -(offset // stride))
    last = max(first, min(output_size, (size - 1 - offset) // stride + 1))
    start = first * stride + offset
    return slice(first, last), slice(start, max(start, (last - 1) * stride + offset + 1), stride)
