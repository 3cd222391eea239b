"""Slips in the values of weights: turned, transposed, in another order, rounded, missing, or stale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn import nn
from minicnn.checks import cast
from minicnn.inspection.record import own_parameters
from minicnn.interop.torch.comparison.align import NORMS
from minicnn.interop.torch.comparison.candidates import Candidate, Sides


def flipped_kernel(sides: Sides) -> Iterator[Candidate]:
    """True convolution turns the kernel by half a turn; what nets call convolution does not."""
    weights = {ours.name: ours.parameters["weight"] for ours, _ in sides.layers("Conv2d")}
    yield from sides.each_and_all(
        "flipped kernel",
        [{(name, "weight"): w[:, :, ::-1, ::-1]} for name, w in weights.items() if max(w.shape[2:]) > 1],
    )


def transposed_linear(sides: Sides) -> Iterator[Candidate]:
    """A weight kept as (inputs, outputs) that is read as (outputs, inputs), or the other way round."""
    weights = {ours.name: ours.parameters["weight"] for ours, _ in sides.layers("Linear")}
    for turn in (lambda w: w.reshape(w.shape[::-1]).T, lambda w: w.T.reshape(w.shape)):
        yield from sides.each_and_all(
            "Linear transposed", [{(name, "weight"): turn(w)} for name, w in weights.items()]
        )


def flattened_nhwc(sides: Sides) -> Iterator[Candidate]:
    """Columns in the order row, column, channel where they should be channel, row, column."""
    for ours, _ in sides.layers("Linear"):
        if ours.origin is None or min(ours.origin[0], ours.origin[1] * ours.origin[2]) == 1:
            continue
        places = np.arange(int(np.prod(ours.origin))).reshape(ours.origin)  # (C, H, W)
        order = places.transpose(1, 2, 0).ravel()  # for each column of NHWC: that of NCHW
        for columns in (order, np.argsort(order)):
            change = {(ours.name, "weight"): ours.parameters["weight"][:, columns]}
            yield sides.changed("NHWC flattened instead of NCHW", ours.name, change)


def other_bias(sides: Sides) -> Iterator[Candidate]:
    """A bias that is missing on one side, or added twice."""
    slip, missing, without, twice, half = "bias missing or added twice", [], [], [], []
    for ours, theirs in sides.layers("Conv2d", "Linear", *NORMS):
        held, wanted = ours.parameters.get("bias"), theirs.parameters.get("bias")
        key = (ours.name, "bias")
        if held is None and wanted is not None:
            missing.append({key: nn.Parameter(cast(wanted))})
        if held is None:
            continue
        if wanted is not None and not held.any() and wanted.any():
            missing.append({key: cast(wanted)})
        without.append({key: np.zeros_like(held)})
        twice.append({key: 2 * held})
        half.append({key: held / 2})
    for changes in (missing, without, twice, half):
        yield from sides.each_and_all(slip, changes)


def taken_over(sides: Sides) -> dict:
    """Return the changes that give our layers torch's values: parameters, and batch norm's statistics."""
    changes, modules = {}, dict(sides.model.named_modules())
    for ours, theirs in sides.layers(*{pair[0].kind for pair in sides.pairs}):
        for key, value in values_of(modules.get(ours.name)).items():
            other = values_of(theirs.module).get(key)
            if other is not None and other.shape == value.shape and not np.array_equal(other, value):
                changes[ours.name, key] = cast(other)
    return changes


def values_of(layer) -> dict[str, np.ndarray]:
    """Return a layer's own parameters and float buffers; nothing for a loss.

    >>> sorted(values_of(nn.BatchNorm2d(1)))
    ['bias', 'running_mean', 'running_var', 'weight']
    """
    if not isinstance(layer, nn.Module):
        return {}
    found = {key: value.data for key, value in own_parameters(layer).items()}
    buffers = {key: getattr(layer, key) for key in layer.buffer_names}
    return found | {
        key: value for key, value in buffers.items() if value is not None and value.dtype.kind == "f"
    }


def half_precision(sides: Sides) -> Iterator[Candidate]:
    """Weights that went through float16 or bfloat16 on one side."""
    changes, modules = taken_over(sides), dict(sides.model.named_modules())
    pairs = [(values_of(modules[name])[key], other) for (name, key), other in changes.items()]
    for dtype, rounded in (("float16", as_float16), ("bfloat16", as_bfloat16)):
        theirs = all(np.array_equal(rounded(a), b) for a, b in pairs)
        ours = all(np.array_equal(a, rounded(b)) for a, b in pairs)
        if pairs and (ours or theirs):
            yield sides.changed(
                "float16 or bfloat16 on one side", f"{dtype} {'here' if ours else 'in torch'}", changes
            )


def as_float16(values: np.ndarray) -> np.ndarray:
    """Round to float16.

    >>> as_float16(np.array([1.0001])).tolist()
    [1.0]
    """
    return cast(cast(values, np.float16))


def as_bfloat16(values: np.ndarray) -> np.ndarray:
    """Round to bfloat16: the upper half of a float32, to even.

    >>> as_bfloat16(np.array([1.001, 3.0])).tolist()
    [1.0, 3.0]
    """
    bits = cast(values, np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return cast(bits.astype(np.uint32).view(np.float32))


def stale_weights(sides: Sides) -> Iterator[Candidate]:
    """Values that one side has not got yet: torch's are taken over."""
    changes = taken_over(sides)
    if changes:
        where = ", ".join(f"{name}.{key}" if name else key for name, key in list(changes)[:4])
        yield sides.changed("a stale copy of the weights", where, changes)
