"""Conv2d: which pixel met which weight.

Output cell (y, x) with tap (k, l) reads padded cell (y·stride + k·dilation, x·stride + l·dilation), and
`sources` tells which input row or column stands at each padded one; that holds for every padding mode.
"""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum, times
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import NOWHERE, Explanation, as_terms

PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def as_pair(value) -> tuple[int, int]:
    """Return an int or pair as (height, width).

    >>> as_pair(2), as_pair((1, 2))
    ((2, 2), (1, 2))
    """
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


class Windows:
    """The geometry of one convolution step along both axes.

    Attributes
    ----------
    sources : list of two int arrays
        For each padded row (column): the input row (column) that stands there.
    inside : list of two bool arrays
        Whether that is a pixel, not zero padding.
    starts, taps : list of two int arrays
        Padded place of each output cell's first tap; offset of each tap.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection.record import Step
    >>> layer = nn.Conv2d(1, 1, 3, padding=1)
    >>> windows = Windows(Step("0", "Conv2d", layer, np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2)),
    ...                        parameters={"weight": layer.weight.data}))
    >>> windows.sources[0].tolist(), windows.inside[0].tolist()
    ([-1, 0, 1, 2], [False, True, True, False])
    """

    def __init__(self, step) -> None:
        layer, kernel = step.module, step.parameters["weight"].shape[2:]
        strides, dilations = as_pair(layer.stride), as_pair(layer.dilation)
        self.sources, self.inside, self.starts, self.taps = [], [], [], []
        for axis in range(2):
            size, cells = step.input.shape[axis - 2], step.output.shape[axis - 2]
            reach = dilations[axis] * (kernel[axis] - 1)
            before, after = reach // 2, reach - reach // 2  # "same": the extra cell goes behind
            if not isinstance(layer.padding, str):
                before = after = as_pair(layer.padding)[axis]
            elif layer.padding == "valid":
                before = after = 0
            places = np.arange(size)
            if layer.padding_mode == "zeros":
                places = np.arange(-before, size + after)
            else:
                places = np.pad(places, (before, after), mode=PAD_MODES[layer.padding_mode])
            self.sources.append(places)
            self.inside.append((places >= 0) & (places < size))
            self.starts.append(np.arange(cells) * strides[axis])
            self.taps.append(np.arange(kernel[axis]) * dilations[axis])

    def meetings(self, axis: int, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Return every (output cell, tap) that reads input row (column) `place`."""
        read = self.sources[axis][self.starts[axis][:, None] + self.taps[axis]]  # (cells, taps)
        return np.nonzero(read == place)


def batched(array: np.ndarray) -> np.ndarray:
    """Return (N, C, H, W) for an array with or without the batch axis.

    >>> batched(np.zeros((3, 4, 4))).shape
    (1, 3, 4, 4)
    """
    return array if array.ndim == 4 else array[None]


def output(step, index: tuple) -> Explanation:
    """output[n, o, y, x] = Σ input · weight over the window of (y, x), + bias[o]"""
    n, o, y, x = (0, *index)[-4:]
    weight, windows = step.parameters["weight"], Windows(step)
    channels = weight.shape[1]
    first = o // (len(weight) // step.module.groups) * channels
    rows, columns = windows.starts[0][y] + windows.taps[0], windows.starts[1][x] + windows.taps[1]
    c, k, m = np.indices(weight.shape[1:])
    row, column = windows.sources[0][rows][k], windows.sources[1][columns][m]
    inside = windows.inside[0][rows][k] & windows.inside[1][columns][m]
    image = batched(step.input)[n, first : first + channels]
    values = np.where(inside, cast(image[c, np.where(inside, row, 0), np.where(inside, column, 0)]), 0)
    weights = cast(weight[o])
    places = {"channel": c + first, "row": row, "column": column}
    product = np.where(inside, values * weights, 0)  # padding adds nothing, whatever the weight is
    note = np.where(inside, "", "padding")
    rule = "Σ input·weight"
    operands = [values, weights, product, note, *places.values()]
    if "bias" in step.parameters:  # a last term: 1 · bias
        bias = float(step.parameters["bias"][o])
        last = [1.0, bias, bias, "bias", NOWHERE, NOWHERE, NOWHERE]
        operands = [np.append(array, value) for array, value in zip(operands, last, strict=True)]
        rule += " + bias"
    values, weights, product, note, *where = (np.ravel(array) for array in operands)
    terms = as_terms(dict(zip(places, where, strict=True)), product, note, input=values, weight=weights)
    return explain_sum(
        step,
        "output",
        index,
        rule,
        terms,
        expression=times("input", "weight", terms),
        window=weight.shape[1:],
    )


def grad_input(step, index: tuple) -> Explanation:
    """grad_input[n, c, i, j] = Σ grad_output · weight over all windows that (i, j) is in"""
    n, c, i, j = (0, *index)[-4:]
    weight, windows = step.parameters["weight"], Windows(step)
    filters = len(weight) // step.module.groups
    first = c // weight.shape[1] * filters
    ys, ks = windows.meetings(0, i)
    xs, ls = windows.meetings(1, j)
    o, v, h = np.indices((filters, len(ys), len(xs)))
    o = o + first
    grads = cast(batched(step.grad_output)[n, o, ys[v], xs[h]])
    weights = cast(weight[o, c % weight.shape[1], ks[v], ls[h]])
    places = {"filter": o, "row": ys[v], "column": xs[h]}
    terms = as_terms(
        {name: place.ravel() for name, place in places.items()},
        (grads * weights).ravel(),
        grad_output=grads.ravel(),
        weight=weights.ravel(),
    )
    rule = "Σ grad_output·weight over the windows that this pixel is in"
    return explain_sum(step, "grad_input", index, rule, terms, expression="(grad_output * weight).sum()")


def grad_weight(step, index: tuple) -> Explanation:
    """weight.grad[o, c, k, l] = Σ grad_output · the pixel that this weight met, over images and positions"""
    o, c, k, m = index
    weight, windows = step.parameters["weight"], Windows(step)
    channel = o // (len(weight) // step.module.groups) * weight.shape[1] + c
    rows, columns = windows.starts[0] + windows.taps[0][k], windows.starts[1] + windows.taps[1][m]
    grads = cast(batched(step.grad_output)[:, o])  # (N, H_out, W_out)
    inside = windows.inside[0][rows][:, None] & windows.inside[1][columns]  # (H_out, W_out)
    row, column = windows.sources[0][rows][:, None], windows.sources[1][columns]
    pixels = batched(step.input)[:, channel][:, np.where(inside, row, 0), np.where(inside, column, 0)]
    n, y, x = np.nonzero(np.broadcast_to(inside, grads.shape))
    values, kept = cast(pixels[n, y, x]), grads[n, y, x]
    terms = as_terms({"image": n, "row": y, "column": x}, kept * values, grad_output=kept, input=values)
    rule = "Σ grad_output·input over images and positions (padding left out)"
    return explain_sum(step, "weight.grad", index, rule, terms, expression="(grad_output * input).sum()")


def grad_bias(step, index: tuple) -> Explanation:
    """bias.grad[o] = Σ_{n,y,x} grad_output[n, o, y, x]"""
    grads = cast(batched(step.grad_output)[:, index[0]])
    n, y, x = (place.ravel() for place in np.indices(grads.shape))
    terms = as_terms({"image": n, "row": y, "column": x}, grads.ravel())
    return explain_sum(step, "bias.grad", index, "Σ grad_output over images and positions", terms)


register(
    "Conv2d",
    output=output,
    grad_input=grad_input,
    grads={"weight": grad_weight, "bias": grad_bias},
    macs=lambda step: step.output.size * step.parameters["weight"][0].size,
)
