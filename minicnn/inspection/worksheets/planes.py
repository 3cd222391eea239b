"""Exercises on planes of pixels: convolution and pooling, forward and backward, and the slips they invite.

Every number comes from the layer itself, in float64; every slip from a layer that is run in the wrong way.
"""

from __future__ import annotations

import numpy as np

from minicnn import nn
from minicnn.checks import cast
from minicnn.inspection.worksheets.sheet import Worksheet

ON_GRADIENT = "The gradient of the loss with respect to the output is given."


def whole(array: np.ndarray) -> np.ndarray:
    """Return numbers that are whole as int64; anything else is a mistake of the sheet.

    >>> whole(np.array([2.0, -3.0]))
    array([ 2, -3])
    """
    rounded = np.rint(array)
    if np.abs(rounded - array).max(initial=0) > 1e-9:
        raise ValueError("worksheet: answers must be whole numbers. Got fractions. Draw other numbers.")
    return rounded.astype(np.int64)


def words(pair: tuple[int, int]) -> str:
    """Return a pair of sizes in words.

    >>> words((2, 3))
    '2x3'
    """
    return f"{pair[0]}x{pair[1]}"


def small(rng: np.random.Generator, shape, low: int = -4, high: int = 4) -> np.ndarray:
    """Return small whole numbers, none of them 0."""
    numbers = rng.integers(low, high, shape)
    return numbers + (numbers >= 0)


class Convolution:
    """A convolution of one channel by one kernel, which can be run in wrong ways.

    >>> kernel = np.array([[1, 2], [3, 4]])
    >>> Convolution(kernel, bias=0, stride=1, padding=0).output(np.array([[1, 0], [0, 10]]))
    array([[41.]])
    """

    def __init__(self, kernel, bias, stride, padding) -> None:
        self.layer = nn.Conv2d(1, 1, kernel.shape, stride, padding, dtype=np.float64, rng=0)
        self.layer.weight.data[0, 0], self.layer.bias.data[0] = kernel, bias

    def output(self, image: np.ndarray) -> np.ndarray:
        """Return the output for a plane."""
        return self.layer(cast(image)[None, None])[0, 0]

    def gradients(self, image: np.ndarray, grad_output: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradients of the plane and of kernel and bias."""
        self.output(image)
        self.layer.zero_grad()
        grad_input = self.layer.backward(cast(grad_output)[None, None])[0, 0]
        return {
            "grad_input": grad_input,
            "weight.grad": self.layer.weight.grad[0, 0],
            "bias.grad": self.layer.bias.grad,
        }


def draw_conv2d(layer: nn.Conv2d, size: tuple[int, int], of: str, rng: np.random.Generator) -> Worksheet:
    """Return an exercise with the layer's kernel size, stride and padding."""
    stride, padding = layer.stride, layer.padding
    image, kernel = small(rng, size), small(rng, layer.kernel_size)
    bias = int(small(rng, ())) if layer.bias is not None else 0
    right = Convolution(kernel, bias, stride, padding)
    output = right.output(image)
    how = f"Convolution with stride {words(stride)} and padding {words(padding)} (zeros)."
    padded = np.pad(image, [(p, p) for p in padding])
    if of == "output":
        added = " and add the bias" if layer.bias is not None else ""
        task = f"{how}\nLay the kernel on as it stands, sum the products{added}."
        given = {"image": image, "kernel": kernel}
        slips = {
            "kernel flipped": Convolution(kernel[::-1, ::-1], bias, stride, padding).output(image),
            "mean for sum": (output - bias) / kernel.size + bias,
        }
        if layer.bias is not None:
            given["bias"] = np.array([bias])
            slips["bias forgotten"] = output - bias
        if any(padding) and all(i >= k for i, k in zip(size, kernel.shape, strict=True)):
            slips["padding forgotten"] = Convolution(kernel, bias, stride, 0).output(image)
        if stride != (1, 1):
            slips["stride ignored"] = Convolution(kernel, bias, 1, padding).output(image)
        return Worksheet("conv2d", of, task, given, whole(output), slips)
    grad_output = small(rng, output.shape)
    answer = right.gradients(image, grad_output)[of]
    slips = {"gradient sign": -answer}
    reach = [
        o + k - 1 for o, k in zip(grad_output.shape, kernel.shape, strict=True)
    ]  # of windows at stride 1
    if of == "grad_input":
        task = f"{how}\n{ON_GRADIENT} Compute that of the image."
        given = {"kernel": kernel, "grad_output": grad_output}
        flipped = Convolution(kernel[::-1, ::-1], 0, stride, padding)
        slips["kernel flipped"] = flipped.gradients(image, grad_output)[of]
        if any(padding):
            slips["padding forgotten"] = Convolution(kernel, 0, stride, 0).gradients(padded, grad_output)[of]
        if stride != (1, 1):
            close = Convolution(kernel, 0, 1, 0).gradients(np.zeros(reach), grad_output)[of]
            slips["stride ignored"] = close[padding[0] :, padding[1] :]
        return Worksheet("conv2d", of, task, given, whole(answer), slips)
    task = f"{how}\n{ON_GRADIENT} Compute that of the {'kernel' if of == 'weight.grad' else 'bias'}."
    given = (
        {"image": image, "grad_output": grad_output} if of == "weight.grad" else {"grad_output": grad_output}
    )
    slips["mean for sum"] = answer / grad_output.size
    if of == "weight.grad":
        slips["kernel flipped"] = answer[::-1, ::-1]
        if any(padding):
            shifted = np.pad(image, [(0, 2 * p) for p in padding])
            slips["padding forgotten"] = Convolution(kernel, 0, stride, 0).gradients(shifted, grad_output)[of]
        if stride != (1, 1):
            close = padded[: reach[0], : reach[1]]
            slips["stride ignored"] = Convolution(kernel, 0, 1, 0).gradients(close, grad_output)[of]
    return Worksheet("conv2d", of, task, given, whole(answer), slips)


def pooled(kind, plane: np.ndarray, stride, padding, kernel) -> np.ndarray:
    """Return the output of a pooling layer for a plane.

    >>> pooled(nn.MaxPool2d, np.array([[1, 2], [3, 4]]), 2, 0, 2)
    array([[4.]])
    """
    return kind(kernel, stride, padding)(cast(plane)[None, None])[0, 0]


def spread(kind, plane: np.ndarray, grad_output: np.ndarray, stride, padding, kernel) -> np.ndarray:
    """Return the gradient that a pooling layer gives back to a plane.

    >>> spread(nn.MaxPool2d, np.array([[1, 2], [3, 4]]), np.array([[5.0]]), 2, 0, 2)
    array([[0., 0.],
           [0., 5.]])
    """
    layer = kind(kernel, stride, padding)
    layer(cast(plane)[None, None])
    return layer.backward(cast(grad_output)[None, None])[0, 0]


def draw_pool(layer: nn.Module, size: tuple[int, int], of: str, rng: np.random.Generator) -> Worksheet:
    """Return an exercise with the layer's window, stride and padding, for max or average pooling."""
    largest = isinstance(layer, nn.MaxPool2d)
    kind, name = (nn.MaxPool2d, "max_pool2d") if largest else (nn.AvgPool2d, "avg_pool2d")
    stride, padding, kernel = layer.stride, layer.padding, layer.kernel_size
    area = kernel[0] * kernel[1]
    cells = size[0] * size[1]
    different = (rng.permutation(2 * cells + 1) - cells)[:cells].reshape(size)
    image = different if largest else area * small(rng, size)  # no ties; or every mean is whole
    output = pooled(kind, image, stride, padding, kernel)
    what = "the largest number" if largest else "the mean"
    edge = f" ({'which never wins' if largest else 'zeros that count'})" if any(padding) else ""
    how = (
        f"{'Max' if largest else 'Average'} pooling with windows {words(kernel)}, stride {words(stride)} and "
    )
    how += f"padding {words(padding)}{edge}."
    if of == "output":
        slips = {}
        if largest:
            if output.size > 1:  # in one window alone this cannot be told from the smallest
                magnitude = pooled(kind, np.abs(image), stride, padding, kernel)
                ignored = np.where(magnitude > output, -magnitude, magnitude)
                slips["wrong pool winner (its sign ignored)"] = ignored
            slips["wrong pool winner (the smallest)"] = -pooled(kind, -image, stride, padding, kernel)
            zeros = np.pad(image, [(p, p) for p in padding])
            slips["wrong pool winner (a zero of the padding)"] = pooled(kind, zeros, stride, 0, kernel)
            slips["mean for maximum"] = pooled(nn.AvgPool2d, image, stride, padding, kernel)
        else:
            slips["sum for mean"] = output * area
        if any(padding) and all(i >= k for i, k in zip(size, kernel, strict=True)):
            slips["padding forgotten"] = pooled(kind, image, stride, 0, kernel)
        if stride != (1, 1):
            slips["stride ignored"] = pooled(kind, image, 1, padding, kernel)
        return Worksheet(
            name, of, f"{how}\nWrite down {what} of each window.", {"image": image}, whole(output), slips
        )
    grad_output = small(rng, output.shape) * (1 if largest else area)
    answer = spread(kind, image, grad_output, stride, padding, kernel)
    slips = {"gradient sign": -answer}
    share = spread(nn.AvgPool2d, image, grad_output, stride, padding, kernel)
    if largest:
        slips["wrong pool winner (the smallest)"] = spread(kind, -image, grad_output, stride, padding, kernel)
        first = -np.arange(cells).reshape(size)  # the first cell of each window is the largest
        slips["wrong pool winner (the first cell)"] = spread(
            kind, first, grad_output, stride, padding, kernel
        )
        slips["winner ignored: every cell gets the gradient"] = share * area
        given = {"image": image, "grad_output": grad_output}
    else:
        slips["sum for mean"] = share * area
        given = {"grad_output": grad_output}
    task = f"{how}\n{ON_GRADIENT} Compute that of the image ({words(size)})."
    return Worksheet(name, of, task, given, whole(answer), slips)
