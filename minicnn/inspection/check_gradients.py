"""check_gradients: is what backward returns the slope of what forward computes? Layer by layer, from the loss."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from minicnn import checks, nn
from minicnn.inspection.differences import EACH, Slopes, Value
from minicnn.inspection.gradient_report import GradientCheck, GradientRow
from minicnn.inspection.gradient_steps import backward_order, branches_of, explanation_of, explicable
from minicnn.inspection.kinks import on_kink, one_kink_a_number
from minicnn.inspection.record import Step, kept, recording, unchanged
from minicnn.inspection.trace import trace
from minicnn.nn.graph import joins
from minicnn.nn.losses import check_loss
from minicnn.nn.tree import check_module

WHO = "check_gradients"
WHOLE = "the whole model"
NEAR = 1e-6  # numbers this close to a kink are left out of random directions


class Checker:
    """One check: the model, its random state, and the comparison of each gradient."""

    def __init__(self, model, images, targets, criterion, rng) -> None:
        self.model, self.images, self.targets, self.criterion = model, images, targets, criterion
        self.rng = rng
        self.states = [(g, copy.deepcopy(g.bit_generator.state)) for _, g in model.named_generators()]

    def restore(self) -> None:
        """Let dropout draw the same mask again."""
        for generator, state in self.states:
            generator.bit_generator.state = copy.deepcopy(state)

    def layer(self, step: Step) -> list[GradientRow]:
        """Return the rows of one layer by itself: what it gives back for the gradient that it received."""
        module, grad_output = step.module, step.grad_output
        if grad_output is None or not grad_output.any():  # nothing came here: any gradient shows the rule
            grad_output = self.rng.normal(size=step.output.shape)
        inputs = [array.copy() for array in (step.parts.values() if joins(module) else (step.input,))]
        given = tuple(inputs) if joins(module) else inputs[0]
        parameters = dict(module.named_parameters())
        for parameter in parameters.values():
            parameter.grad = None
        self.restore()
        with nn.enable_grad(), recording(module) as steps:
            module(given)
            grad_inputs = module.backward(grad_output)
        grads = {name: parameter.grad for name, parameter in parameters.items()}
        local = None if module.children() else explicable(steps[-1], step)

        def value() -> Value:
            self.restore()
            with nn.no_grad(), recording(module) as inner:
                output = module(given)
            output = output[0] if isinstance(output, tuple) else output
            products = output * grad_output
            return Value(float(products.sum()), float(np.abs(products).sum()), branches_of(inner, step.name))

        if joins(module):
            rows = [
                self.row(step.who, f"grad_input {i}", value, *pair)
                for i, pair in enumerate(zip(inputs, grad_inputs, strict=True))
            ]
        else:
            rows = [self.input_row(step, value, given, grad_inputs, local)]
        for name, parameter in parameters.items():
            rows.append(self.row(step.who, f"{name}.grad", value, parameter.data, grads[name], local))
        return rows

    def input_row(self, step: Step, value: Callable[[], Value], input, grad_input, local) -> GradientRow:
        """Return the row of a layer's input, with what is known of its kinks."""
        kinks, planes = on_kink(step.module, input, NEAR), None
        strict = one_kink_a_number(step.module, input)
        if isinstance(step.module, nn.MaxPool2d):  # a plane that moves as one keeps its ties
            planes = self.rng.normal(size=(*input.shape[:-2], 1, 1)) * np.ones(input.shape)
        return self.row(step.who, "grad_input", value, input, grad_input, local, kinks, strict, planes)

    def loss(self, step: Step) -> GradientRow:
        """Return the row of the criterion by itself."""
        logits = step.input.copy()

        def value() -> Value:
            return self.loss_of(logits, [])

        kinks = np.zeros(logits.shape, bool)
        if isinstance(self.criterion, nn.L1Loss):
            kinks = np.abs(logits - self.targets) <= NEAR
        who = type(self.criterion).__name__
        return self.row(who, "grad_input", value, logits, step.grad_input, step, kinks, strict=True)

    def loss_of(self, logits: np.ndarray, taken: list) -> Value:
        """Return the loss as a Value: the sum of the losses where they are not reduced."""
        losses = checks.cast(self.criterion(logits, self.targets))
        if isinstance(self.criterion, nn.L1Loss):
            taken = [*taken, ("L1Loss", np.sign(logits - self.targets))]
        size = max(float(np.abs(losses).sum()), 1.0) * (1 + float(np.abs(logits).max(initial=0)))
        return Value(float(losses.sum()), size, taken)

    def whole(self, grad_images: np.ndarray, grads: dict) -> list[GradientRow]:
        """Return the rows of the loss through all layers: its slopes by pixels and by every parameter."""
        images = self.images

        def value() -> Value:
            self.restore()
            with nn.no_grad(), recording(self.model) as steps:
                logits = self.model(images)
            return self.loss_of(logits, branches_of(steps))

        rows = [self.row(WHOLE, "grad_input", value, images, grad_images)]
        for name, parameter in self.model.named_parameters():
            rows.append(self.row(WHOLE, f"{name}.grad", value, parameter.data, grads[name]))
        return rows

    def row(
        self,
        who: str,
        of: str,
        value: Callable[[], Value],
        array: np.ndarray,
        gradient: np.ndarray | None,
        step: Step | None = None,
        kinks: np.ndarray | None = None,
        strict: bool = False,
        together: np.ndarray | None = None,
    ) -> GradientRow:
        """Compare one gradient, and explain the number that is wrong; a gradient that is missing is 0.

        `together` is one more direction to check.
        """
        gradient = np.zeros_like(array) if gradient is None else gradient
        kinks = np.zeros(array.shape, bool) if kinks is None else kinks
        slopes = Slopes(value, array, gradient, strict)
        findings = slopes.check(kinks, self.rng, 1 if who == WHOLE else EACH)
        if together is not None and array.size:
            findings.append(slopes.along(together.ravel()))
        found = GradientRow(who, of, array.size, findings)
        if found.verdict in ("wrong", "not finite") and step is not None:
            found.explanation = explanation_of(step, of, found.worst.index, np.argwhere(kinks))
        return found


def check_gradients(model: nn.Module, images: np.ndarray, targets, criterion=None, *, rng=0) -> GradientCheck:
    """Compare every gradient with central differences, ``(f(x + h) - f(x - h)) / 2h``, in float64.

    First the loss, then each layer by itself on the way back, with the numbers that it really received: so
    the first layer that is wrong is found, whatever comes out of the ones before it. Then the loss through
    the whole model. In a layer, arrays of up to 64 numbers are checked number by number, larger ones along
    random directions; if one of these is wrong, halving finds a single wrong number.

    On a kink (such as ReLU at 0, ``|x|``) or a tie (max pooling) there is no slope: a difference
    there is no mistake, as long as one layer's backward gives a slope between the two sides. The result says
    where this was so.

    Parameters
    ----------
    model : Module, float64
        It runs in the mode that it is in, with the same random numbers every time (dropout keeps its mask;
        batch norm in train mode depends on the whole batch, and is differentiated so). It is left as it was.
    images : ndarray, float64
    targets : ndarray
        What the criterion takes.
    criterion : loss, or None
        None stands for ``CrossEntropyLoss()``. Losses that are not reduced are added up.
    rng : numpy.random.Generator, int or None
        For the random directions.

    Returns
    -------
    GradientCheck

    Raises
    ------
    TypeError
        If anything is float32: a step that is small enough for the slope drowns in its rounding.
    ValueError
        If there is no image.

    Examples
    --------
    >>> class Halved(nn.Linear):
    ...     def backward(self, grad_output):
    ...         return super().backward(grad_output) / 2
    >>> model = nn.Sequential(Halved(2, 1, dtype=np.float64, rng=0), nn.Linear(1, 1, dtype=np.float64, rng=0))
    >>> for parameter, value in zip(model.parameters(), [3.0, 0.0, 1.0, 0.0]):
    ...     parameter.data[...] = value
    >>> result = check_gradients(model, np.array([[1.0, 2]]), np.array([[8.0]]), nn.MSELoss())
    >>> result.first_wrong.who, result.first_wrong.of
    ('Halved "0"', 'grad_input')
    >>> finding = result.first_wrong.worst                  # 2·(3·1 + 3·2 - 8) · 1 · 3 = 6, halved
    >>> finding.index, finding.analytic, round(finding.numeric, 6)
    ((0, 0), 3.0, 6.0)
    """
    check_module(WHO, "model", model)
    checks.as_float_array(WHO, "images", images)
    for what, array in (("images", images), *((n, p.data) for n, p in model.named_parameters())):
        if array.dtype != np.float64:
            raise TypeError(
                f"{WHO}: central differences need float64, because the rounding of float32 is larger than the "
                f"differences. Got {array.dtype} in {what}. "
                "Convert with model.astype(np.float64) and images.astype(np.float64)."
            )
    if not len(images):
        raise ValueError(f"{WHO}: images must hold at least one image. Got none. Pass a small batch.")
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    check_loss(WHO, criterion)
    with unchanged(model), kept(criterion), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        checker = Checker(model, images.copy(), targets, criterion, checks.as_rng(WHO, rng))
        for parameter in model.parameters():
            parameter.data, parameter.grad = parameter.data.copy(), None  # the caller's stay as they are
        t = trace(model, checker.images, targets, criterion)
        checker.restore()
        with nn.enable_grad():
            loss = criterion(model(checker.images), targets)
            above = criterion.backward(np.ones_like(loss)) if np.ndim(loss) else criterion.backward()
            grad_images = model.backward(above)
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
        rows = [checker.loss(t["loss"])]
        for step in backward_order(t.layers):
            rows += checker.layer(step)
        return GradientCheck(rows + checker.whole(grad_images, grads))
