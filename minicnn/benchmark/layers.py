"""The other operations: pooling, activations, linear, softmax with cross-entropy, batch norm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minicnn import functional, nn
from minicnn.benchmark import judge
from minicnn.benchmark.race import Racer, race
from minicnn.benchmark.result import outcome
from minicnn.kernels import activations, averaging, im2col

PASSES = ("forward", "forward and backward")


@dataclass(frozen=True)
class Operation:
    """One layer, or the loss if `build` is None, and the shape of its input.

    Examples
    --------
    >>> operation = OPERATIONS[0]
    >>> operation.name, operation.input_shape
    ('max pooling 2x2', (64, 32, 28, 28))
    """

    name: str
    build: Callable[[], nn.Module] | None
    input_shape: tuple[int, ...]

    def functions(self, entrant, layer, arrays) -> dict[str, Callable]:
        """Return both passes of an entrant as functions without arguments."""
        if layer is None:
            return entrant.loss(arrays["input"], arrays["targets"])
        return entrant.layer(layer, arrays["input"], arrays["grad_output"])


OPERATIONS = (
    Operation("max pooling 2x2", lambda: nn.MaxPool2d(2), (64, 32, 28, 28)),
    Operation("max pooling 3x3, stride 2", lambda: nn.MaxPool2d(3, stride=2, padding=1), (64, 32, 27, 29)),
    Operation("ReLU", nn.ReLU, (64, 32, 28, 28)),
    Operation("linear 1568 -> 10", lambda: nn.Linear(1568, 10, rng=0), (64, 1568)),
    Operation("linear 4096 -> 128", lambda: nn.Linear(4096, 128, rng=0), (64, 4096)),
    Operation("softmax and cross-entropy", None, (64, 10)),
    Operation("softmax and cross-entropy", None, (256, 1000)),
    Operation("batch norm", lambda: nn.BatchNorm2d(32), (64, 32, 28, 28)),
    Operation("average pooling 2x2", lambda: nn.AvgPool2d(2), (64, 32, 28, 28)),
    Operation("SiLU", nn.SiLU, (64, 32, 28, 28)),
)


def draw(operation: Operation, layer, seed: int = 0) -> dict[str, np.ndarray]:
    """Return input, grad_output and targets, the same for the same seed.

    >>> draw(OPERATIONS[5], None)["targets"].shape
    (64,)
    """
    rng = np.random.default_rng(seed)
    input = rng.normal(size=operation.input_shape).astype(np.float32)
    shape = (1,) if layer is None else layer(input).shape
    grad_output = rng.normal(size=shape).astype(np.float32)
    targets = rng.integers(0, operation.input_shape[1], operation.input_shape[0])
    return {"input": input, "grad_output": grad_output, "targets": targets}


def expected(layer, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return what forward and backward must give: (output, [grad_input, parameter gradients ...]) in float64.

    >>> arrays = {"input": np.float32([[-1, 2]]), "grad_output": np.float32([[5, 7]])}
    >>> expected(nn.ReLU(), arrays)
    (array([[0., 2.]]), [array([[0., 7.]])])
    """
    x, g = arrays["input"].astype(np.float64), arrays["grad_output"].astype(np.float64)
    if layer is None:
        onehot = functional.one_hot(arrays["targets"], x.shape[1], dtype=np.float64)
        losses = -(onehot * functional.log_softmax(x, axis=1)).sum(axis=1)
        return losses.mean(), [(functional.softmax(x, axis=1) - onehot) / len(x)]
    if isinstance(layer, nn.MaxPool2d):
        sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
        output, indices = im2col.max_pool2d(x, *sizes)
        return output, [im2col.max_pool2d_backward(g, indices, x.shape)]
    if isinstance(layer, nn.AvgPool2d):
        windows = layer.windows_of(x)
        return averaging.average(x, *windows), [averaging.average_backward(g, *windows, x.shape)]
    if isinstance(layer, nn.SiLU):
        output, gate = activations.silu(x)
        return output, [activations.silu_backward(g, x, gate)]
    if isinstance(layer, nn.Linear):
        weight, bias = layer.weight.data.astype(np.float64), layer.bias.data
        return x @ weight.T + bias, [g @ weight, g.T @ x, g.sum(axis=0)]
    if isinstance(layer, nn.BatchNorm2d):
        axes, m = (0, 2, 3), x.size // x.shape[1]
        deviation = np.sqrt(x.var(axis=axes, keepdims=True) + layer.eps)
        normal = (x - x.mean(axis=axes, keepdims=True)) / deviation
        sums = g.sum(axis=axes, keepdims=True), (g * normal).sum(axis=axes, keepdims=True)
        return normal, [(g - (sums[0] + normal * sums[1]) / m) / deviation, sums[1].ravel(), sums[0].ravel()]
    return np.maximum(x, 0), [g * (x > 0)]


def judged(entrant, operation: Operation, layer, arrays) -> tuple[dict[str, Callable], str]:
    """Return an entrant's functions for an operation, and what is wrong with them, or "".

    >>> from minicnn.benchmark.entrants import Ours
    >>> operation = Operation("ReLU", nn.ReLU, (2, 3))
    >>> layer = operation.build()
    >>> judged(Ours(), operation, layer, draw(operation, layer))[1]
    ''
    """
    output, grads = expected(layer, arrays)
    try:
        functions = operation.functions(entrant, layer, arrays)
        off = judge.difference(functions["forward"](), output)
        found = functions["forward and backward"]()
    except Exception as error:  # whatever a library raises, its race is over and ours goes on
        return {}, " ".join(f"{type(error).__name__}: {error}".split())[:120]
    if off > judge.SUMS:
        return functions, f"output differs by {off:.0e}"
    if len(found) != len(grads):
        return functions, f"{len(found)} gradients instead of {len(grads)}"
    off = max(judge.difference(actual, right) for actual, right in zip(found, grads, strict=True))
    return functions, f"a gradient differs by {off:.0e}" if off > judge.SUMS else ""


def contest(entrants: list, operations, runs: int, patience: float, progress=None) -> Iterator[dict]:
    """Judge and race every operation; yield one row for each pass.

    >>> from minicnn.benchmark.entrants import Ours
    >>> rows = list(contest([Ours()], [Operation("ReLU", nn.ReLU, (2, 3))], runs=2, patience=1))
    >>> [(row["operation"], row["pass"]) for row in rows]
    [('ReLU', 'forward'), ('ReLU', 'forward and backward')]
    """
    for operation in operations:
        layer = None if operation.build is None else operation.build()
        arrays = draw(operation, layer)
        functions, struck_out = {}, {}
        for entrant in entrants:
            if hasattr(entrant, "layer"):
                functions[entrant.name], fault = judged(entrant, operation, layer, arrays)
                if fault:
                    struck_out[entrant.name] = fault
        for name in PASSES:
            racers = [Racer(who, found[name]) for who, found in functions.items() if who not in struck_out]
            times = race(racers, runs, patience=patience)
            shape = "x".join(map(str, operation.input_shape))
            row = {"operation": operation.name, "shape": shape, "pass": name}
            yield row | outcome(times, struck_out)
        if progress is not None:
            progress(operation.name)
