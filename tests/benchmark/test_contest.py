"""The whole race in its smallest size, and the command."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from minicnn import get_num_threads
from minicnn.benchmark import Settings, cold, entrants, run, whole_nets
from minicnn.benchmark.contest import PARTS, tiny
from minicnn.benchmark.entrants import Ours
from minicnn.benchmark.entrants.ours import Runner
from minicnn.benchmark.ladder import SLICE, climb
from minicnn.benchmark.nets import NETS
from minicnn.benchmark.race import Times
from minicnn.cli import build_parser, main
from minicnn.commands import bench


def without(monkeypatch, *libraries):
    """Let these libraries be absent."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in libraries else real(name))


@pytest.mark.parametrize("part", ["nets", "convolutions", "operations"])
def test_a_tiny_race_goes_through_and_counts_its_steps(part):
    told, alone = [], ([Ours()], {})
    results = run(tiny(part), told.append, field=None if part == "operations" else alone)
    assert len(told) == tiny(part).steps()
    json.dumps(results)
    rows = results[{"operations": "layers"}.get(part, part)]
    assert rows
    for row in rows:
        assert "ours" in row["times"]
        assert not row["struck_out"]
        assert row["times"]["ours"]["runs"] == 2


def test_cold_counts_its_steps_and_compares(monkeypatch):
    def child(code, **environment):
        return {"seconds": 5.0 if environment else 1.0, "step": 10.0, "process": 100.0}

    monkeypatch.setattr(cold, "child", child)
    told = []
    results = run(tiny("cold"), told.append)
    assert len(told) == tiny("cold").steps()
    assert results["cold"]["first_step"]["empty cache"] == 5.0
    assert results["memory"][0]["step"]["ours"] == 10.0


def test_cold_leaves_out_the_first_of_several_rounds(monkeypatch):
    seconds = iter(range(100, 200))
    monkeypatch.setattr(cold, "child", lambda code, **environment: {"seconds": next(seconds)})
    monkeypatch.setattr(cold, "is_installed", lambda library: False)
    found = cold.start(runs=3)  # round 0: 100, 101; round 1: 102 ... 105; 2: 106 ... 109; 3: 110 ... 113
    assert found == {
        "import": {"minicnn": 106, "numba": 107},
        "first_step": {"empty cache": 108, "full cache": 109},
    }


def test_the_cost_of_an_image_is_that_of_the_same_images_in_small_batches(monkeypatch):
    seen = {"whole": [], "parts": []}

    def one_turn(racers, runs):
        for racer in racers:
            racer.run()
        return {"whole": Times([3.0] * runs), "parts": Times([2.0] * runs)}

    def noted(runner):
        seen["whole" if len(runner.images) == 5 else "parts"].append((runner.images, runner.targets))

    monkeypatch.setattr(whole_nets, "race", one_turn)
    monkeypatch.setattr(Runner, "forward", noted)
    monkeypatch.setattr(Runner, "step", noted)
    net = NETS["MNIST net"]
    found = whole_nets.cost_per_image(net, 2, 5, runs=3)
    assert (found["forward"], found["training step"]) == (1.5, 1.5)
    assert [len(images) for images, _ in seen["parts"]] == [2, 2, 1, 2, 2, 1]
    for batches in (seen["whole"][:1], seen["whole"][1:], seen["parts"][:3], seen["parts"][3:]):
        for taken, all_of_them in zip(zip(*batches, strict=True), net.batch(5), strict=True):
            np.testing.assert_array_equal(np.concatenate(taken), all_of_them)


def test_a_child_that_fails_says_why():
    with pytest.raises(
        RuntimeError, match=r"Got ZeroDivisionError: division by zero\. Run minicnn tour first"
    ):
        cold.child("1 / 0")


def test_a_child_knows_threads_and_its_environment():
    code = "import os; print('{\"threads\": %s, \"x\": %s}' % (os.environ['MINICNN_NUM_THREADS'], os.environ['X']))"
    found = cold.child(code, X="7")
    assert (found["threads"], found["x"]) == (get_num_threads(), 7)


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ([], (False, False, None, "minicnn-bench")),
        (["--quick"], (True, False, None, "minicnn-bench")),
        (["--quick", "--only", "cold", "--out", "there"], (True, False, "cold", "there")),
        (["--ladder"], (False, True, None, "minicnn-bench")),
    ],
)
def test_options(typed, wanted):
    parsed = build_parser().parse_args(["bench", *typed])
    assert (parsed.quick, parsed.ladder, parsed.only, parsed.out) == wanted


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--only", "everything"])
    assert stopped.value.code == 2
    assert "invalid choice: 'everything'" in capsys.readouterr().err


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    printed = capsys.readouterr().out
    assert "minicnn bench --quick" in printed
    assert "minicnn bench --ladder" in printed


def test_the_parts_of_the_command_are_those_of_the_race():
    assert {build_parser().parse_args(["bench", "--only", part]).only for part in PARTS} == set(PARTS)


def test_the_full_race_is_what_is_promised():
    full, quick = Settings(), Settings.quick()
    assert full.runs >= 30
    assert full.batch_sizes == (1, 32, 64, 256)
    assert full.everyone
    assert not quick.everyone
    assert quick.steps() < full.steps()


def test_the_command_prints_and_writes_without_torch(monkeypatch, tmp_path, capsys):
    without(monkeypatch, "torch")
    small = tiny("operations")
    monkeypatch.setattr("minicnn.benchmark.Settings.quick", lambda only: small)
    assert main(["bench", "--quick", "--only", "operations", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"  torch: {entrants.TORCH_MISSING}" in printed
    assert f"written to {tmp_path / 'bench.json'}" in printed
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert all(list(row["times"]) == ["ours"] for row in kept["layers"])


def test_absent_libraries_are_named(monkeypatch):
    without(monkeypatch, "torch", "jax", "mygrad", "pydynet", "neuralnetlib")
    found, absent = entrants.entrants()
    assert [entrant.name for entrant in found] == ["ours"]
    assert absent == {
        "torch": "torch is not installed, so ours runs alone: pip install 'minicnn[torch]' to race against it.",
        "jax jit": "not installed",
        "mygrad": "not installed",
        "pydynet": "not installed",
        "neuralnetlib": "not installed",
    }


def test_a_quick_race_leaves_out_whoever_needs_minutes():
    found, absent = entrants.entrants(everyone=False)
    assert {entrant.name for entrant in found} <= {"ours", "torch eager", "torch channels_last"}
    assert {absent[name] for name in ("torch.compile", "jax jit", "mygrad")} == {"left out of a quick race"}


def test_torch_compile_needs_a_compiler(monkeypatch):
    if not entrants.is_installed("torch"):
        pytest.skip("torch is not installed")
    assert (
        "torch.compile" in [e.name for e in entrants.entrants()[0]]
        or "torch.compile" in entrants.entrants()[1]
    )
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    found, absent = entrants.entrants()
    assert absent["torch.compile"] == "no C++ compiler"
    assert "torch.compile" not in [entrant.name for entrant in found]


def test_the_ladder_goes_up_all_rungs_for_all_passes(capsys, monkeypatch):
    rows = climb(SLICE, runs=1)
    assert len(rows) == 4 * 3
    assert all(row["times_loops"] == 1 for row in rows if row["rung"] == "loops")
    monkeypatch.setattr("minicnn.benchmark.climb", lambda runs: rows)
    bench.run(build_parser().parse_args(["bench", "--ladder"]))
    printed = capsys.readouterr().out
    assert printed.startswith(
        "Convolution 64x16x14x14 -> 32, 3x3 (the loops: 1x2x7x7 -> 2, 3x3); all rungs agree"
    )
    assert printed.count("\nfast ") == 3


def test_the_ladder_refuses_a_rung_that_is_wrong(monkeypatch):
    right = climb.__globals__["RUNGS"]["fast"].conv2d
    monkeypatch.setattr("minicnn.kernels.fast.conv2d", lambda *arguments: right(*arguments) + 1)
    with pytest.raises(
        RuntimeError, match=r"every rung must give what the loops give\. Got fast's forward off by"
    ):
        climb(SLICE, runs=1)


def test_import_minicnn_does_not_load_the_race():
    code = "import sys, minicnn, minicnn.cli; print([m for m in sys.modules if m.startswith('minicnn.benchmark')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
