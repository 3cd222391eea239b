"""The sweep of convolutions: forward, input gradient and weight gradient of many shapes.

Judged twice: the kernel, stride, padding, dilation and groups of every shape on a few small images by
`kernels.loops`, and the shape as it is raced by the readable compiled rung in float64. `torch.compile` does
not take part: of a single convolution it makes a call to the same library function that eager torch calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from minicnn.benchmark import judge
from minicnn.benchmark.race import Racer, race
from minicnn.benchmark.result import outcome
from minicnn.kernels import jitted, loops
from minicnn.kernels.geometry import conv_output_size

PASSES = ("forward", "input gradient", "weight gradient")


@dataclass(frozen=True)
class Shape:
    """One convolution: N images of C_in x size x size, C_out filters of kernel x kernel.

    Examples
    --------
    >>> shape = Shape(64, 16, 14, 32, kernel=3, padding=1)
    >>> print(shape, shape.output_shape, shape.flops)          # 2 · 64·32·14·14 · 16·3·3
    64x16x14x14 -> 32, 3x3 (64, 32, 14, 14) 115605504
    >>> print(Shape(8, 3, 64, 64, kernel=7, stride=2, padding=3))
    8x3x64x64 -> 64, 7x7, stride 2
    """

    N: int
    C_in: int
    size: int
    C_out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    extra_columns: int = 0  # the judge's small images are wider than high

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return self.N, self.C_in, self.size, self.size + self.extra_columns

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.C_out, self.C_in // self.groups, self.kernel, self.kernel

    @property
    def geometry(self) -> tuple:
        """Stride, padding and dilation as pairs, and groups: the last arguments of the kernels."""
        return (self.stride,) * 2, (self.padding,) * 2, (self.dilation,) * 2, self.groups

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        taps = self.kernel, self.stride, self.padding, self.dilation
        return (self.N, self.C_out, *(conv_output_size(size, *taps) for size in self.input_shape[2:]))

    @property
    def flops(self) -> int:
        """Multiplications and additions of one pass; products with padding count."""
        return 2 * int(np.prod(self.output_shape)) * int(np.prod(self.weight_shape[1:]))

    @property
    def is_full_tile(self) -> bool:
        """Say whether the share of the sgemm rate is promised: 3x3, 16 or more channels, N = 64, one group."""
        return self.kernel == 3 and min(self.C_in, self.C_out) >= 16 and self.N == 64 and self.groups == 1

    def small(self) -> Shape:
        """Return the same kind of convolution for few channels and pixels, on odd images.

        >>> print(Shape(64, 32, 64, 64, kernel=3, stride=2, groups=4).small().input_shape)
        (2, 6, 7, 9)
        """
        groups = min(self.groups, 2)
        channels = groups * min(self.C_in // self.groups, 3), groups * min(self.C_out // self.groups, 5)
        size = max(self.dilation * (self.kernel - 1) + 1 - 2 * self.padding, 0) + 4
        return replace(
            self, N=2, C_in=channels[0], C_out=channels[1], size=size | 1, groups=groups, extra_columns=2
        )

    def arrays(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Return input, weight, bias and grad_output, float32, the same for the same seed."""
        rng = np.random.default_rng(seed)
        shapes = {
            "input": self.input_shape,
            "weight": self.weight_shape,
            "bias": (self.C_out,),
            "grad_output": self.output_shape,
        }
        return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    def __str__(self) -> str:
        text = f"{'x'.join(map(str, self.input_shape))} -> {self.C_out}, {self.kernel}x{self.kernel}"
        named = (("stride", 1), ("dilation", 1), ("groups", 1))
        return text + "".join(
            f", {name} {getattr(self, name)}" for name, usual in named if getattr(self, name) != usual
        )


SWEEP = (
    Shape(64, 1, 28, 16, kernel=3, padding=1),
    Shape(64, 3, 32, 16, kernel=3, padding=1),
    Shape(64, 3, 32, 32, kernel=3, padding=1),
    Shape(64, 16, 14, 32, kernel=3, padding=1),
    Shape(64, 32, 16, 64, kernel=3, padding=1),
    Shape(64, 64, 16, 64, kernel=3, padding=1),
    Shape(64, 128, 7, 128, kernel=3, padding=1),
    Shape(64, 32, 32, 64, kernel=3, stride=2, padding=1),
    Shape(8, 3, 64, 32, kernel=3, padding=1),
    Shape(8, 64, 28, 64, kernel=3, padding=1),
    Shape(8, 64, 28, 128, kernel=3, stride=2, padding=1),
    Shape(1, 3, 28, 16, kernel=3, padding=1),
    Shape(1, 16, 14, 32, kernel=3, padding=1),
    Shape(1, 64, 64, 64, kernel=3, padding=1),
    Shape(1, 128, 7, 128, kernel=3, padding=1),
    Shape(64, 64, 16, 64, kernel=1),
    Shape(64, 16, 28, 32, kernel=1, stride=2),
    Shape(8, 128, 14, 128, kernel=1),
    Shape(1, 64, 28, 64, kernel=1),
    Shape(64, 1, 28, 6, kernel=5, padding=2),
    Shape(64, 6, 14, 16, kernel=5),
    Shape(8, 16, 28, 32, kernel=5, padding=2),
    Shape(1, 32, 14, 64, kernel=5, padding=2),
    Shape(8, 3, 64, 64, kernel=7, stride=2, padding=3),
    Shape(1, 3, 64, 32, kernel=7, stride=2, padding=3),
    Shape(8, 16, 28, 16, kernel=7, padding=3),
    Shape(8, 32, 28, 32, kernel=3, padding=1, groups=4),
    Shape(8, 64, 14, 64, kernel=3, padding=1, groups=64),
    Shape(8, 32, 28, 32, kernel=3, padding=2, dilation=2),
    Shape(1, 16, 32, 16, kernel=3, padding=3, dilation=3),
)


def expected(shape: Shape, arrays: dict[str, np.ndarray], rung=loops) -> dict[str, np.ndarray]:
    """Return what the three passes must give, computed by `rung` in float64.

    >>> shape = Shape(1, 1, 3, 2, kernel=2)
    >>> {name: array.shape for name, array in expected(shape, shape.arrays()).items()}
    {'forward': (1, 2, 2, 2), 'input gradient': (1, 1, 3, 3), 'weight gradient': (2, 1, 2, 2)}
    """
    x, w, b, g = (arrays[name].astype(np.float64) for name in ("input", "weight", "bias", "grad_output"))
    return {
        "forward": rung.conv2d(x, w, b, *shape.geometry),
        "input gradient": rung.conv2d_grad_input(g, w, x.shape, *shape.geometry),
        "weight gradient": rung.conv2d_grad_weight(g, x, w.shape, *shape.geometry),
    }


def judged(entrant, shape: Shape, wanted: dict, small_wanted: dict) -> tuple[dict[str, Callable], str]:
    """Return an entrant's functions for the passes of a shape, and what is wrong with them, or "".

    >>> from minicnn.benchmark.entrants import Ours
    >>> shape = Shape(1, 2, 5, 3, kernel=3, padding=1)
    >>> wanted = expected(shape, shape.arrays()), expected(shape.small(), shape.small().arrays())
    >>> functions, fault = judged(Ours(), shape, *wanted)
    >>> sorted(functions), fault
    (['forward', 'input gradient', 'weight gradient'], '')
    """
    for candidate, right in ((shape.small(), small_wanted), (shape, wanted)):
        try:
            functions = entrant.convolution(candidate, candidate.arrays())
            found = {name: judge.difference(functions[name](), right[name]) for name in PASSES}
        except Exception as error:  # whatever a library raises, its race is over and ours goes on
            return {}, " ".join(f"{type(error).__name__}: {error}".split())[:120]
        for name, off in found.items():
            if off > judge.SUMS:
                return functions, f"{name} differs by {off:.0e}"
    return functions, ""


def sweep(entrants: list, shapes, runs: int, patience: float, progress=None, product=None) -> Iterator[dict]:
    """Judge and race every shape; yield one row for each pass.

    Where a share of the sgemm rate is promised, `product` (of `limits.product_racer`) takes turns with the
    others: the rate changes with the minute on a machine that is shared, and so does ours.

    >>> from minicnn.benchmark.entrants import Ours
    >>> rows = list(sweep([Ours()], [Shape(1, 1, 5, 2, kernel=3)], runs=2, patience=1))
    >>> [(row["pass"], row["struck_out"], list(row["times"])) for row in rows][0]
    ('forward', {}, ['ours'])
    """
    for shape in shapes:
        wanted = expected(shape, shape.arrays(), jitted)
        small_wanted = expected(shape.small(), shape.small().arrays(), loops)
        functions, struck_out = {}, {}
        for entrant in entrants:
            if not hasattr(entrant, "convolution") or entrant.name == "torch.compile":
                continue
            functions[entrant.name], fault = judged(entrant, shape, wanted, small_wanted)
            if fault:
                struck_out[entrant.name] = fault
        for name in PASSES:
            racers = [Racer(who, found[name]) for who, found in functions.items() if who not in struck_out]
            against = [product[0]] if product and shape.is_full_tile else []
            times = race([*racers, *against], runs, patience=patience)
            row = {"shape": str(shape), "pass": name, "flops": shape.flops, "full_tile": shape.is_full_tile}
            if against:
                row["sgemm_gflops"] = product[1] / times.pop("sgemm").median
            yield row | outcome(times, struck_out)
        if progress is not None:
            progress(f"convolution {shape}")
