"""Neighbours in a Sequential that are computed together: Conv2d and ReLU, and a 2x2 MaxPool2d behind them.

The numbers are the same bits as layer by layer; what is saved is the traffic between them (the picture
stands in `kernels/fast_relu.py`). Nobody needs to know: where somebody looks, the layers run one by one.
That is so for a layer with a hook, as those of the inspector; and a layer whose `backward` is called by
itself, or whose `saved` is needed, is first given what it would have saved.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import numpy as np

from minicnn import kernels
from minicnn.kernels.geometry import conv_output_sizes
from minicnn.nn.activations import ReLU
from minicnn.nn.conv import Conv2d
from minicnn.nn.linear import Flatten, Linear
from minicnn.nn.module import Module
from minicnn.nn.pooling import MaxPool2d
from minicnn.nn.slices import Stages
from minicnn.nn.stages import FlattenStage, LinearStage, Stage, alike, kind_of, saved_for, watched
from minicnn.nn.state import check_places
from minicnn.nn.tree import edits

TWO_BY_TWO = (2, 2), (2, 2), (0, 0), (1, 1)  # kernel, stride, padding and dilation of the pooling


class ConvStage(Stage):
    """A convolution, alone, with ReLU behind it, or with ReLU and 2x2 pooling.

    Examples
    --------
    >>> layers = [Conv2d(1, 1, 1, bias=False), ReLU(), MaxPool2d(2)]
    >>> layers[0].weight.data[...] = 10
    >>> stage = ConvStage(layers)
    >>> stage(np.float32([[[[1, 2], [4, 3]]]]))             # the largest of 10, 20, 40, 30
    array([[[[40.]]]], dtype=float32)
    >>> stage.backward(np.float32([[[[7]]]]))               # 7·10, to the 4
    array([[[[ 0.,  0.],
             [70.,  0.]]]], dtype=float32)
    """

    repeats = True

    def __call__(self, input: np.ndarray, keep: bool = True) -> np.ndarray:
        conv, kind = self.layers[0], kind_of(input)
        weight, bias = conv.weight.data, conv.bias
        known = self.known.get(kind)
        if known is None or not alike(input, weight, bias):
            known = self._look_at(input)
            if known is None:
                return super().__call__(input)
            self.remember(kind, known)
        output, winners = known[2][keep](input, weight, None if bias is None else bias.data)
        return self.keep(known, input, output, winners) if keep else output

    def made(self, output: np.ndarray) -> list[np.ndarray]:
        return [output, self.layers[0].saved["run"].kept] if len(self.layers) == 3 else [output]

    def keep(self, known, input: np.ndarray, output: np.ndarray, winners=None) -> np.ndarray:
        conv, (size, geometry, _) = self.layers[0], known
        weight, bias, shape, dtype = conv.weight.data, conv.bias, output.shape, output.dtype
        arrays = input, weight, None if bias is None else bias.data
        run = Run(self.layers, arrays, geometry, size, output, winners)
        conv.saved = {
            "output_shape": run.sums_shape,
            "dtype": dtype,
            "input": input,
            "weight": weight,
            "geometry": geometry,
            "border": (None, "zeros"),
            "run": run,
        }
        for layer in self.layers[1:]:
            layer.saved = {"output_shape": shape, "dtype": dtype, "fused": run}
        return output

    def _look_at(self, input: np.ndarray) -> tuple | None:
        """Return what is to be known of an input, once it is seen to fit: what depends on nothing but shapes.

        That is the size of a plane of sums, the geometry, and what computes, without and with what backward needs.
        None if the layers have to see to it, one by one.
        """
        conv, together = self.layers[0], len(self.layers)
        if kind_of(input) is None or input.ndim != 4 or conv.pads()[0] is not None:
            return None
        _, weight, _, *geometry = conv.convolution_of(input)
        size = conv_output_sizes(input.shape[2:], weight.shape[2:], *geometry[:3])
        if together == 3 and min(size) < 2:  # then the pooling layer has something to say
            return None
        shapes = input.shape, weight.shape, input.dtype
        computes = [kernels.prepared_conv2d(together, keep, *shapes, *geometry) for keep in (False, True)]
        return size, tuple(geometry), computes

    def work(self, input: np.ndarray, output: np.ndarray) -> int | None:
        """Return how many multiply-adds it took; None for a single image."""
        sums = output.size * (4 if len(self.layers) == 3 else 1)
        return sums * self.layers[0].weight.data[0].size if input.ndim == 4 else None

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the convolution's input; add to its parameters' gradients."""
        run = self._last_run(grad_output)
        if run is None:
            return super().backward(grad_output)
        images, weight, _ = run.arrays
        grad_sums = kernels.conv2d_grad_sums(grad_output, run.kept, run.sums_shape)
        self._learn(run, grad_sums, None)
        return kernels.conv2d_grad_input(grad_sums, weight, images.shape, *run.geometry)

    def backward_parameters(self, grad_output: np.ndarray) -> None:
        """Add to the gradients of the convolution's parameters."""
        run = self._last_run(grad_output)
        if run is None:
            super().backward_parameters(grad_output)
        else:
            self._learn(run, grad_output, run.kept)

    def _last_run(self, grad_output: np.ndarray) -> Run | None:
        """Return it if `grad_output` fits, and no layer has been used otherwise since then."""
        conv, *others = self.layers
        run = conv.saved.get("run")
        for layer in others:
            if layer.saved.get("fused") is not run:
                return None
        return None if saved_for(self.layers[-1], grad_output) is None else run

    def _learn(self, run: Run, grad_output: np.ndarray, kept: np.ndarray | None) -> None:
        """Add to the gradients of the parameters; `kept` tells what `grad_output` still has to go through."""
        conv, (images, weight, bias) = self.layers[0], run.arrays
        given = grad_output, kept, run.sums_shape, images, weight.shape, *run.geometry
        grad_weight, grad_bias = kernels.conv2d_grad_parameters(*given, bias=bias is not None)
        conv.weight.accumulate(grad_weight)
        if bias is not None:
            conv.bias.accumulate(grad_bias)


class ReLUStage(Stage):
    """ReLU with no convolution before it.

    >>> stage = ReLUStage([ReLU()])
    >>> stage(np.float32([3, -4])), stage.backward(np.float32([10, 20]))
    (array([3., 0.], dtype=float32), array([10.,  0.], dtype=float32))
    """

    repeats = True

    def __call__(self, input: np.ndarray, keep: bool = True) -> np.ndarray:
        kind = kind_of(input)
        if kind not in self.known:
            output = super().__call__(input)
            self.remember(kind, True)
            return output
        output = kernels.relu(input)
        return self.keep(True, input, output) if keep else output

    def keep(self, known, input: np.ndarray, output: np.ndarray) -> np.ndarray:
        self.layers[0].saved = {"output_shape": output.shape, "dtype": output.dtype, "output": output}
        return output


class Run:
    """One forward of a ConvStage: what it keeps for the way back.

    >>> layers = [Conv2d(1, 1, 1), ReLU()]
    >>> output = ConvStage(layers)(np.float32([[[[1, -1]]]]))
    >>> layers[1].saved["fused"].unfold("ReLU")
    >>> sorted(layers[1].saved)
    ['dtype', 'output', 'output_shape']
    """

    __slots__ = ("arrays", "geometry", "kept", "layers", "output", "sums_shape")

    def __init__(self, layers, arrays, geometry, size, output, winners) -> None:
        self.layers, self.arrays, self.geometry, self.output = layers, arrays, geometry, output
        self.sums_shape = (*output.shape[:2], *size)
        self.kept = (None, output, winners)[len(layers) - 1]  # by ReLU, or by the pooling windows

    def unfold(self, who: str) -> None:
        """Give every layer what it would have saved, had it run by itself; `who` asks for it."""
        relu, *pools = self.layers[1:]
        rectified, found = self.kept, {}
        if pools:
            rectified = kernels.relu(kernels.conv2d(*self.arrays, *self.geometry))
            output, indices = kernels.max_pool2d(rectified, *TWO_BY_TWO, False)
            if not np.array_equal(output, self.output, equal_nan=True):
                raise RuntimeError(
                    f"{who}: backward by itself needs the numbers of the last forward, computed once more. Got other "
                    f"ones, for the image, the output or a parameter of {self.layers[0].who} has changed since. "
                    "Call model(x) again."
                )
            found[pools[0]] = {
                "output_shape": output.shape,
                "indices": indices,
                "input_shape": self.sums_shape,
            }
        found[relu] = {"output_shape": self.sums_shape, "output": rectified}
        for layer, saved in found.items():
            if layer.saved.get("fused") is self:  # else it has been used otherwise since then
                layer.saved = {"dtype": self.output.dtype, **saved}


def is_two_by_two(pool: MaxPool2d) -> bool:
    """Return whether the pooling takes every 2x2 cells once, and its output alone.

    >>> is_two_by_two(MaxPool2d(2)), is_two_by_two(MaxPool2d(2, stride=1))
    (True, False)
    """
    geometry = pool.kernel_size, pool.stride, pool.padding, pool.dilation
    return geometry == TWO_BY_TWO and not pool.ceil_mode and not pool.return_indices


def runs(layers: Iterable[Module]) -> list[list[Module]]:
    """Return the layers in runs: those of a run are computed together.

    >>> runs([ReLU(), Conv2d(1, 1, 3), ReLU(), MaxPool2d(3)])               # doctest: +ELLIPSIS
    [[ReLU()], [Conv2d(1, 1, kernel_size=(3, 3), stride=(1, 1)), ReLU()], [MaxPool2d(kernel_size=(3, 3), ...)]]
    """
    found: list[list[Module]] = []
    for layer in layers:
        before = [type(other) for other in found[-1]] if found and kernels.FUSES else []
        follows = (before == [Conv2d] and type(layer) is ReLU) or (
            before == [Conv2d, ReLU] and type(layer) is MaxPool2d and is_two_by_two(layer)
        )
        if follows and not any(watched(other) for other in (*found[-1], layer)):
            found[-1].append(layer)
        else:
            found.append([layer])
    return found


STAGES = {Conv2d: ConvStage, ReLU: ReLUStage, Linear: LinearStage, Flatten: FlattenStage}
_stages: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of each model, and at which edit


def stages_of(model: Module) -> Stages:
    """Return the stages of a model's children, the same ones until any module is edited.

    >>> from minicnn.nn import Sequential
    >>> model = Sequential(Conv2d(1, 1, 3), ReLU(), ReLU())
    >>> [type(stage).__name__ for stage in stages_of(model)], stages_of(model) is stages_of(model)
    (['ConvStage', 'ReLUStage'], True)
    """
    found, edit = _stages.get(model), edits()  # before the layers are looked at: what comes after it is new
    if found is None or found[0] != edit:  # a layer may be another one now, or have a hook
        check_places(model.who, model._places())
        stages = Stages([])
        for layers in runs(model.children().values()):
            quick = kernels.FUSES and not watched(layers[0])
            stages.append((STAGES.get(type(layers[0]), Stage) if quick else Stage)(layers))
        found = _stages[model] = edit, stages
    return found[1]
