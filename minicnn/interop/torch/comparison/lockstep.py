"""Both models trained side by side on the same batches: how their parameters drift, and how far rounding takes them.

Each side is trained twice, in its own dtype and in float64. In float64 rounding is 2^-29 times as large as in
float32; what drifts there as well is no rounding.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from minicnn import nn, optim
from minicnn.checks import cast
from minicnn.inspection.explainers.common import reach
from minicnn.inspection.page import Page, Section, short
from minicnn.interop.torch.comparison.exact import partners
from minicnn.interop.torch.comparison.measures import measures
from minicnn.interop.torch.comparison.sides import Batch, torch_loss
from minicnn.interop.torch.library import import_torch
from minicnn.interop.torch.watching import copied

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
# Drift in float64 that is still rounding, beside the largest parameter: Adam divides a gradient by its own size plus
# 1e-8, and so makes much of one that should be zero and is only rounding (a bias before a batch norm).
GROWN_IN_FLOAT64 = 2.0**-24
SPREAD = 64  # two sides' rounding may part by so many times what torch's own parts from float64


@dataclass(frozen=True)
class StepDrift:
    """How far both sides are apart after one step of the optimizer.

    Attributes
    ----------
    step : int
        Counted from 1.
    loss, torch_loss : float
        Before the step.
    worst : str
        The parameter that drifted most.
    drift : float
        The largest |ours - torch's| of all parameters.
    drift_float64 : float
        The same when both sides train in float64.
    rounding : float
        How far torch is from itself in float64.
    flips : list of int
        The images of this batch for which the two sides choose different classes.
    ok : bool
        Whether rounding's growth explains the drift.

    Examples
    --------
    >>> StepDrift(1, 2.3, 2.3, "0.weight", 1e-8, 1e-16, 1e-8, [], True).flips
    []
    """

    step: int
    loss: float
    torch_loss: float
    worst: str
    drift: float
    drift_float64: float
    rounding: float
    flips: list[int]
    ok: bool


@dataclass(eq=False, repr=False)
class Drift(Page):
    """What training in lockstep gave.

    Attributes
    ----------
    optimizer : str
    steps : list of StepDrift

    Examples
    --------
    >>> Drift("adam", [StepDrift(1, 2.3, 2.3, "0.weight", 1e-8, 1e-16, 1e-8, [4], True)]).first_flip
    (1, 4)
    """

    optimizer: str
    steps: list[StepDrift] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether drift stays within rounding's growth."""
        return all(step.ok for step in self.steps)

    @property
    def first_flip(self) -> tuple[int, int] | None:
        """The first step and image for which the two sides choose different classes; None if they never do."""
        return next(((step.step, step.flips[0]) for step in self.steps if step.flips), None)

    @property
    def title(self) -> str:
        """The verdict in a line."""
        within = "within rounding's growth" if self.ok else "more than rounding can grow"
        return f"{len(self.steps)} steps of {self.optimizer} side by side: drift is {within}"

    def sections(self) -> list[Section]:
        """Return the steps as a table."""
        header = [
            "step",
            "worst parameter",
            "loss",
            "in torch",
            "drift",
            "in float64",
            "rounding",
            "argmax flips",
        ]
        rows = [
            [
                str(s.step), s.worst, short(s.loss), short(s.torch_loss), f"{s.drift:.1e}",
                f"{s.drift_float64:.1e}", f"{s.rounding:.1e}", str(len(s.flips)),
            ]
            for s in self.steps
        ]  # fmt: skip
        flip = self.first_flip
        below = (
            "no argmax flips" if flip is None else f"first argmax to flip: step {flip[0]}, image {flip[1]}"
        )
        return [Section("drift of the parameters", header=header, rows=rows, below=[below], left=2)]


class OurSide:
    """Our model, its loss and its optimizer; the parameters named `frozen` stay as they are."""

    def __init__(self, model: nn.Module, criterion, kind: str, arguments: dict, frozen: set[str]) -> None:
        self.model, self.criterion = copy.deepcopy(model), copy.deepcopy(criterion)
        trained = [p for name, p in self.model.named_parameters() if name not in frozen]
        self.optimizer = getattr(optim, kind)(trained, **arguments)

    def step(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """Make one step; return loss and output before it."""
        output = self.model(images)
        loss = self.criterion(output, targets)
        self.optimizer.zero_grad()
        self.model.backward(self.criterion.backward())
        self.optimizer.step()
        return float(loss), output

    def values(self) -> dict[str, np.ndarray]:
        """Return the parameters by name."""
        return {name: parameter.data for name, parameter in self.model.named_parameters()}


class TorchSide:
    """Torch's model, its loss and its optimizer."""

    def __init__(self, module, criterion, kind: str, arguments: dict) -> None:
        self.torch = import_torch()
        self.module = copy.deepcopy(module)
        self.criterion = torch_loss(copy.deepcopy(criterion))
        self.optimizer = getattr(self.torch.optim, kind)(self.module.parameters(), **arguments)

    def step(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """Make one step; return loss and output before it."""
        wanted = self.torch.from_numpy(np.array(targets))
        with self.torch.enable_grad():
            output = self.module(self.torch.from_numpy(np.array(images)))
            loss = self.criterion(output, wanted if wanted.is_floating_point() else wanted.long())
            self.optimizer.zero_grad()
            loss.backward()
        self.optimizer.step()
        return float(loss.detach()), copied(output)

    def values(self) -> dict[str, np.ndarray]:
        """Return the parameters by name."""
        return {name: copied(parameter) for name, parameter in self.module.named_parameters()}


def in_lockstep(
    model: nn.Module, module, mine: Batch, theirs: Batch, steps: int, optimizer: str, batch_size=None, lr=None
) -> Drift:
    """Train copies of both models for some steps on the same batches; return how they drift.

    What torch has frozen (``requires_grad=False``) is frozen on our side, too.

    Parameters
    ----------
    model : Module
    module : torch.nn.Module
    mine, theirs : Batch
        What either side gets.
    steps : int
    optimizer : "sgd", "adam" or "adamw"
    batch_size : int or None
        The images are gone through in slices of this size, again and again; None takes all in every step.
    lr : float or None
        None leaves the optimizer's own default.

    Raises
    ------
    ValueError
        If there is no such optimizer, or the loss is no single number.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"compare: optimizer must be one of {', '.join(OPTIMIZERS)}. Got {optimizer!r}. Choose one of these."
        )
    if mine.criterion.reduction == "none":
        raise ValueError(
            "compare: training needs a loss that is one number. Got reduction='none'. Use 'mean' or 'sum'."
        )
    kind, arguments = OPTIMIZERS[optimizer], {} if lr is None else {"lr": lr}
    double = copy.deepcopy(model).astype(np.float64), copy.deepcopy(module).double()
    wide = mine.as_float64(), theirs.as_float64()
    learns = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    places = partners(dict(model.named_parameters()), learns)
    frozen = {name for name, other in places.items() if not learns[other]}
    ours = OurSide(model, mine.criterion, kind, arguments, frozen)
    beside = TorchSide(module, theirs.criterion, kind, arguments)
    ours_64 = OurSide(double[0], wide[0].criterion, kind, arguments, frozen)
    beside_64 = TorchSide(double[1], wide[1].criterion, kind, arguments)
    sides = ((ours, mine), (beside, theirs), (ours_64, wide[0]), (beside_64, wide[1]))
    size, found = batch_size or len(mine.images), []
    for number in range(1, steps + 1):
        start = (number - 1) * size % max(len(mine.images), 1)
        part = slice(start, start + size)
        done = [side.step(batch.images[part], batch.targets[part]) for side, batch in sides]
        values = [side.values() for side, _ in sides]
        names = partners(values[0], values[1])
        drift, worst = apart(values[0], values[1], names)
        drift_64, _ = apart(values[2], values[3], names)
        rounding, _ = apart(values[1], values[3], {name: name for name in values[1]})
        largest = max((reach(array) for array in values[3].values()), default=0.0)
        single = next(iter(values[0].values())).dtype == np.float32 if values[0] else False
        allowed = SPREAD * (rounding + float(np.finfo(np.float32).eps) * largest)
        explained = drift_64 <= GROWN_IN_FLOAT64 * largest and (not single or drift <= allowed)
        found.append(
            StepDrift(
                number, done[0][0], done[1][0], worst, drift, drift_64, rounding,
                flipped(done[0][1], done[1][1]), bool(explained),
            )
        )  # fmt: skip
    return Drift(optimizer, found)


def apart(ours: dict, theirs: dict, names: dict[str, str]) -> tuple[float, str]:
    """Return the largest difference of all parameters, and whose it is; NaN is equal to NaN.

    >>> apart({"a": np.ones(2), "b": np.ones(1)}, {"a": np.ones(2), "b": np.zeros(1)}, {"a": "a", "b": "b"})
    (1.0, 'b')
    """
    largest, worst = 0.0, "-"
    for name, other in names.items():
        distance = np.inf
        if ours[name].shape == theirs[other].shape:
            distance = measures(cast(ours[name]), cast(theirs[other])).absolute
        if distance > largest:
            largest, worst = distance, name
    return largest, worst


def flipped(ours: np.ndarray, theirs: np.ndarray) -> list[int]:
    """Return the images for which the two outputs choose different classes.

    >>> flipped(np.array([[1, 2], [2, 1]]), np.array([[1, 2], [1, 2]]))
    [1]
    """
    if ours.ndim != 2 or ours.shape != theirs.shape or ours.shape[1] < 2:
        return []
    return [int(i) for i in np.flatnonzero(ours.argmax(axis=1) != theirs.argmax(axis=1))]
