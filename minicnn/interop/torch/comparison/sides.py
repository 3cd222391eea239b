"""Run both models on one batch, forward, loss and backward, and write both down as a Trace."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from minicnn import nn
from minicnn.checks import called, cast
from minicnn.inspection import Step, Trace, trace
from minicnn.inspection.record import recording
from minicnn.interop.torch.comparison.functions import functions_watched
from minicnn.interop.torch.library import import_torch
from minicnn.interop.torch.watching import copied, watch

LOSS_ARGUMENTS = ("weight", "pos_weight", "ignore_index", "label_smoothing", "reduction")


@dataclass(frozen=True, eq=False)
class Batch:
    """What one side gets besides the model.

    >>> Batch(np.zeros((1, 2), np.float32), np.array([0]), nn.CrossEntropyLoss()).as_float64().images.dtype
    dtype('float64')
    """

    images: np.ndarray
    targets: np.ndarray
    criterion: object

    def as_float64(self) -> Batch:
        """Return the same numbers in float64."""
        criterion = copy.deepcopy(self.criterion)
        for name in ("weight", "pos_weight"):
            value = getattr(criterion, name, None)
            if isinstance(value, np.ndarray):
                setattr(criterion, name, cast(value))
            elif value is not None:
                setattr(criterion, name, value.double())
        targets = np.asarray(self.targets)
        return Batch(
            cast(self.images),
            cast(targets) if targets.dtype.kind == "f" else targets,
            criterion,
        )


def run_ours(model: nn.Module, batch: Batch) -> Trace:
    """Return the Trace of our model, which is left as it was.

    >>> batch = Batch(np.float32([[1, 2]]), np.float32([[0, 1]]), nn.MSELoss())
    >>> [step.name for step in run_ours(nn.Sequential(nn.Tanh()), batch)]
    ['0', 'loss']
    """
    recorded = trace(model, batch.images, batch.targets, batch.criterion)
    step = recorded["loss"]
    step.output = step.output.astype(step.input.dtype)  # our loss is a Python float, torch's a float32
    return recorded


def run_torch(module, batch: Batch) -> Trace:
    """Return the Trace of a torch module, with a loss step at the end; a copy of the module runs.

    A criterion of ours becomes torch's of the same name. The loss step holds what our criterion would have saved,
    so that it can be explained.
    """
    torch = import_torch()
    module = copy.deepcopy(module)
    images = torch.from_numpy(np.array(batch.images)).requires_grad_()
    targets = torch.from_numpy(np.array(batch.targets))
    ours, theirs = our_loss(batch.criterion), torch_loss(batch.criterion)
    targets = targets if targets.is_floating_point() else targets.long()
    with torch.enable_grad(), watch(module) as recorded:
        with functions_watched(module, recorded):
            output = module(images)
        if not isinstance(output, torch.Tensor):
            raise TypeError(
                f"compare: the torch module must return one tensor. Got {type(output).__name__}. "
                "Wrap it in a module that returns the logits."
            )
        logits = output.view_as(output)
        logits.retain_grad()
        loss = theirs(logits, targets)
        loss.backward(torch.ones_like(loss))
    array = copied(loss)
    step = Step(
        "loss", type(ours).__name__, ours, copied(logits), array,
        grad_output=np.ones_like(array) if array.ndim else None, grad_input=copied(logits.grad),
    )  # fmt: skip
    with nn.enable_grad():
        ours(step.input, np.array(batch.targets))
    step.saved = ours.saved
    gradient = None if images.grad is None else copied(images.grad)
    return Trace([*recorded.steps, step], grad_images=gradient)


def torch_loss(criterion):
    """Return torch's loss with the arguments of ours; one of torch's as it is."""
    torch = import_torch()
    if isinstance(criterion, torch.nn.Module):
        return criterion
    kind, arguments = type(criterion).__name__, {}
    for name in LOSS_ARGUMENTS:
        value = getattr(criterion, name, None)
        if value is not None:
            arguments[name] = torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
    return getattr(torch.nn, kind)(**arguments)


def our_loss(criterion):
    """Return our loss with the arguments of torch's; one of ours as it is.

    Raises
    ------
    TypeError
        If it is no loss, or we have no such one.

    Examples
    --------
    >>> our_loss(print)
    Traceback (most recent call last):
    TypeError: compare: torch_criterion must be a loss that minicnn has. Got builtin_function_or_method. \
Pass for example torch.nn.CrossEntropyLoss() (with the brackets).
    """
    if isinstance(criterion, nn.Loss):
        return criterion
    kind, arguments = type(criterion).__name__, {}
    if not issubclass(getattr(nn, kind, object), nn.Loss):
        raise TypeError(
            f"compare: torch_criterion must be a loss that minicnn has. Got {called(criterion)}. "
            "Pass for example torch.nn.CrossEntropyLoss() (with the brackets)."
        )
    for name in LOSS_ARGUMENTS:
        value = getattr(criterion, name, None)
        if value is not None:
            arguments[name] = copied(value) if hasattr(value, "detach") else value
    return getattr(nn, kind)(**arguments)


def fed_by(pairs: list[tuple[Step, Step]], batch: Batch) -> Trace:
    """Return our steps where each layer is given torch's own input and torch's own gradient.

    Parameters
    ----------
    pairs : list of (our Step, torch's Step)
        The last one may be the loss.
    batch : Batch
        Ours: targets and criterion.

    Examples
    --------
    >>> ours = Step("0", "ReLU", nn.ReLU(), np.float32([-1]), np.float32([0]))
    >>> torch_step = Step("0", "ReLU", nn.ReLU(), np.float32([5]), np.float32([5]))
    >>> fed_by([(ours, torch_step)], None)["0"].output
    array([5.], dtype=float32)
    """
    steps = []
    for mine, theirs in pairs:
        if mine.name == "loss":
            own = copy.deepcopy(batch.criterion)
            with nn.enable_grad():
                value = np.asarray(own(theirs.input, batch.targets), theirs.input.dtype)
                grad = own.backward() if theirs.grad_output is None else own.backward(theirs.grad_output)
            steps.append(
                Step("loss", mine.kind, own, theirs.input, value, theirs.grad_output, grad, saved=own.saved)
            )
            continue
        layer = copy.deepcopy(mine.module)
        for part in layer.modules():
            part.training = mine.training
        with nn.enable_grad(), recording(layer) as found:
            layer(theirs.input)
            if theirs.grad_output is not None:
                layer.backward(theirs.grad_output)
        step = found[-1]
        step.name, step.origin = mine.name, theirs.origin
        steps.append(step)
    return Trace(steps)
