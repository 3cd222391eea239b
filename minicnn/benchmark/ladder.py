"""The four rungs of the kernels on one convolution: loops, im2col, jitted, fast.

The loops would take minutes for a whole batch, so they get a slice of it, and every rung's time is told for
one multiplication and addition.
"""

from __future__ import annotations

from dataclasses import replace

from minicnn.benchmark.convolutions import PASSES, Shape, expected
from minicnn.benchmark.judge import SUMS, difference
from minicnn.benchmark.race import Racer, race
from minicnn.benchmark.report import table
from minicnn.kernels import fast, im2col, jitted, loops

WHOLE = Shape(64, 16, 14, 32, kernel=3, padding=1)
SLICE = replace(WHOLE, N=1, C_in=2, size=7, C_out=2)
RUNGS = {"loops": loops, "im2col": im2col, "jitted": jitted, "fast": fast}


def functions(rung, shape: Shape) -> dict:
    """Return the three passes of a rung on a shape, as functions without arguments.

    >>> functions(fast, SLICE)["forward"]().shape
    (1, 2, 7, 7)
    """
    arrays = shape.arrays()
    x, w, b, g = (arrays[name] for name in ("input", "weight", "bias", "grad_output"))
    return {
        "forward": lambda: rung.conv2d(x, w, b, *shape.geometry),
        "input gradient": lambda: rung.conv2d_grad_input(g, w, x.shape, *shape.geometry),
        "weight gradient": lambda: rung.conv2d_grad_weight(g, x, w.shape, *shape.geometry),
    }


def climb(whole: Shape = WHOLE, runs: int = 30) -> list[dict]:
    """Check the rungs against the loops on the slice, then time them; return a row for each rung and pass.

    Returns
    -------
    list of dict
        ``rung``, ``pass``, ``nanoseconds`` for one multiplication and addition, ``gflops`` a second, and
        ``times_loops``: how many times as fast as the loops.

    Raises
    ------
    RuntimeError
        If a rung does not give what the loops give.

    Examples
    --------
    >>> rows = climb(SLICE, runs=2)
    >>> [row["rung"] for row in rows if row["pass"] == "forward"]
    ['loops', 'im2col', 'jitted', 'fast']
    """
    wanted = expected(SLICE, SLICE.arrays())
    rows = []
    for name in PASSES:
        racers = []
        for rung, module in RUNGS.items():
            off = difference(functions(module, SLICE)[name](), wanted[name])
            if off > SUMS:
                raise RuntimeError(
                    f"bench --ladder: every rung must give what the loops give. Got {rung}'s {name} off by "
                    f"{off:.0e}. Run the tests of minicnn.kernels."
                )
            shape = SLICE if module is loops else whole
            racers.append(Racer(rung, functions(module, shape)[name]))
        times = race(racers, runs, patience=5.0)
        pair = {
            rung: times[rung].median / ((SLICE if rung == "loops" else whole).flops / 2) for rung in RUNGS
        }
        for rung, seconds in pair.items():
            row = {"rung": rung, "pass": name, "nanoseconds": seconds * 1e9}
            rows.append(row | {"gflops": 2 / seconds / 1e9, "times_loops": pair["loops"] / seconds})
    return rows


def ladder_text(rows: list[dict], whole: Shape = WHOLE) -> str:
    """Return the rungs as a table.

    >>> row = {"rung": "fast", "pass": "forward", "nanoseconds": 0.02, "gflops": 100.0, "times_loops": 5e4}
    >>> print(ladder_text([row]).splitlines()[-1])
    fast    forward                  0.02      100       50,000
    """
    header = ["rung  ", "pass", "ns a product", "GFLOP/s", "times loops"]
    lines = []
    for row in rows:
        numbers = f"{row['nanoseconds']:.3g}", f"{row['gflops']:.3g}", f"{row['times_loops']:,.0f}"
        lines.append([row["rung"], row["pass"].ljust(15), *numbers])
    title = f"Convolution {whole} (the loops: {SLICE}); all rungs agree with the loops."
    return f"{title}\n\n{table(header, lines)}"
