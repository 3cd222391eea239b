"""chain: the whole story of one image on one page, from its pixels to its label and back."""

from __future__ import annotations

import numpy as np

from minicnn import checks, nn
from minicnn.inspection.explainers.losses import log_softmax, truth_of
from minicnn.inspection.letters import numbers, picture, strength
from minicnn.inspection.page import Page, Section, largest, position, short
from minicnn.inspection.table import span
from minicnn.inspection.trace import Trace


class Story(Page):
    """What `chain` returns: the page, and the numbers on it.

    Attributes
    ----------
    trace : Trace
    image : int
        Which image of the batch.
    pixels : ndarray
        What went into the model.
    layers : list of Step
        The steps of the layers, without loss, softmax and label.
    output : ndarray
        What came out of the model.
    logits : ndarray
        The same, unless the model ends in a Softmax: then what that was given.
    label : str or int, or None
        The class of the largest probability; None where the output is no row of logits.
    received : dict of str to float
        For each layer with a recorded backward: the sum of |grad_output| over this image.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0))
    >>> model[0].weight.data[...], model[0].bias.data[...] = [[1, 0], [0, 1]], 0
    >>> story = chain(trace(model, np.float32([[1, 3]]), np.array([0]), classes=("cat", "dog")))
    >>> story.label, story.logits.tolist()
    ('dog', [1.0, 3.0])
    """

    def __init__(self, trace: Trace, image: int) -> None:
        self.trace, self.image = trace, image
        self.layers = trace.layers
        self.pixels = self.layers[0].input[image]
        ending = trace.ending
        output = ending["loss"].input if "loss" in ending else self.layers[-1].output
        logits = ending["softmax"].input if "softmax" in ending else output
        self.loss, self.output, self.logits = ending.get("loss"), output[image], logits[image]
        self.ends_in_softmax = logits is not output
        one = "loss" in ending and self.loss.kind == "BCEWithLogitsLoss" and logits.shape[1:] == (1,)
        self.ways = self._ways(logits) if "label" in ending or one else None
        self.label = self.ways.label if self.ways is not None else None
        self.received = {
            step.name: float(np.abs(step.grad_output[image]).sum(dtype=np.float64))
            for step in self.layers
            if step.grad_output is not None
        }
        self.title = f"image {image} of {len(output)}: from pixels to label" + " and back" * bool(
            self.received
        )

    def _ways(self, logits: np.ndarray):
        """Return the classifier's chain from this image's logits to its label."""
        from minicnn.classifier.decision import Decision  # brings scikit-learn, which only this page needs
        from minicnn.classifier.explain import explain_logits

        count = max(logits.shape[1], 2)
        names = np.array(range(count) if self.trace.classes is None else self.trace.classes)
        return explain_logits(logits[self.image : self.image + 1], Decision(names, who="chain"))[0]

    def sections(self) -> list[Section]:
        """Return pixels, layers, logits to label, loss, and the gradients on their way back."""
        parts = [self._pixels(), self._forward(), self._decision()]
        if self.loss is not None:
            parts.append(self._loss())
        return [*parts, self._backward()] if self.received else parts

    def _pixels(self) -> Section:
        shape = "x".join(map(str, self.pixels.shape))
        facts = f"range {span(self.pixels)}, mean {short(checks.cast(self.pixels).mean())}"
        return Section(f"pixels: {shape}, {facts}", above=picture(self.pixels))

    def _forward(self) -> Section:
        header = ["layer", "kind", "gives", "largest at", "range", "mean", "zeros", "strongest"]
        rows = [[step.name, step.kind, *facts_of(step.output[self.image])] for step in self.layers]
        below = [
            "largest at: the place of the largest magnitude, whatever its sign",
            "zeros: share of exact zeros; strongest: the channel with the largest mean magnitude",
        ]
        return Section("forward: what each layer made of them", [], header, rows, below, left=4)

    def _decision(self) -> Section:
        if self.ways is None:
            return Section("output", above=[f"shape {self.output.shape}: {numbers(self.output)}"])
        title, *lines = str(self.ways).split("\n")
        return Section(title.split(": ", 1)[1], above=[line.removeprefix("  ") for line in lines])

    def _loss(self) -> Section:
        step = self.loss
        batch = f"loss of the batch, {step.module!r}: {short(np.mean(step.output))}"
        lines = [batch] if np.ndim(step.output) == 0 else [f"{batch} (mean of the losses)"]
        if isinstance(step.module, nn.CrossEntropyLoss) and self.output.ndim == 1:
            truth = truth_of(step)[self.image]
            surprise = -log_softmax(self.output, 0)
            own = float(np.where(truth == 0, 0, truth * surprise).sum())
            lines.append(f"of this image: Σ truth·(-log p) = {short(own)}, {self._named(truth)}")
            if self.ends_in_softmax:
                lines.append(
                    "p is squeezed twice: the model ends in a Softmax, and this loss takes one of its output"
                )
        grad, what = step.grad_input[self.image], "output" if self.ends_in_softmax else "logits"
        lines.append(f"gradient of the {what}: {numbers(grad)}")
        return Section("loss", above=lines)

    def _named(self, truth: np.ndarray) -> str:
        """Return the true class in words."""
        target = self.loss.saved["targets"][self.image]
        if np.ndim(target) == 0 and target == self.loss.module.ignore_index:
            return f"target {target}: ignored"
        if np.count_nonzero(truth) != 1:
            return f"truth = {numbers(truth)}"
        index = int(truth.argmax())
        name = index if self.trace.classes is None else self.trace.classes[index]
        if self.ways is None:
            return f"truth: {name!r}"
        return f"truth: {name!r}; the label is {'right' if index == self.ways.index else 'wrong'}"

    def _backward(self) -> Section:
        totals = list(self.received.values())
        if self.trace.grad_images is not None:
            grad_image = self.trace.grad_images[self.image]
            totals.append(float(np.abs(grad_image).sum(dtype=np.float64)))
        most = max((value for value in totals if np.isfinite(value)), default=0.0)
        header = ["layer", "kind", "", "largest at", "received Σ|G|", "largest", "zeros", "its parameters"]
        rows = []
        for step in reversed(self.layers):
            if step.grad_output is None:
                rows.append([step.name, step.kind, "", "no gradient came here", "", "", "", ""])
                continue
            bar = strength(self.received[step.name], most)
            rows.append([step.name, step.kind, bar, *gradient_facts(step.grad_output[self.image])])
            grads = [f"{key} {short(np.abs(grad).max(initial=0))}" for key, grad in step.grads.items()]
            rows[-1].append(", ".join(grads) or "-")
        if self.trace.grad_images is not None:
            rows.append(["pixels", "", strength(totals[-1], most), *gradient_facts(grad_image), "-"])
        count = len(self.layers[0].output)
        images = "the only image" if count == 1 else f"all {count} images"
        below = [
            "G: the gradient of the loss with respect to what the layer gave",
            f"its parameters: largest |gradient|, from {images} of the batch",
        ]
        return Section("backward: which layer received how much gradient", [], header, rows, below, left=4)


def facts_of(output: np.ndarray) -> list[str]:
    """Return what is told of one image's activations: shape, place of the largest, range, mean, ...

    >>> facts_of(np.array([[[0.0, 1.0]], [[-4.0, 0.0]]]))
    ['2x1x2', 'channel 1, row 0, column 0', '-4 .. 1', '-0.75', '50%', 'channel 1']
    """
    shape = "x".join(map(str, output.shape)) or "1"
    if not output.size:
        return [shape, "-", "-", "-", "-", "-"]
    strongest = "-"
    if output.ndim == 3:
        magnitude = np.abs(checks.cast(output)).mean(axis=(1, 2))
        strongest = f"channel {largest(magnitude)[0]}"
    mean = short(checks.cast(output).mean()) if np.isfinite(output).all() else "not finite"
    zeros = f"{(output == 0).mean():.0%}"
    return [shape, position(largest(output)) or "-", span(output), mean, zeros, strongest]


def gradient_facts(grad: np.ndarray) -> list[str]:
    """Return what is told of one image's gradient: place of the largest, sum, largest, share of zeros.

    >>> gradient_facts(np.array([0.5, -2.0, 0.0, 0.0]))
    ['feature 1', '2.5', '-2', '50%']
    """
    if not grad.size:
        return ["-", "0", "-", "-"]
    place = largest(grad)
    total = np.abs(grad).sum(dtype=np.float64)
    return [position(place) or "-", short(total), short(grad[place]), f"{(grad == 0).mean():.0%}"]


def chain(t: Trace, image: int = 0) -> Story:
    """Tell the whole story of one image, top to bottom, on one page.

    Its pixels, what each layer made of them, logits, probabilities and label; then, if the trace has
    targets, the loss and, backwards, which layer received how much gradient.

    Parameters
    ----------
    t : Trace
        Of a batch: `trace(model, images, targets, classes=...)`.
    image : int
        Which image of the batch; negative ones count from the end.

    Returns
    -------
    Story
        Prints as the page, and shows tables in a notebook.

    Raises
    ------
    TypeError
        If `t` is no Trace, or `image` no int.
    ValueError
        If there is no such image, or the trace is not of a batch.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0))
    >>> model[0].weight.data[...], model[0].bias.data[...] = [[2, 3], [0, 1]], [1, 0]
    >>> print(chain(trace(model, np.float32([[1, 10]]))))
    image 0 of 1: from pixels to label
    <BLANKLINE>
    pixels: 2, range 1 .. 10, mean 5.5
      1, 10
    <BLANKLINE>
    forward: what each layer made of them
      layer  kind    gives  largest at     range  mean  zeros  strongest
      0      Linear  2      feature 0   10 .. 33  21.5     0%          -
      largest at: the place of the largest magnitude, whatever its sign
      zeros: share of exact zeros; strongest: the channel with the largest mean magnitude
    <BLANKLINE>
    2 logits -> softmax -> argmax -> label
      index  class  logit z   z - max  exp(z - max)  probability  rank
          0  0      33.0000    0.0000      1.000000     1.000000     1
          1  1      10.0000  -23.0000     1.026e-10    1.026e-10     2
      max 33.0000, sum of exp 1.000000, probability = exp / sum
      argmax: index 0 -> class 0 -> label 0
      top 2: 0 1.000000, 1 1.026e-10
    """
    if not isinstance(t, Trace):
        raise TypeError(
            f"chain: t must be a Trace. Got {type(t).__name__}. Pass trace(model, images, targets)."
        )
    number = checks.as_int("chain", "image", image)
    layers = t.layers
    if not layers:
        raise ValueError(
            "chain: the trace must hold a layer. Got none. Trace a model with at least one layer."
        )
    counts = {np.shape(array)[:1] for step in layers for array in (step.input, step.output)}
    if len(counts) > 1 or counts == {()}:
        shapes = f"{np.shape(layers[0].input)} and {np.shape(layers[-1].output)}"
        raise ValueError(
            f"chain: every layer must keep the images apart along axis 0. Got input and output of shape "
            f"{shapes}. Trace a batch, such as images[:1]."
        )
    count = counts.pop()[0]
    if not -count <= number < count:
        raise ValueError(f"chain: image must be one of the {count} traced. Got {number}. Count from 0.")
    return Story(t, number % count)
