"""What is shown of a race: the figures, the table, the JSON, the picture."""

from __future__ import annotations

import json
import warnings

import pytest
from PIL import Image

from minicnn.benchmark import figures, save, text
from minicnn.benchmark.machine import one_line, warning
from minicnn.benchmark.report import struck_out
from tests.benchmark.planted import PLANTED_MACHINE, planted_results, planted_row

NAMES = [
    "training step, each net, each N: best torch / ours",
    "the same, geometric mean",
    "forward, each net, each N",
    "forward at N = 1",
    "convolution sweep, geometric mean of all three passes",
    "worst shape of the sweep",
    "share of the sgemm rate, 3x3, 16 or more channels, N = 64",
    "every from-scratch peer, every case: its time / ours",
    "first training step from an empty cache, imports included",
    "the same with a full cache",
    "import minicnn",
    "peak memory of a training step, each net, N = 256: ours / torch's",
    "2 threads against 1, DeeperCNN, N = 64",
    "cost per image from N = 64 to N = 1024: large / small",
    "MNIST complete: training until 99.0 % of the test images",
]


def test_every_figure_has_its_line_and_a_good_race_meets_all():
    found = figures(planted_results())
    assert [figure.name for figure in found] == NAMES
    assert {figure.verdict for figure in found} == {"met"}


def net(ratio, N, name):
    return planted_row(ratio, net="SimpleCNN", N=N, **{"pass": name})


@pytest.mark.parametrize(
    ("missed", "changed"),
    [
        ({0}, {"nets": [net(0.9, 64, "training step"), net(9.0, 1, "training step")]}),
        ({0, 1}, {"nets": [net(0.5, 64, "training step"), net(2.0, 1, "training step")]}),
        ({2}, {"nets": [net(0.9, 64, "forward")]}),
        ({3}, {"nets": [net(1.9, 1, "forward")]}),
        ({4, 5}, {"convolutions": [planted_row(0.5, shape="s", full_tile=False, **{"pass": "forward"})]}),
        (
            {6},
            {"convolutions": [planted_row(2, shape="s", full_tile=True, share=0.59, **{"pass": "forward"})]},
        ),
        (
            {8, 9, 10},
            {"cold": {"import": {"minicnn": 1}, "first_step": {"empty cache": 13, "full cache": 2}}},
        ),
        ({11}, {"memory": [{"net": "A", "N": 256, "step": {"ours": 2, "torch eager": 1}, "ratio": 2.0}]}),
        ({12}, {"threads": {"forward": 1.6, "training step": 1.9, "arithmetic alone": 1.7}}),
        ({13}, {"cost_per_image": [{"net": "A", "forward": 1.2, "training step": 1.0}]}),
        ({14}, {"complete": {"accuracy": [0.98], "seconds": [9.0], "seconds_to_goal": None}}),
        ({14}, {"complete": {"accuracy": [0.99], "seconds": [31.0], "seconds_to_goal": 31.0}}),
    ],
)
def test_a_bad_number_is_missed_and_nothing_else(missed, changed):
    verdicts = [figure.verdict for figure in figures(planted_results(**changed))]
    assert {index for index, verdict in enumerate(verdicts) if verdict == "MISSED"} == missed


def test_a_slow_peer_is_no_fault_and_a_quick_one_is():
    row = net(2.5, 64, "forward")
    row["ratios"] |= {"mygrad": 80.0, "pydynet": 4.0}
    found = figures(planted_results(nets=[row]))[7]
    assert (found.verdict, found.measured) == ("MISSED", "lowest 4.0 (pydynet, SimpleCNN, N = 64, forward)")


def test_without_torch_nothing_beside_torch_is_measured():
    row = net(2.0, 64, "forward") | {"ratios": {}, "best_torch": None, "ratio": None}
    found = figures({"nets": [row], "memory": [{"net": "A", "N": 256, "step": {"ours": 1.0}, "ratio": None}]})
    assert {figure.verdict for figure in found} == {"not measured"}


def test_the_text_names_machine_tables_struck_out_and_figures():
    printed = text(planted_results())
    assert printed.startswith(
        "a processor, 2 cores, Linux x86_64; python 3.12.0, minicnn 0.1.0; threads: minicnn 2\n"
    )
    assert "Absent:\n  jax: not installed" in printed
    assert "This machine multiplies 180 GFLOP/s (sgemm, NumPy) and copies 20.0 GB/s." in printed
    row = "SimpleCNN, N = 1   1.00 ms  2.50 ms  50.0 ms        x          2.50  ±0%, ±0%"
    assert row in printed
    assert "64x16x14x14 -> 32, 3x3, forward  1.00 ms  1.50 ms          1.50  ±0%, ±0%       90%" in printed
    assert "ReLU, 64x10, forward  1.00 ms  1.50 ms          1.50" in printed
    assert "DeeperCNN, N = 256  100 MB       200 MB" in printed
    assert "  pydynet: strided: logits differ by 1e+00 (SimpleCNN, N = 1)" in printed
    for name in NAMES:
        assert f"\n{name}" in printed


def test_whoever_is_struck_out_often_has_one_line():
    rows = [net(1.0, N, "forward") | {"struck_out": {"mygrad": "no stride"}} for N in (1, 64)]
    assert struck_out({"nets": rows}) == ["  mygrad: no stride (SimpleCNN, N = 1, ...)"]


def test_a_busy_machine_is_told():
    assert warning(PLANTED_MACHINE) == ""
    busy = PLANTED_MACHINE | {"busy": 1.4}
    sentence = (
        "Other programs kept 1.4 cores busy when the race began: "
        "times of this run say little, repeat it on a quiet machine."
    )
    assert warning(busy) == sentence
    assert sentence in text(planted_results(machine=busy))


def test_json_and_picture(tmp_path):
    results = planted_results()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = save(results, tmp_path / "deep" / "folder")
    assert [path.name for path in paths] == ["bench.json", "bench.png"]
    kept = json.loads(paths[0].read_text())
    figures_kept = kept.pop("figures")
    assert kept == results  # nothing that JSON would change
    assert [line["name"] for line in figures_kept] == NAMES
    assert all(sorted(line) == ["aim", "measured", "must", "name", "verdict"] for line in figures_kept)
    with Image.open(paths[1]) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


@pytest.mark.parametrize("left", [["nets"], ["convolutions"], []])
def test_a_part_alone_is_drawn_or_not(left, tmp_path):
    results = {
        name: value for name, value in planted_results().items() if name in ("machine", "absent", *left)
    }
    assert [path.suffix for path in save(results, tmp_path)] == [".json", *([".png"] if left else [])]


def test_one_line_names_everything():
    assert one_line(PLANTED_MACHINE).endswith("python 3.12.0, minicnn 0.1.0; threads: minicnn 2")
