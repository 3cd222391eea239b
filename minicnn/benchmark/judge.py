"""What is right: nets computed layer by layer in float64 by the kernels' plainest rungs.

The obstacle courses are judged by `kernels.loops`, the definition itself. For a whole net loops would take
hours, so there the readable compiled rung judges, in float64; it has to pass the obstacle courses too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn import functional, nn
from minicnn.benchmark.nets import COURSES
from minicnn.kernels import im2col, jitted, loops

LEARNING_RATE, EPS = 1e-3, 1e-8  # Adam's defaults, which all entrants use

# Largest difference, relative to the largest number of an array. A sum in float32 is some 1e-6 off. In a
# whole net a number that is almost 0 may fall on the other side of a ReLU, or of a pool's second best, and
# one image's gradient then goes another way; a wrong stride or padding makes differences of about 1.
SUMS, NETS = 1e-4, 5e-3
# Adam's first step is lr · sign(gradient); of gradients near zero the sign is left to rounding.
STEP, WORTH = 2e-2, 1e-2


@dataclass(frozen=True)
class Expected:
    """What a net must give: its logits, its gradients by name, and its weights after one step of Adam.

    Examples
    --------
    >>> net = COURSES[0]
    >>> sorted(expected(net.build(rng=0), *net.batch(1)).gradients)
    ['0.bias', '0.weight', '4.bias', '4.weight']
    """

    logits: np.ndarray
    gradients: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def expected(model: nn.Sequential, images: np.ndarray, targets: np.ndarray, rung=loops) -> Expected:
    """Return what `model` must give for one training step, computed by `rung` in float64.

    Parameters
    ----------
    model : Sequential
        Of Conv2d, ReLU, MaxPool2d, Flatten and Linear.
    images : ndarray of shape (N, C, H, W)
    targets : ndarray of shape (N,), int
    rung : module of minicnn.kernels

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0))
    >>> model[0].weight.data[...], model[0].bias.data[...] = np.eye(2), 0
    >>> found = expected(model, np.float32([[1, 1]]), np.array([0]))
    >>> found.logits, found.gradients["0.bias"]                 # p = 1/2, 1/2
    (array([[1., 1.]]), array([-0.5,  0.5]))
    """
    data = {name: parameter.data.astype(np.float64) for name, parameter in model.named_parameters()}
    activation, inputs, gradients = images.astype(np.float64), {}, {}
    for name, layer in model.children().items():
        activation, inputs[name] = _forward(name, layer, activation, data, rung)
    logits = activation
    onehot = functional.one_hot(targets, logits.shape[1], dtype=np.float64)
    grad = (functional.softmax(logits, axis=1) - onehot) / len(logits)
    for name, layer in reversed(model.children().items()):
        grad = _backward(name, layer, grad, inputs[name], data, gradients, rung)
    weights = {n: w - LEARNING_RATE * gradients[n] / (np.abs(gradients[n]) + EPS) for n, w in data.items()}
    return Expected(logits, gradients, weights)


def _forward(name, layer, activation, data, rung):
    """Return the layer's output and what its backward needs."""
    if isinstance(layer, nn.Conv2d):
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        output = rung.conv2d(activation, data[f"{name}.weight"], data[f"{name}.bias"], *geometry)
        return output, activation
    if isinstance(layer, nn.MaxPool2d):
        pools = im2col if rung is jitted else rung
        output, indices = pools.max_pool2d(
            activation, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode
        )
        return output, (indices, activation.shape)
    if isinstance(layer, nn.Linear):
        linear = loops.linear if rung is loops else im2col.linear
        return linear(activation, data[f"{name}.weight"], data[f"{name}.bias"]), activation
    if isinstance(layer, nn.Flatten):
        return activation.reshape(len(activation), -1), activation.shape
    if isinstance(layer, nn.ReLU):
        return np.maximum(activation, 0), activation
    raise TypeError(f"expected: the judge must know every layer. Got {layer.who}. Race another net.")


def _backward(name, layer, grad, kept, data, gradients, rung):
    """Return the gradient of the layer's input, and put those of its parameters into `gradients`."""
    if isinstance(layer, nn.Conv2d):
        weight, geometry = data[f"{name}.weight"], (layer.stride, layer.padding, layer.dilation, layer.groups)
        gradients[f"{name}.weight"] = rung.conv2d_grad_weight(grad, kept, weight.shape, *geometry)
        gradients[f"{name}.bias"] = grad.sum(axis=(0, 2, 3))
        return rung.conv2d_grad_input(grad, weight, kept.shape, *geometry)
    if isinstance(layer, nn.MaxPool2d):
        pools = im2col if rung is jitted else rung
        return pools.max_pool2d_backward(grad, *kept)
    if isinstance(layer, nn.Linear):
        gradients[f"{name}.weight"], gradients[f"{name}.bias"] = grad.T @ kept, grad.sum(axis=0)
        return grad @ data[f"{name}.weight"]
    if isinstance(layer, nn.Flatten):
        return grad.reshape(kept)
    return grad * (kept > 0)


def difference(actual, wanted: np.ndarray) -> float:
    """Return the largest difference, relative to the largest number wanted; infinite if shapes differ.

    >>> difference(np.array([1.0, 4.5]), np.array([1.0, 5.0]))
    0.1
    """
    actual = np.asarray(actual)
    if actual.shape != wanted.shape:
        return np.inf
    if not wanted.size:
        return 0.0
    found = float(np.abs(actual - wanted).max() / max(np.abs(wanted).max(), 1e-30))
    return found if np.isfinite(found) else np.inf


def fault(runner, wanted: Expected, tolerance: float) -> str:
    """Let a runner make one forward and one training step; return what is wrong with it, or "".

    Parameters
    ----------
    runner : object with forward(), step(), gradients() and weights()
        As the entrants build it (`minicnn.benchmark.entrants`).
    wanted : Expected
    tolerance : float

    Examples
    --------
    >>> from minicnn.benchmark.entrants.ours import Ours
    >>> net = COURSES[0]
    >>> model, batch = net.build(rng=0), net.batch(2)
    >>> fault(Ours().net(model, *batch), expected(model, *batch), SUMS)
    ''
    """
    off = difference(runner.forward(), wanted.logits)
    if off > tolerance:
        return f"logits differ by {off:.0e}"
    runner.step()
    gradients, weights = runner.gradients(), runner.weights()
    for name, gradient in wanted.gradients.items():
        off = difference(gradients[name], gradient)
        if off > tolerance:
            return f"gradient of {name} differs by {off:.0e}"
        sure = np.abs(gradient) > WORTH * np.abs(gradient).max()
        step = np.abs(np.asarray(weights[name]) - wanted.weights[name])[sure].max(initial=0) / LEARNING_RATE
        if not step < STEP:
            return f"{name} after a step of Adam is off by {step:.0e} of the step"
    return ""


def fault_on_courses(entrant) -> str:
    """Return what is wrong with an entrant on the obstacle courses, judged by the loops; "" if nothing is.

    >>> from minicnn.benchmark.entrants.ours import Ours
    >>> fault_on_courses(Ours())
    ''
    """
    for net in COURSES:
        model, (images, targets) = net.build(rng=0), net.batch(3)
        found = attempt(entrant, model, images, targets, expected(model, images, targets), SUMS)[1]
        if found:
            return f"{net.name}: {found}"
    return ""


def attempt(entrant, model, images, targets, wanted: Expected, tolerance: float) -> tuple[object, str]:
    """Return (runner, fault): what the entrant builds for this net, and what is wrong with it.

    >>> from minicnn.benchmark.entrants.ours import Ours
    >>> attempt(Ours(), None, None, None, None, SUMS)[1][:14]
    'AttributeError'
    """
    try:
        runner = entrant.net(model, images, targets)
        return runner, fault(runner, wanted, tolerance)
    except Exception as error:  # whatever a library raises, its race is over and ours goes on
        return None, " ".join(f"{type(error).__name__}: {error}".split())[:120]
