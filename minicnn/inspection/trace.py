"""trace: one forward and one backward pass, with every number kept and ready to be asked about."""

from __future__ import annotations

import html
import operator
from collections.abc import Iterator

import numpy as np

from minicnn import checks, labels, nn
from minicnn.inspection.ending import class_steps, gives_logits
from minicnn.inspection.explainers import REGISTRY
from minicnn.inspection.explanation import Explanation
from minicnn.inspection.record import Step, kept, name_origins, recording, unchanged
from minicnn.inspection.table import summary_table
from minicnn.nn.class_losses import ClassLoss
from minicnn.nn.losses import check_loss
from minicnn.nn.tree import check_module


class Trace:
    """What every layer received and gave, forward and backward, for one batch.

    Attributes
    ----------
    steps : list of Step
        In the order of execution; then "loss" (with targets), "softmax" and "label" (see `trace`).
    classes : tuple of str, or None
        Names of the classes.
    grad_images : ndarray or None
        The gradient of the loss with respect to the images; None without a backward pass.
    watched : bool
        Whether the steps are those of torch, which end with the layers: softmax and label are made when asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0))
    >>> model[0].weight.data[...], model[0].bias.data[...] = [[2, 3], [0, 1]], [1, 0]
    >>> t = trace(model, np.float32([[10, 100]]), targets=np.array([1]), classes=("cat", "dog"))
    >>> [step.name for step in t.steps]
    ['0', 'loss', 'softmax', 'label']
    >>> t["0"].output
    array([[321., 100.]], dtype=float32)
    >>> t.explain("0", (0, 0)).value            # 10·2 + 100·3 + 1
    321.0
    """

    def __init__(
        self,
        steps: list[Step],
        classes: tuple[str, ...] | None = None,
        grad_images=None,
        watched: bool = False,
    ) -> None:
        self.steps, self.classes, self.watched = steps, classes, watched
        self.grad_images: np.ndarray | None = grad_images

    @property
    def layers(self) -> list[Step]:
        """The steps of the model's layers: all but the loss, the softmax and the label.

        >>> t = trace(nn.Sequential(nn.ReLU()), np.ones((1, 2), np.float32))
        >>> [step.name for step in t], [step.name for step in t.layers]
        (['0', 'softmax', 'label'], ['0'])
        """
        return self.steps[: self._end()]

    @property
    def ending(self) -> dict[str, Step]:
        """The steps behind the layers, by name: the loss, the softmax and the label, as far as there are.

        >>> sorted(trace(nn.Sequential(nn.ReLU()), np.ones((1, 2), np.float32)).ending)
        ['label', 'softmax']
        """
        behind = self.steps[self._end() :]
        if self.watched and self.steps and gives_logits(self.steps[-1].output):
            behind = class_steps(self.steps, self.steps[-1].output, self.classes)
        return {step.name: step for step in behind}

    def _end(self) -> int:
        """Return how many steps are those of layers; a layer may be called "loss", too."""
        end = len(self.steps)
        if end and self.steps[-1].kind == "Label":
            end -= 2
        return end - (end > 0 and not self.watched and self.steps[end - 1].name == "loss")

    def __getitem__(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        names = ", ".join(repr(step.name) for step in self.steps)
        raise KeyError(f"Trace: a step must have been recorded. Got {name!r}. Choose one of {names}.")

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    @checks.without_warnings
    def explain(self, name: str, index, of: str = "output") -> Explanation:
        """Say where one number comes from, term by term.

        Parameters
        ----------
        name : str
            The step: a layer's name, or "loss", "softmax", "label".
        index : int or tuple of int
            Which number of the array; `()` for a loss that is one number.
        of : str
            "output", "grad_input", or a parameter's gradient such as "weight.grad"; of a layer with several
            inputs, "grad_input" is the first one's, and "grad_input 1" the second one's.

        Raises
        ------
        KeyError
            If there is no such step.
        ValueError
            If the step has no such array (a gradient without targets), or the index lies outside it.
        """
        step = self[name]
        explainer = REGISTRY[step.kind]
        array = step.array(of)
        if array is None:
            several = [f"grad_{part}" for part in step.parts if part.startswith("input ")]
            known = ["output", "grad_input", *several[1:], *(f"{key}.grad" for key in step.parameters)]
            advice = f"Choose one of {', '.join(known)}; gradients need targets when tracing."
            if name in ("softmax", "label"):
                advice = "Choose output; the way back begins at the loss, from the logits."
            raise ValueError(f"{step.who}: of must name an array of this step. Got {of!r}. {advice}")
        index = as_index(step.who, of, index, np.shape(array))
        if of == "output":
            return explainer.output(step, index)
        if of == "grad_input":
            return explainer.grad_input(step, index)
        if of.startswith("grad_input "):
            return explainer.grad_input(step, index, of)
        return explainer.grads[of.removesuffix(".grad")](step, index)

    def plot(self, name: str | None = None, *, image: int = 0, figure=None):
        """Draw an image's whole way to its label, or the picture that fits a step, and return the figure.

        Without a name: pixels, feature maps, logits, probabilities and label, from left to right.

        A convolution: its filters and its feature maps. Max pooling: the winners in the strongest channel.
        Softmax and label: the way from logits to probabilities. The loss: its gradient for each logit. Any
        other: feature maps, or bars or a histogram of a vector.

        Parameters
        ----------
        name : str, optional
            The step; by default all of them, as `plot_way` draws them.
        image : int
            Which of the batch.
        figure : matplotlib Figure or SubFigure, optional
            By default a new one, which pyplot does not know of.

        Returns
        -------
        matplotlib Figure or SubFigure

        Raises
        ------
        KeyError
            If there is no such step.
        ValueError
            If there is no such image.

        Examples
        --------
        >>> t = trace(nn.Sequential(nn.Conv2d(1, 2, 3, rng=0)), np.ones((1, 1, 4, 4), np.float32))
        >>> upper, lower = t.plot("0").subfigs
        >>> upper.get_suptitle(), lower.get_suptitle()
        ('Conv2d "0": 2 filters', 'Conv2d "0", image 0: 2 channels')
        >>> len(t.plot().axes)                                  # the image and two maps
        3
        """
        if name is None:
            from minicnn.inspection.figures.way import plot_way

            return plot_way(self, image=image, figure=figure)
        from minicnn.inspection.figures.choice import plot_step

        return plot_step(self[name], image=image, classes=self.classes, figure=figure)

    def __str__(self) -> str:
        return summary_table(self)

    def __repr__(self) -> str:
        return summary_table(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(summary_table(self))}</pre>"


def as_index(who: str, what: str, index, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `index` as a tuple of ints within `shape`, counting negative ones from the end.

    >>> as_index("ReLU", "output", -1, (3,))
    (2,)
    >>> as_index("ReLU", "output", (0, 5), (2, 3))
    Traceback (most recent call last):
    ValueError: ReLU: index must lie within output of shape (2, 3). Got (0, 5). Count every axis from 0.
    """
    given = tuple(index) if isinstance(index, tuple | list | np.ndarray) else (index,)
    try:
        counted = tuple(
            operator.index(i) + (size if i < 0 else 0) for i, size in zip(given, shape, strict=True)
        )
    except (TypeError, ValueError):
        counted = None
    if counted is None or any(not 0 <= i < size for i, size in zip(counted, shape, strict=True)):
        raise ValueError(
            f"{who}: index must lie within {what} of shape {shape}. Got {given}. Count every axis from 0."
        )
    return counted


def trace(model: nn.Module, images: np.ndarray, targets=None, criterion=None, classes=None) -> Trace:
    """Record one forward pass and, with targets, one backward pass of `model`.

    If the output is a row for each image, and the criterion is one of classes or `classes` are named, two steps
    follow, "softmax" and "label". A model that ends in a Softmax has taken it already: then "softmax" is its own,
    from the logits that it was given.

    The model runs in the mode that it is in, and is left as it was: parameters, gradients, batch norm's
    statistics, mode and random state are the same bits after as before, also when something raises.

    Parameters
    ----------
    model : Module
    images : ndarray of shape (N, C, H, W) or whatever the model takes
    targets : ndarray, or None
        What the criterion takes; None records no backward pass.
    criterion : loss, or None
        None stands for ``CrossEntropyLoss()``.
    classes : sequence of str, or None
        Names of the classes, for the label.

    Returns
    -------
    Trace

    Raises
    ------
    TypeError
        If `model` is no module, the criterion no loss, or `classes` no list of names.
    ValueError
        If there is not a name for each logit.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3, rng=0))
    >>> trace(model, np.ones((1, 2), np.float32))["label"].kind
    'Label'
    """
    return traced("trace", model, images, targets, criterion, classes)


def traced(who: str, model: nn.Module, images: np.ndarray, targets, criterion, classes) -> Trace:
    """Return what `trace` does, for a function that messages call `who`.

    >>> traced("what_if", nn.Linear(2, 3), np.ones((1, 2), np.float32), None, None, ["cat", "dog"])
    Traceback (most recent call last):
    ValueError: what_if: each logit needs one class name, or a single logit two. Got 2 names for 3 logits. \
Pass the classes the model was trained with.
    """
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    check_module(who, "model", model)
    check_loss(who, criterion)
    names = labels.as_shown(who, classes)
    with nn.enable_grad(), unchanged(model), kept(criterion), recording(model) as steps:
        output = model(images)
        labels.check_one_a_logit(who, names, output)
        name_origins(steps)
        found, grad_images = list(steps), None
        if targets is not None:
            loss = criterion(output, targets)
            grad = np.ones_like(loss) if np.ndim(loss) else None
            grad_logits = criterion.backward() if grad is None else criterion.backward(grad)
            found.append(
                Step(
                    "loss",
                    type(criterion).__name__,
                    criterion,
                    output,
                    np.asarray(loss),
                    grad_output=grad,
                    grad_input=grad_logits,
                    saved=criterion.saved,
                )
            )
            grad_images = model.backward(grad_logits)
    chooses = names is not None or isinstance(criterion, ClassLoss)
    if chooses and gives_logits(output):
        found += class_steps(steps, output, names)
    return Trace(found, names, grad_images)
