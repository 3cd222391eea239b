"""worksheet: draw an exercise whose slips can be told apart by what they give."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from minicnn import checks, nn
from minicnn.inspection.worksheets.planes import draw_conv2d, draw_pool
from minicnn.inspection.worksheets.rows import draw_cross_entropy, draw_linear, draw_relu, draw_softmax
from minicnn.inspection.worksheets.sheet import Worksheet

WHO = "worksheet"
TRIES = 500
CHOICE = 13  # the first draws, of which the clearest is taken
KINDS = {  # name: class, what draws it, what may be asked
    "conv2d": (nn.Conv2d, draw_conv2d, ("output", "grad_input", "weight.grad", "bias.grad")),
    "max_pool2d": (nn.MaxPool2d, draw_pool, ("output", "grad_input")),
    "avg_pool2d": (nn.AvgPool2d, draw_pool, ("output", "grad_input")),
    "relu": (nn.ReLU, draw_relu, ("output", "grad_input")),
    "linear": (nn.Linear, draw_linear, ("output", "grad_input", "weight.grad", "bias.grad")),
    "softmax": (nn.Softmax, draw_softmax, ("output",)),
    "cross_entropy": (nn.CrossEntropyLoss, draw_cross_entropy, ("grad_input",)),
}


def usual_layer(name: str, size: tuple[int, int]):
    """Return the layer that a name stands for.

    >>> usual_layer("conv2d", (4, 4))
    Conv2d(1, 1, kernel_size=(2, 2), stride=(2, 2), padding=(1, 1))
    """
    arguments = {
        "conv2d": (1, 1, 2, 2, 1),
        "max_pool2d": (2,),
        "avg_pool2d": (2,),
        "linear": (size[1], 2),
        "softmax": (1,),
    }
    return KINDS[name][0](*arguments.get(name, ()))


def name_of(layer) -> str:
    """Return the name of a layer that worksheets exist for.

    >>> name_of(nn.MaxPool2d(3))
    'max_pool2d'
    """
    names = ", ".join(KINDS)
    if isinstance(layer, str):
        if layer in KINDS:
            return layer
        raise ValueError(f"{WHO}: layer must be one of {names}. Got {layer!r}. Choose one of these.")
    for name, (kind, _, _) in KINDS.items():
        if type(layer) is kind:
            return name
    raise TypeError(
        f"{WHO}: layer must be a name or a layer of such a kind: {names}. Got {type(layer).__name__}. "
        "Pass for example 'conv2d' or nn.Conv2d(1, 1, 2)."
    )


def check_layer(name: str, layer, of: str) -> None:
    """Raise ValueError if the layer has what a worksheet cannot show.

    >>> check_layer("conv2d", nn.Conv2d(1, 1, 2), "output")
    """
    plain = True
    if name == "conv2d":
        one = layer.weight.data.shape[:2] == (1, 1)
        plain = one and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
        plain = plain and not isinstance(layer.padding, str)
    elif name in ("max_pool2d", "avg_pool2d"):
        plain = not layer.ceil_mode and getattr(layer, "dilation", (1, 1)) == (1, 1)
        plain = plain and getattr(layer, "divisor_override", None) is None
        plain = plain and getattr(layer, "count_include_pad", True)
        plain = plain and not getattr(layer, "return_indices", False)
    elif name == "softmax":
        plain = layer.dim in (1, -1)
    elif name == "cross_entropy":
        plain = layer.weight is None and layer.label_smoothing == 0 and layer.reduction != "none"
        plain = plain and layer.ignore_index < 0  # a class that is ignored has no gradient
    if not plain:
        raise ValueError(
            f"{WHO}: the layer must be a plain one, with one channel where it has channels. Got {layer}. "
            "Leave out dilation, groups, weights and other extras."
        )
    known = [array for array in KINDS[name][2] if array != "bias.grad" or layer.bias is not None]
    if of not in known:
        raise ValueError(
            f"{WHO}: of must be one of {', '.join(known)} for {name}. Got {of!r}. Choose one of these."
        )


def can_be_told_apart(sheet: Worksheet) -> bool:
    """Say whether the answer and all slips differ from each other in at least one blank.

    >>> sheet = Worksheet("relu", "output", "", {}, np.array([1, 2]), {"one": np.array([1, 3])})
    >>> can_be_told_apart(sheet)
    True
    >>> can_be_told_apart(dataclasses.replace(sheet, blanks=np.array([True, False])))
    False
    """
    outcomes = [on_blanks(sheet, array) for array in (sheet.answer, *sheet.slips.values())]
    return not any(alike(one, other) for one, other in itertools.combinations(outcomes, 2))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Say whether two outcomes give the same numbers wherever both have one.

    >>> alike(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    True
    """
    both = np.isfinite(one) & np.isfinite(other)
    return np.allclose(one[both], other[both], rtol=0, atol=1e-9)


def possible_slips(sheets: list[Worksheet]) -> set[str]:
    """Return the slips that change the answer of one of the sheets; one weight alone cannot be flipped.

    >>> slips = {"one": np.array([1]), "two": np.array([3])}
    >>> possible_slips([Worksheet("relu", "output", "", {}, np.array([1]), slips)])
    {'two'}
    """
    found = set()
    for sheet in sheets:
        full = dataclasses.replace(sheet, blanks=None)
        answer = on_blanks(full, sheet.answer)
        found |= {name for name, slip in sheet.slips.items() if not alike(on_blanks(full, slip), answer)}
    return found


def with_slips(sheet: Worksheet, names: set[str]) -> Worksheet:
    """Return the sheet with the slips of these names alone.

    >>> with_slips(Worksheet("relu", "output", "", {}, np.zeros(1, int), {"one": np.ones(1)}), set()).slips
    {}
    """
    return dataclasses.replace(
        sheet, slips={name: slip for name, slip in sheet.slips.items() if name in names}
    )


def clear_blanks(sheet: Worksheet) -> int:
    """Return how many slips give numbers of their own, counted over all blanks.

    >>> slips = {"one": np.array([1, 3]), "two": np.array([5, 3])}
    >>> clear_blanks(Worksheet("relu", "output", "", {}, np.array([1, 2]), slips))        # 5 alone
    1
    """
    outcomes = [on_blanks(sheet, array) for array in (sheet.answer, *sheet.slips.values())]
    clear = 0
    for column in np.round(outcomes, 9).T:
        values, counts = np.unique(column, return_counts=True)
        clear += int((counts[np.isfinite(values)] == 1).sum()) - int((column == column[0]).sum() == 1)
    return clear


def on_blanks(sheet: Worksheet, array: np.ndarray) -> np.ndarray:
    """Return what an outcome has at the blanks, in reading order; NaN where its shape has no such place.

    >>> sheet = Worksheet("relu", "output", "", {}, np.zeros((2, 2), int))
    >>> on_blanks(sheet, np.array([[7.0]]))
    array([ 7., nan, nan, nan])
    """
    placed = np.full(sheet.answer.shape, np.nan)
    common = tuple(slice(min(a, b)) for a, b in zip(sheet.answer.shape, array.shape, strict=True))
    placed[common] = array[common]
    return placed[sheet.blanks]


def worksheet(layer, size=4, rng=None, *, of: str | None = None, blanks: int | None = None) -> Worksheet:
    """Draw a small exercise with whole numbers and blanks.

    It is drawn again until every slip (a flipped kernel, a forgotten bias, ...) gives another answer, so that
    `grade` can name the slip behind a wrong one. Slips that such a layer does not allow are left out: a kernel
    of one weight is the same when flipped.

    Parameters
    ----------
    layer : str or layer
        "conv2d" (kernel 2x2, stride 2, padding 1), "max_pool2d", "avg_pool2d" (windows 2x2), "relu",
        "linear" (two outputs), "softmax" or "cross_entropy"; or a layer whose kernel size, stride, padding,
        bias and features are taken over, such as ``nn.Conv2d(1, 1, 3, bias=False)``. Its weights are not:
        they are drawn.
    size : int or pair (height, width)
        Of the image; its width is the number of inputs of "linear" and the number of classes of "softmax" and
        "cross_entropy".
    rng : numpy.random.Generator, int or None
    of : str or None
        What is asked: "output", "grad_input", "weight.grad" or "bias.grad". None stands for the output, and
        for "grad_input" of "cross_entropy".
    blanks : int or None
        How many numbers of the answer are left blank, at random places; None leaves all.

    Returns
    -------
    Worksheet

    Raises
    ------
    TypeError, ValueError
        If there is no worksheet for such a layer, or the size is too small to tell the slips apart.

    Examples
    --------
    >>> sheet = worksheet(nn.Conv2d(1, 1, 2, stride=2), 4, rng=0)
    >>> print(sheet)
    conv2d: output
      Convolution with stride 2x2 and padding 0x0 (zeros).
      Lay the kernel on as it stands, sum the products and add the bias.
    <BLANKLINE>
      image
         2   1   1  -2
         3  -1  -2   4
        -2  -3   2   1
        -4  -4  -1   3
      kernel
        -1   3
        -2  -3
      bias
        3
      output
        __  __
        __  __
    >>> sheet.answer[0, 0]                          # 2·(-1) + 1·3 + 3·(-2) + (-1)·(-3) + 3
    np.int64(1)
    """
    name = name_of(layer)
    height, width = checks.as_pair(WHO, "size", size, minimum=1)
    if name in ("softmax", "cross_entropy"):
        if not 2 <= width <= 10:
            raise ValueError(f"{WHO}: {name} needs 2 to 10 classes. Got {width}. Pass another size.")
        height = 2
    layer = usual_layer(name, (height, width)) if isinstance(layer, str) else layer
    of = KINDS[name][2][0] if of is None else of
    check_layer(name, layer, of)
    if blanks is not None:
        blanks = checks.as_int(WHO, "blanks", blanks, minimum=1)
    rng = checks.as_rng(WHO, rng)

    def drawn() -> Worksheet:
        sheet = KINDS[name][1](layer, (height, width), of, rng)
        if blanks is None or blanks >= sheet.answer.size:
            return sheet
        places = np.zeros(sheet.answer.size, bool)
        places[rng.choice(sheet.answer.size, blanks, replace=False)] = True
        return dataclasses.replace(sheet, blanks=places.reshape(sheet.answer.shape))

    sheets = [drawn() for _ in range(CHOICE)]
    possible = possible_slips(sheets)
    sheets = [with_slips(sheet, possible) for sheet in sheets]
    for _ in range(TRIES - CHOICE + 1):
        found = [sheet for sheet in sheets if can_be_told_apart(sheet)]
        if found:
            return max(found, key=clear_blanks)
        sheets = [with_slips(drawn(), possible)]
    raise ValueError(
        f"{WHO}: the blanks must tell the slips apart. Got {name} of size {height}x{width}, where they do not "
        f"in {TRIES} draws. Pass a larger size, or more blanks."
    )
