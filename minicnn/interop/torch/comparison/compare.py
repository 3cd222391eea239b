"""compare: our model and torch's on the same batch, every array of one beside that of the other."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from minicnn import checks, nn
from minicnn.interop.torch.comparison.exact import are_exact, with_integers
from minicnn.interop.torch.comparison.lockstep import in_lockstep
from minicnn.interop.torch.comparison.pairing import (
    both,
    buffer_rows,
    buffers_of,
    in_float64,
    rows_of,
    up_to_loss,
)
from minicnn.interop.torch.comparison.result import Comparison
from minicnn.interop.torch.comparison.rows import Row
from minicnn.interop.torch.comparison.sides import Batch, our_loss
from minicnn.interop.torch.entrance import unwrapped
from minicnn.interop.torch.library import check_torch_module, import_torch
from minicnn.nn.tree import check_module


def compare(
    model: nn.Module,
    torch_module,
    images: np.ndarray,
    targets: np.ndarray,
    criterion=None,
    *,
    single_step: bool = False,
    steps: int = 0,
    optimizer: str = "adam",
    batch_size: int | None = None,
    lr: float | None = None,
    exact: bool = False,
    torch_images: np.ndarray | None = None,
    torch_targets: np.ndarray | None = None,
    torch_criterion=None,
) -> Comparison:
    """Run both models forward, through the loss and backward, and compare every array.

    Steps go together by name and by order of execution. A row is "equal" if all its numbers are; "rounding" if
    both models, run once more in float64, agree on it, and if on either side the worst number is what its own terms
    add up to; else "differs".

    Parameters
    ----------
    model : Module
    torch_module : torch.nn.Module
        Both run in the mode that they are in, and are left as they were. Dropout in training draws other numbers
        on either side: call ``eval()`` on both, or give it p = 0.
    images : ndarray
    targets : ndarray
    criterion : loss of minicnn.nn, or None
        None stands for ``CrossEntropyLoss()``. Torch gets its namesake with the same arguments.
    single_step : bool
        Whether each of our layers is given torch's own input and gradient, so that one fault does not stain
        all that follows.
    steps : int
        For so many steps copies of both models are trained side by side, see `Drift`. What torch has frozen
        (``requires_grad=False``) is frozen on both sides.
    optimizer : "sgd", "adam" or "adamw"
    batch_size : int or None
        Each step takes the next so many images; None takes all.
    lr : float or None
        None leaves the optimizer's default.
    exact : bool
        Whether weights and images are replaced by small integers in float64, and the loss by the sum of distances
        to targets between integers. Layers that only add, multiply and choose must then agree bit for bit; a
        sigmoid, a root or a division leaves whole numbers, and from there on rounding is allowed again.
    torch_images, torch_targets, torch_criterion : optional
        What torch's side gets, if that is something else: arrays, and a loss of torch.

    Returns
    -------
    Comparison

    Raises
    ------
    RuntimeError
        If torch is not installed.
    TypeError
        If a model or the criterion is of another library, or the two models are of different dtypes.
    ValueError
        If images, targets, `steps` or `batch_size` do not fit.

    Notes
    -----
    A torch model in float16 or bfloat16 is taken as the float32 model with its rounded weights.

    Examples
    --------
    >>> from minicnn.interop.torch import is_installed, to_torch
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0))
    >>> def verdict():
    ...     return compare(model, to_torch(model), np.float32([[1, 2]]), np.array([0])).ok
    >>> verdict() if is_installed() else True
    True
    """
    torch_module = checked(model, torch_module)
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    if not isinstance(criterion, nn.Loss):
        raise TypeError(
            f"compare: criterion must be a loss of minicnn. Got {checks.called(criterion)}. "
            "Pass one such as nn.CrossEntropyLoss(); torch's own goes into torch_criterion."
        )
    steps = checks.as_int("compare", "steps", steps, minimum=0)
    if batch_size is not None:
        batch_size = checks.as_int("compare", "batch_size", batch_size, minimum=1)
    mine = Batch(images, targets, copy.deepcopy(criterion))
    theirs = Batch(
        images if torch_images is None else torch_images,
        targets if torch_targets is None else torch_targets,
        mine.criterion if torch_criterion is None else copy.deepcopy(torch_criterion),
    )
    our_loss(theirs.criterion)  # refuses one that we do not have before anything runs
    if exact:
        model, torch_module, mine = with_integers(model, torch_module, images)
        theirs = mine
    found = both(model, torch_module, mine, theirs, single_step)
    try:
        wide = in_float64(model, torch_module)
        precise = both(*wide, mine.as_float64(), theirs.as_float64(), single_step)
        statistics = buffers_of(wide[0], mine.as_float64()), buffers_of(wide[1], theirs.as_float64())
    except (RuntimeError, TypeError):  # a forward that fixes the dtype: there, the bound alone decides
        precise, statistics = None, None
    ours, torch_trace, pairs = found
    names = {step.name for step, _ in pairs}, {step.name for _, step in pairs}
    rows = rows_of(found, precise, whole=not single_step)
    if not single_step:
        rows += buffer_rows(buffers_of(model, mine), buffers_of(torch_module, theirs), statistics)
    return Comparison(
        bit_for_bit(rows) if exact else rows,
        ours,
        torch_trace,
        [step.who for step in up_to_loss(ours) if step.name not in names[0]],
        [step.who for step in torch_trace if step.name not in names[1]],
        single_step,
        in_lockstep(model, torch_module, mine, theirs, steps, optimizer, batch_size, lr) if steps else None,
        (model, torch_module, mine, theirs),
    )


def bit_for_bit(rows: list[Row]) -> list[Row]:
    """Return the rows, where what came about without rounding and is not equal differs."""
    return [
        replace(row, verdict="differs")
        if row.verdict == "rounding" and are_exact(row.ours, row.theirs)
        else row
        for row in rows
    ]


def assert_close(model: nn.Module, torch_module, images, targets, criterion=None, **more) -> None:
    """Raise AssertionError, with the explanation of the first difference, unless both models agree.

    Parameters
    ----------
    model, torch_module, images, targets, criterion, **more
        As for `compare`.

    Examples
    --------
    >>> from minicnn.interop.torch import is_installed, to_torch
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0))
    >>> if is_installed():
    ...     assert_close(model, to_torch(model), np.float32([[1, 2]]), np.array([0]))
    """
    compare(model, torch_module, images, targets, criterion, **more).assert_close()


def checked(model, torch_module):
    """Return the torch module, unwrapped and not in half precision, once both are seen to go together."""
    torch = import_torch()
    check_module("compare", "model", model)
    check_torch_module("compare", "torch_module", torch_module)
    torch_module = unwrapped(torch_module, "compare")
    dtypes = {parameter.dtype for parameter in torch_module.parameters()}
    if dtypes & {torch.float16, torch.bfloat16}:
        torch_module = copy.deepcopy(torch_module).float()
        dtypes = {torch.float32}
    mine = {str(parameter.data.dtype) for parameter in model.parameters()}
    theirs = {str(dtype).removeprefix("torch.") for dtype in dtypes}
    if mine and theirs and mine != theirs:
        raise TypeError(
            f"compare: both models must have one dtype. Got {', '.join(sorted(mine))} here and "
            f"{', '.join(sorted(theirs))} in torch. Convert one with model.astype or module.to."
        )
    return torch_module
