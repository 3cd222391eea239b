"""Who is wrong is struck out: planted faults, each of which the judge must see."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.benchmark import convolutions, judge, layers, whole_nets
from minicnn.benchmark.convolutions import SWEEP, Shape
from minicnn.benchmark.entrants import Ours, entrants, is_installed
from minicnn.benchmark.nets import COURSES, NETS
from minicnn.benchmark.race import Racer
from minicnn.kernels import jitted, loops
from tests.benchmark.planted import Wrong
from tests.helpers import assert_same_sum


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("logits", "logits differ by"),
        ("nan", "logits differ by inf"),
        ("shape", "logits differ by inf"),
        ("gradient", "gradient of 0.weight differs by"),
        ("frozen", "after a step of Adam is off by 1e+00 of the step"),
        ("half steps", "after a step of Adam is off by 5e-01 of the step"),
        ("refusal", "NotImplementedError: no stride here"),
    ],
)
def test_a_planted_fault_is_struck_out_on_the_obstacle_course(fault, reason):
    found = judge.fault_on_courses(Wrong(fault))
    assert found.startswith("strided: ")
    assert reason in found


def test_ours_passes_the_obstacle_courses():
    assert judge.fault_on_courses(Ours()) == ""


@pytest.mark.skipif(not is_installed("torch"), reason="torch is not installed")
@pytest.mark.parametrize("form", ["eager", "channels_last"])
def test_torch_passes_the_obstacle_courses(form):
    from minicnn.benchmark.entrants.pytorch import Torch

    assert judge.fault_on_courses(Torch(form)) == ""


@pytest.mark.skipif(not is_installed("torch"), reason="torch is not installed")
@pytest.mark.parametrize("form", ["eager", "channels_last"])
@pytest.mark.parametrize("shape", SWEEP[::4], ids=str)
def test_torch_is_right_in_the_sweep(form, shape):
    from minicnn.benchmark.entrants.pytorch import Torch

    small = shape.small()
    wanted = convolutions.expected(small, small.arrays())
    assert convolutions.judged(Torch(form), small, wanted, wanted)[1] == ""


def test_the_courses_hold_what_they_must():
    found = [layer for net in COURSES for layer in net.build(rng=0).modules()]
    pools = [layer for layer in found if isinstance(layer, nn.MaxPool2d)]
    convs = [layer for layer in found if isinstance(layer, nn.Conv2d)]
    assert any(layer.stride == (2, 2) for layer in convs)
    assert any(layer.padding != (0, 0) for layer in convs)
    assert all(pool.kernel_size > pool.stride for pool in pools)  # overlapping
    assert all(size % 2 for net in COURSES for size in net.image_shape[1:])
    assert all(net.image_shape[1] != net.image_shape[2] for net in COURSES)


def test_the_judge_agrees_with_central_differences():
    net = COURSES[0]
    model, (images, targets) = net.build(rng=0).astype(np.float64), net.batch(2)
    found = judge.expected(model, images, targets)
    criterion, weight = nn.CrossEntropyLoss(), model[0].weight.data
    images = images.astype(np.float64)
    for index in [(0, 0, 0, 0), (3, 1, 2, 1)]:
        kept, losses = weight[index], []
        for moved in (kept + 1e-6, kept - 1e-6):
            weight[index] = moved
            losses.append(criterion(model(images), targets))
        weight[index] = kept
        assert found.gradients["0.weight"][index] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-8)


@pytest.mark.parametrize("net", COURSES, ids=lambda net: net.name)
def test_both_judges_say_the_same(net):
    model, batch = net.build(rng=0), net.batch(2)
    by_loops, by_jitted = (judge.expected(model, *batch, rung) for rung in (loops, jitted))
    assert_same_sum(by_jitted.logits, by_loops.logits)
    for name, gradient in by_loops.gradients.items():
        assert_same_sum(by_jitted.gradients[name], gradient, name)
        assert_same_sum(by_jitted.weights[name], by_loops.weights[name], name)


def test_the_judge_says_which_layer_it_does_not_know():
    with pytest.raises(TypeError, match=r"expected: the judge must know every layer\. Got Tanh \"0\"\."):
        judge.expected(nn.Sequential(nn.Tanh()), np.zeros((1, 2), np.float32), np.array([0]))


def test_in_a_race_of_nets_the_wrong_one_has_no_times():
    field = [Ours(), Wrong("gradient"), Wrong("logits")]
    faults = {"wrong logits": "strided: logits differ"}
    rows = list(whole_nets.contest(field, [NETS["MNIST net"]], [2], 1, 0.0, faults))
    assert [row["pass"] for row in rows] == ["forward", "training step"]
    for row in rows:
        assert list(row["times"]) == ["ours"]
        assert row["struck_out"]["wrong logits"] == "strided: logits differ"
        assert row["struck_out"]["wrong gradient"].startswith("gradient of 0.weight differs")


@pytest.mark.parametrize("fault", ["forward", "input gradient", "weight gradient"])
def test_in_the_sweep_a_wrong_pass_is_struck_out(fault):
    shape = Shape(1, 2, 7, 3, kernel=3, stride=2, padding=1)
    rows = list(convolutions.sweep([Ours(), Wrong(fault)], [shape], 1, 0.0))
    assert [row["pass"] for row in rows] == list(convolutions.PASSES)
    for row in rows:
        assert list(row["times"]) == ["ours"]
        assert row["struck_out"][f"wrong {fault}"].startswith(f"{fault} differs by")


@pytest.mark.parametrize(
    ("fault", "reason"), [("backward", "a gradient differs"), ("missing", "0 gradients instead of 1")]
)
def test_in_the_other_operations_a_wrong_gradient_is_struck_out(fault, reason):
    rows = list(layers.contest([Ours(), Wrong(fault)], [layers.Operation("ReLU", nn.ReLU, (2, 3))], 1, 0.0))
    assert all(row["struck_out"][f"wrong {fault}"].startswith(reason) for row in rows)


@pytest.mark.parametrize("operation", layers.OPERATIONS, ids=lambda o: f"{o.name} {o.input_shape}")
def test_ours_is_right_in_every_operation(operation):
    layer = None if operation.build is None else operation.build()
    small = layers.Operation(operation.name, operation.build, (2, *operation.input_shape[1:]))
    assert layers.judged(Ours(), small, layer, layers.draw(small, layer))[1] == ""


def test_the_sweep_covers_what_it_must():
    assert len(SWEEP) >= 24
    assert len(set(map(str, SWEEP))) == len(SWEEP)
    for field, wanted in {"kernel": {1, 3, 5, 7}, "stride": {1, 2}, "N": {1, 8, 64}}.items():
        assert {getattr(shape, field) for shape in SWEEP} == wanted
    channels = [channels for shape in SWEEP for channels in (shape.C_in, shape.C_out)]
    assert (min(channels), max(channels)) == (1, 128)
    sizes = [shape.size for shape in SWEEP]
    assert (min(sizes), max(sizes)) == (7, 64)
    assert any(shape.groups > 1 for shape in SWEEP)
    assert any(shape.dilation > 1 for shape in SWEEP)


@pytest.mark.parametrize("shape", SWEEP, ids=str)
def test_small_shapes_are_of_the_same_kind_and_odd(shape):
    small = shape.small()
    for field in ("kernel", "stride", "padding", "dilation"):
        assert getattr(small, field) == getattr(shape, field)
    assert (small.groups > 1) == (shape.groups > 1)
    assert all(size % 2 for size in small.input_shape[2:])
    assert min(small.output_shape) >= 1
    assert small.flops < 200_000  # so many turns of a Python loop take a tenth of a second


def test_where_a_share_is_promised_the_product_takes_turns():
    turns = []
    product = Racer("sgemm", lambda: turns.append(1)), 3.0
    shapes = [Shape(N, 16, 5, 16, kernel=3, padding=1) for N in (64, 1)]
    rows = list(convolutions.sweep([Ours()], shapes, runs=2, patience=0.05, product=product))
    assert turns
    assert [list(row["times"]) for row in rows] == 6 * [["ours"]]
    assert (
        ["sgemm_gflops" in row for row in rows]
        == [row["full_tile"] for row in rows]
        == 3 * [True] + 3 * [False]
    )
    assert all(row["sgemm_gflops"] > 1e5 for row in rows[:3])  # 3 GFLOP in no time


@pytest.mark.parametrize("name", ["ours", "torch eager", "mygrad", "pydynet", "neuralnetlib", "jax jit"])
def test_who_has_been_judged_learns_nothing_more(name):
    found = {entrant.name: entrant for entrant in entrants()[0]}
    if name not in found:
        pytest.skip(f"{name} is not installed")
    net = NETS["MNIST net"]
    runner = found[name].net(net.build(rng=0), *net.batch(2))
    runner.step()
    after_one = {key: weight.copy() for key, weight in runner.weights().items()}
    runner.hold()
    for _ in range(2):
        runner.step()
    for key, weight in runner.weights().items():
        np.testing.assert_array_equal(weight, after_one[key])
        assert np.abs(runner.gradients()[key]).max() > 0
