"""Exercises on rows of numbers: ReLU, linear layers, softmax and the gradient of the cross-entropy."""

from __future__ import annotations

import numpy as np

from minicnn import functional, nn
from minicnn.checks import cast
from minicnn.inspection.worksheets.planes import ON_GRADIENT, small, whole
from minicnn.inspection.worksheets.sheet import Worksheet

PARTS = 60  # probabilities are counted in 60ths, because 60 has many divisors
BATCH = 2


def draw_relu(layer: nn.ReLU, size: tuple[int, int], of: str, rng: np.random.Generator) -> Worksheet:
    """Return an exercise on max(x, 0)."""
    numbers = small(rng, size, -9, 9)
    layer = nn.ReLU()
    output = layer(cast(numbers))
    if of == "output":
        slips = {
            "sign dropped": np.abs(numbers),
            "negative numbers kept": numbers,
            "positive numbers cut off": np.minimum(numbers, 0),
        }
        return Worksheet("relu", of, "Compute max(x, 0).", {"x": numbers}, whole(output), slips)
    grad_output = small(rng, size, -9, 9)
    answer = layer.backward(cast(grad_output))
    slips = {
        "gradient sign": -answer,
        "input ignored: every gradient passes": grad_output,
        "sign of the gradient for that of the input": np.maximum(grad_output, 0),
        "negative inputs pass": np.where(numbers < 0, grad_output, 0),
    }
    task = f"ReLU: max(x, 0).\n{ON_GRADIENT} Compute that of x."
    return Worksheet("relu", of, task, {"x": numbers, "grad_output": grad_output}, whole(answer), slips)


def draw_linear(layer: nn.Linear, size: tuple[int, int], of: str, rng: np.random.Generator) -> Worksheet:
    """Return an exercise with the layer's numbers of inputs and outputs."""
    weight = small(rng, layer.weight.data.shape)
    bias = small(rng, len(weight)) if layer.bias is not None else np.zeros(len(weight), int)
    rows = small(rng, (1 if of == "output" else BATCH, weight.shape[1]))
    exact = nn.Linear(weight.shape[1], len(weight), dtype=np.float64, rng=0)
    exact.weight.data[...], exact.bias.data[...] = weight, bias
    output = exact(cast(rows))
    square = weight.shape[0] == weight.shape[1]
    how = "Linear layer: each row of the weight belongs to one output."
    if of == "output":
        given = {"input": rows, "weight": weight}
        slips = {"mean for sum": (output - bias) / weight.shape[1] + bias}
        if layer.bias is not None:
            given["bias"] = bias
            slips["bias forgotten"] = output - bias
        if square:
            slips["weight transposed"] = rows @ weight + bias
        task = f"{how}\nSum input times weight{' and add the bias' if layer.bias is not None else ''}."
        return Worksheet("linear", of, task, given, whole(output), slips)
    grad_output = small(rng, output.shape)
    grad_input = exact.backward(cast(grad_output))
    answers = {"grad_input": grad_input, "weight.grad": exact.weight.grad, "bias.grad": exact.bias.grad}
    answer, slips = answers[of], {"gradient sign": -answers[of]}
    task = f"{how} There are {BATCH} images, one a row.\n{ON_GRADIENT} Compute "
    if of == "grad_input":
        given = {"weight": weight, "grad_output": grad_output}
        slips["mean for sum"] = answer / len(weight)
        if square:
            slips["weight transposed"] = grad_output @ weight.T
        return Worksheet("linear", of, f"{task}that of the input.", given, whole(answer), slips)
    slips["mean for sum"] = answer / BATCH
    first = {"weight.grad": np.outer(grad_output[0], rows[0]), "bias.grad": grad_output[0]}
    slips["only the first image"] = first[of]
    given = {"grad_output": grad_output} if of == "bias.grad" else {"input": rows, "grad_output": grad_output}
    return Worksheet("linear", of, f"{task}that of the {of.split('.')[0]}.", given, whole(answer), slips)


def exponentials(rng: np.random.Generator, classes: int) -> np.ndarray:
    """Return rows of whole numbers whose sums divide 60: the exponentials of the logits.

    >>> 60 % exponentials(np.random.default_rng(0), 3).sum(axis=1)
    array([0, 0])
    """
    totals = [total for total in range(classes + 2, PARTS + 1) if PARTS % total == 0]
    rows = []
    for _ in range(BATCH):
        total = rng.choice(totals[:5])
        cuts = np.sort(rng.choice(np.arange(1, total), classes - 1, replace=False))
        rows.append(np.diff(cuts, prepend=0, append=total))
    return np.array(rows)


def in_parts(powers: np.ndarray, axis: int) -> np.ndarray:
    """Return softmax over an axis in 60ths, from the exponentials.

    >>> in_parts(np.array([[1, 2, 3]]), axis=1)
    array([[10., 20., 30.]])
    """
    return PARTS * powers / powers.sum(axis=axis, keepdims=True)


def draw_softmax(layer: nn.Softmax, size: tuple[int, int], of: str, rng: np.random.Generator) -> Worksheet:
    """Return an exercise on probabilities, counted in 60ths; logits are logarithms of whole numbers."""
    powers = exponentials(rng, size[1])
    answer = whole(PARTS * functional.softmax(np.log(cast(powers)), axis=1))
    slips = {
        "softmax over the wrong axis": in_parts(powers, axis=0),
        "sum forgotten": cast(powers),
        "only the largest counts": np.where(answer == answer.max(axis=1, keepdims=True), PARTS, 0),
        "sum over all rows": PARTS * powers / powers.sum(),
        f"not counted in {PARTS}ths": answer / PARTS,
    }
    task = (
        "Each row holds the logits of one image; exp(ln a) = a.\n"
        f"Compute the softmax of each row, counted in {PARTS}ths: 1/2 is {PARTS // 2}."
    )
    return Worksheet("softmax", of, task, {"logits": powers}, answer, slips, logarithms=("logits",))


def draw_cross_entropy(
    criterion: nn.CrossEntropyLoss, size: tuple[int, int], of: str, rng: np.random.Generator
) -> Worksheet:
    """Return an exercise on the gradient of the logits: what the model believes, minus the truth."""
    powers, targets = exponentials(rng, size[1]), rng.integers(size[1], size=BATCH)
    mean = criterion.reduction == "mean"
    unit = PARTS * (BATCH if mean else 1)
    exact = nn.CrossEntropyLoss(reduction="mean" if mean else "sum")
    exact(np.log(cast(powers)), targets)
    answer = whole(unit * exact.backward())
    truth = PARTS * np.eye(size[1])[targets]
    slips = {
        "gradient sign": -answer,
        "softmax over the wrong axis": in_parts(powers, axis=0) - truth,
        "truth forgotten": answer + truth,
        "sum for mean" if mean else "mean for sum": answer * BATCH if mean else answer / BATCH,
        f"not counted in {unit}ths": answer / unit,
    }
    task = (
        f"Cross-entropy, {'mean' if mean else 'sum'} over {BATCH} images; exp(ln a) = a.\n"
        f"Compute the gradient of the loss with respect to the logits, counted in {unit}ths."
    )
    given = {"logits": powers, "targets": targets}
    return Worksheet("cross_entropy", of, task, given, answer, slips, logarithms=("logits",))
