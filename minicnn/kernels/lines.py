"""Where the vectors of a walk's cells lie, and how many images share their tiles: the fewest tiles win."""

from __future__ import annotations

import numpy as np

from minicnn.kernels.narrow import LONG
from minicnn.kernels.plans import reach
from minicnn.kernels.tiles import VECTORS

WORTH_SHARING = 1.03  # times the fewest tiles for an image: more, and another image is laid out with them


def vectors_of(layout, images: int, rows: int, columns: int, lanes: int) -> tuple[int, int]:
    """Return how many vectors the sums of so many images take: all rows end to end, and row by row.

    >>> from minicnn.kernels.plans import forward_plan
    >>> layout = forward_plan((16, 16), 1, (3, 3), (1, 1), (1, 1), (1, 1)).layout
    >>> vectors_of(layout, 3, 16, 16, 8)                        # between two rows lies one more cell
    (107, 96)
    """
    return -(-reach(layout, images, rows, columns) // lanes), images * rows * -(-columns // lanes)


def lines_of(
    layout, images: int, rows: int, columns: int, lanes: int, tile=VECTORS
) -> tuple[np.ndarray, int, int]:
    """Return where each vector of cells is read, and how far apart the sums of two rows, and of two images, are.

    Whole tiles are read, of all rows end to end; or row by row, if that takes fewer: then nothing between two rows
    is computed.

    >>> from minicnn.kernels.plans import forward_plan
    >>> layout = forward_plan((3, 8), 1, (3, 3), (1, 1), (1, 1), (1, 1)).layout
    >>> lines_of(layout, 1, rows=3, columns=8, lanes=8)         # from row to row there are 9 cells
    (array([ 0,  9, 18]), 8, 24)
    >>> lines_of(layout, 1, rows=3, columns=5, lanes=4)         # 23 cells, or 6 vectors: no fewer tiles
    (array([ 0,  4,  8, 12, 16, 20]), 9, 36)
    """
    _, _, width, _, _, drop = layout
    end_to_end, by_rows = vectors_of(layout, images, rows, columns, lanes)
    places, across, beyond = np.arange(end_to_end) * lanes, width, drop
    if -(-by_rows // tile) < -(-end_to_end // tile):
        across = -(-columns // lanes) * lanes
        image, row, x = np.ogrid[:images, :rows, :across:lanes]
        places, beyond = (image * drop + row * width + x).ravel(), rows * across
    return np.pad(places, (0, -len(places) % tile), mode="edge"), across, beyond


def sharing_tiles(made, images: int, narrow: bool, lanes: int) -> int:
    """Return how many images should be laid out together: two or three if they fill their tiles better than one.

    >>> from minicnn.kernels.plans import forward_plan
    >>> made = forward_plan((7, 7), 1, (3, 3), (1, 1), (1, 1), (1, 1))
    >>> sharing_tiles(made, 64, False, 8)                       # 55 cells take 3 tiles, 183 of three images 8
    3
    """
    tiles = {}
    for count in (1, 2, 3) if images > 1 else (1,):
        found = [vectors_of(made.layout, count, *cells, lanes) for cells in made.walks[:, 1:3].tolist()]
        most = max(end_to_end if narrow else min(end_to_end, by_rows) for end_to_end, by_rows in found)
        tiles[count] = -(-most // (LONG if narrow else VECTORS)) / count  # for an image
    return next(count for count in tiles if tiles[count] <= WORTH_SHARING * min(tiles.values()))


def in_pairs(walks, width: int) -> bool:
    """Return whether of each two walks one makes columns 0, 2, 4 ... of the same rows, and the other 1, 3, 5 ...

    >>> from minicnn.kernels.plans import backward_plan
    >>> made = [backward_plan((6, 6), 1, (3, 3), stride, (1, 1), (1, 1), apart=9) for stride in [(1, 1), (2, 2)]]
    >>> [in_pairs(each.walks, width=6) for each in made]
    [False, True]
    """
    if len(walks) % 2:
        return False
    pairs = walks.reshape(-1, 2, 5)
    same_rows = (pairs[:, 0, [1, 3]] == pairs[:, 1, [1, 3]]).all()
    return bool(same_rows and (pairs[..., 4].sum(1) == 1).all() and (pairs[..., 2].sum(1) == width).all())
