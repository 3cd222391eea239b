"""Both models run, their steps in pairs, and a row for every pair of arrays."""

from __future__ import annotations

import copy

import numpy as np

from minicnn import nn
from minicnn.inspection import Step, Trace
from minicnn.interop.torch.comparison.align import aligned
from minicnn.interop.torch.comparison.rows import Row, row_of
from minicnn.interop.torch.comparison.sides import Batch, fed_by, run_ours, run_torch
from minicnn.interop.torch.library import import_torch
from minicnn.interop.torch.watching import copied

# A statistic is rounded twice in each training batch, and nine tenths of it are kept.
SPACINGS_OF_STATISTICS = 20


def both(
    model: nn.Module,
    torch_module,
    mine: Batch,
    theirs: Batch,
    single_step: bool,
    recorded: Trace | None = None,
) -> tuple[Trace, Trace, list[tuple[Step, Step]]]:
    """Run both sides (torch's only if it is not `recorded`); return their traces, and the steps in pairs.

    Ours is first: images or targets that do not fit are refused in our words.
    """
    ours = run_ours(model, mine)
    torch_trace = run_torch(torch_module, theirs) if recorded is None else recorded
    pairs = aligned(up_to_loss(ours), torch_trace.steps)
    if single_step:
        ours = fed_by(pairs, mine)
        pairs = list(zip(ours.steps, (step for _, step in pairs), strict=True))
    return ours, torch_trace, pairs


def up_to_loss(trace: Trace) -> list[Step]:
    """Return the steps that both sides can have: all but the softmax and the label behind the loss.

    >>> [step.name for step in up_to_loss(Trace([Step("loss", "MSELoss", nn.MSELoss(), None, None)]))]
    ['loss']
    """
    end = next((i for i, step in enumerate(trace.steps) if isinstance(step.module, nn.Loss)), len(trace))
    return trace.steps[: end + 1]


def rows_of(found, exact, whole: bool) -> list[Row]:
    """Return the rows: outputs forward, then gradients backward; `whole` adds what goes in and out of the model."""
    ours, theirs, pairs = found
    counterparts = {} if exact is None else {(a.name, b.name): (a, b) for a, b in exact[2]}
    precise = None if exact is None else exact[0]

    def row(pair, of: str) -> Row:
        names = (pair[0].name, pair[1].name, pair[0].kind)
        twin = counterparts.get(names[:2])
        arrays = tuple(step.array(of) for step in pair)
        exactly = None if twin is None else tuple(step.array(of) for step in twin)
        if exactly is not None and any(array is None for array in exactly):
            exactly = None
        return row_of(names, of, arrays, (ours, theirs), exactly, precise)

    def outside(name: str, of: str, read) -> Row:
        exactly = None if exact is None else (read(exact[0]), read(exact[1]))
        return row_of((name, name, "-"), of, (read(ours), read(theirs)), (ours, theirs), exactly, precise)

    rows = []
    for pair in pairs:
        ends = pair[0].name == "loss" and whole
        if ends and not is_shown([step.input for step in pair], "output", pairs[-2:-1]):
            rows.append(outside("model", "output", lambda t: t["loss"].input))
        rows.append(row(pair, "output"))
    for pair in reversed(pairs):
        for key in dict.fromkeys([*pair[0].parameters, *pair[1].parameters]):
            held = [key in step.parameters for step in pair]
            if not all(held) or all(key in step.grads for step in pair):  # else it is frozen
                rows.append(row(pair, f"{key}.grad"))
        if all(step.grad_input is not None for step in pair):
            rows.append(row(pair, "grad_input"))
    images = [t.grad_images for t in (ours, theirs)]
    given = whole and all(gradient is not None for gradient in images)
    if given and not is_shown(images, "grad_input", pairs[:1]):
        rows.append(outside("images", "grad_input", lambda t: t.grad_images))
    return rows


def is_shown(arrays: list[np.ndarray], of: str, pairs: list[tuple[Step, Step]]) -> bool:
    """Say whether the two arrays are what the pairs have a row for already.

    >>> step = Step("0", "ReLU", None, None, np.ones(1))
    >>> is_shown([np.ones(1), np.ones(1)], "output", [(step, step)]), is_shown([], "output", [])
    (True, False)
    """
    return any(
        all(
            step.array(of) is not None and np.array_equal(step.array(of), array, equal_nan=True)
            for step, array in zip(pair, arrays, strict=True)
        )
        for pair in pairs
    )


def in_float64(model: nn.Module, torch_module):
    """Return copies of both models in float64, to judge what is rounding.

    Running statistics that part by a few spacings of the dtype in which they were kept are the same ones,
    rounded in another order: both copies get torch's.

    >>> import torch
    >>> model, module = nn.Sequential(nn.BatchNorm1d(1)), torch.nn.Sequential(torch.nn.BatchNorm1d(1))
    >>> model[0].running_mean[...] = np.nextafter(np.float32(1), np.float32(2))
    >>> module[0].running_mean[...] = 1
    >>> ours, theirs = in_float64(model, module)
    >>> ours[0].running_mean, theirs[0].running_mean.numpy()
    (array([1.]), array([1.]))
    """
    ours, theirs = copy.deepcopy(model).astype(np.float64), copy.deepcopy(torch_module).double()
    kept_in = {name: value.dtype for name, value in model.named_buffers()}
    others = {name: copied(value) for name, value in theirs.named_buffers()}
    for name, value in ours.named_buffers():
        other = others.get(name)
        if value.dtype.kind != "f" or other is None or other.shape != value.shape or not other.size:
            continue
        size = max(np.abs(other).max(), terms_of(name, others))
        few = SPACINGS_OF_STATISTICS * np.finfo(kept_in[name]).eps * size
        if np.abs(value - other).max() <= few:
            value[...] = other
    return ours, theirs


def buffers_of(model, batch: Batch) -> dict[str, np.ndarray]:
    """Return batch norm's statistics, by name, after one forward of a copy of the model, ours or torch's.

    >>> model = nn.Sequential(nn.BatchNorm1d(1, momentum=0.5))
    >>> buffers_of(model, Batch(np.float32([[1], [3]]), None, None))["0.running_mean"]    # (0 + 2) / 2
    array([1.], dtype=float32)
    """
    model = copy.deepcopy(model)
    if isinstance(model, nn.Module):
        if any(model.named_buffers()):
            with nn.no_grad():
                model(batch.images)
        return {name: value for name, value in model.named_buffers() if value.dtype.kind == "f"}
    if any(True for _ in model.buffers()):
        with import_torch().no_grad():
            model(import_torch().from_numpy(np.array(batch.images)))
    return {name: copied(value) for name, value in model.named_buffers() if value.is_floating_point()}


def buffer_rows(ours: dict, theirs: dict, exact: tuple[dict, dict] | None) -> list[Row]:
    """Return a row for each of batch norm's statistics that both sides have under one name."""
    rows = []
    for name in ours:
        if name in theirs:
            layer, _, key = name.rpartition(".")
            precise = None if exact is None else (exact[0][name], exact[1][name])
            names, arrays, nothing = (layer, layer, "buffer"), (ours[name], theirs[name]), Trace([])
            terms = terms_of(name, ours)
            rows.append(row_of(names, key, arrays, (nothing, nothing), precise, nothing, terms))
    return rows


def terms_of(name: str, buffers: dict) -> float:
    """Return how large the numbers are whose mean a running mean is: it may be zero but for rounding.

    >>> terms_of("1.running_mean", {"1.running_mean": np.zeros(2), "1.running_var": np.array([4.0, 9.0])})
    3.0
    """
    layer, dot, key = name.rpartition(".")
    variance = buffers.get(f"{layer}{dot}running_var") if key == "running_mean" else None
    return 0.0 if variance is None else float(np.sqrt(variance.max(initial=0)))
