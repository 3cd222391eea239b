"""What only the fast rung promises: the same bits for any number of threads and any batch, and no byte beside."""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from minicnn import data, get_num_threads, kernels, nn, set_num_threads
from minicnn.kernels import fast, fast_linear, fast_product, jitted, streaming, threads
from minicnn.kernels.memory import empty
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.streaming import can_stream
from minicnn.models import deeper_cnn, mnist_cnn
from minicnn.training import fit
from tests.helpers import draws, raises
from tests.kernels.rungs import Conv, Walls, conv2d_relu, conv2d_relu_max_pool2d, normal, whole

GEOMETRIES = [
    # channels, filters, kernel, stride, padding, dilation, groups
    (3, 16, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (4, 6, (5, 3), (2, 1), (2, 0), (1, 2), 2),
    (5, 7, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 2, (7, 7), (2, 2), (3, 3), (1, 1), 2),
]


def everything(model, images, targets) -> list[np.ndarray]:
    """Return output, input gradient and all parameter gradients of one training step."""
    criterion = nn.CrossEntropyLoss()
    model.zero_grad()
    output = model(images)
    criterion(output, targets)
    return [output, model.backward(criterion.backward()), *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("build", [mnist_cnn, deeper_cnn])
@pytest.mark.parametrize("batch", [1, 7, 33])
@pytest.mark.usefixtures("threads_restored")
def test_the_same_bits_for_any_number_of_threads(build, batch, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)  # share even the smallest work
    model = build(rng=0)
    shape = (1, 28, 28) if build is mnist_cnn else (3, 32, 32)
    images, targets = draws((batch, *shape), np.float32), np.arange(batch) % 10
    set_num_threads(1)
    expected = everything(model, images, targets)
    for count in (2, 3, 8):
        set_num_threads(count)
        for found, wanted in zip(everything(model, images, targets), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("images", [15, 16, 17, 43])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.usefixtures("all_work_is_shared")
def test_weight_gradients_of_many_images(images, groups):
    """From 16 images on, eight parts of them are summed up one by one, and then added."""
    case = Conv((images, 4, 6, 5), (12, 4 // groups, 3, 2), stride=(1, 2), padding=(1, 0), groups=groups)
    x, _, _, g = case.arrays(whole, np.float32)
    expected = jitted.conv2d_grad_weight(g, x, case.weight, *case.geometry)
    for count in (1, 2, 8):
        set_num_threads(count)
        found = fast.conv2d_grad_weight(g, x, case.weight, *case.geometry)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("threads_restored")
def test_a_whole_fit_ends_in_the_same_bits(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    train = data.load("mnist-5k")[0]
    few = data.ArrayDataset(train.images[:200], train.targets[:200], train.classes, train.transform)

    def trained(count: int) -> list[np.ndarray]:
        set_num_threads(count)
        model = mnist_cnn(rng=0)
        fit(model, few, epochs=1, batch_size=32, rng=0, progress=False)
        return [parameter.data for parameter in model.parameters()]

    expected = trained(1)
    for count in (2, 3, 8):
        for found, wanted in zip(trained(count), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("build", [mnist_cnn, deeper_cnn])
def test_an_image_gives_the_same_bits_alone_and_in_a_batch(build):
    model = build(rng=0).eval()
    images = draws((9, *((1, 28, 28) if build is mnist_cnn else (3, 32, 32))), np.float32)
    together = model(images)
    for n in range(len(images)):
        np.testing.assert_array_equal(model(images[n : n + 1])[0], together[n])


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 3), (7, 7), (8, 15)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize(("groups", "kernel", "padding"), [(1, 3, 1), (2, 2, 1), (2, 3, 2)])
@pytest.mark.usefixtures("all_work_is_shared")
def test_small_images_that_share_tiles_are_as_if_alone(size, groups, kernel, padding, stride):
    geometry = stride, (padding, padding), (1, 1), groups
    for images in (1, 2, 3, 9):
        x, w = draws((images, 4, *size), np.float32), draws((6, 4 // groups, kernel, kernel), np.float32)
        output = fast.conv2d(x, w, None, *geometry)
        back = fast.conv2d_grad_input(output, w, x.shape, *geometry)
        for n in range(images):
            alone = x[n : n + 1]
            np.testing.assert_array_equal(fast.conv2d(alone, w, None, *geometry)[0], output[n])
            found = fast.conv2d_grad_input(output[n : n + 1], w, alone.shape, *geometry)
            np.testing.assert_array_equal(found[0], back[n])
            pooled, _ = conv2d_relu_max_pool2d(alone, w, None, *geometry)
            together, _ = conv2d_relu_max_pool2d(x, w, None, *geometry)
            np.testing.assert_array_equal(pooled[0], together[n])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("columns", [9, 37])
def test_nothing_beside_the_arrays_is_read_or_written(columns, geometry, dtype):
    """Every array lies between walls of NaN: one read of them shows in the sums, one write in the walls."""
    channels, filters, kernel, *rest = geometry
    walls = Walls(normal)
    x = walls.within((2, channels, 11, columns), dtype)
    w = walls.within((filters, channels // geometry[-1], *kernel), dtype)
    output = fast.conv2d(x, w, None, *rest)
    assert np.isfinite(output).all()
    assert np.isfinite(fast.conv2d_grad_input(output, w, x.shape, *rest)).all()
    assert np.isfinite(fast.conv2d_grad_weight(output, x, w.shape, *rest)).all()
    walls.assert_whole()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_one_weight_that_is_not_finite_is_seen_wherever_it_stands(value, stride):
    """Padding would make NaN of it; ReLU hides -inf, and a walk of the input gradient meets a few taps only."""
    geometry = (stride, stride), (1, 1), (1, 1), 2
    x, weight = draws((2, 4, 5, 6), np.float32), draws((6, 2, 3, 3), np.float32)
    for place in range(weight.size):
        w = weight.copy()
        w.ravel()[place] = value
        expected = jitted.conv2d(x, w, None, *geometry)
        np.testing.assert_allclose(fast.conv2d(x, w, None, *geometry), expected, rtol=1e-4, atol=1e-5)
        found = conv2d_relu(x, w, None, *geometry)
        np.testing.assert_allclose(found, kernels.relu(expected), rtol=1e-4, atol=1e-5)
        grad = np.ones_like(expected)
        expected = jitted.conv2d_grad_input(grad, w, x.shape, *geometry)
        found = fast.conv2d_grad_input(grad, w, x.shape, *geometry)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("where", ["input", "weight", "grad"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_where_the_readable_rung_has_them(where, value):
    geometry = ((1, 1), (1, 1), (1, 1), 1)
    arrays = {
        "input": draws((2, 3, 6, 5), np.float32),
        "weight": draws((4, 3, 3, 3), np.float32),
        "grad": draws((2, 4, 6, 5), np.float32),
    }
    arrays[where].ravel()[7] = value
    x, w, g = arrays.values()
    for found, expected in (
        (fast.conv2d(x, w, None, *geometry), jitted.conv2d(x, w, None, *geometry)),
        (
            fast.conv2d_grad_input(g, w, x.shape, *geometry),
            jitted.conv2d_grad_input(g, w, x.shape, *geometry),
        ),
        (
            fast.conv2d_grad_weight(g, x, w.shape, *geometry),
            jitted.conv2d_grad_weight(g, x, w.shape, *geometry),
        ),
    ):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "features", "outputs"), [(1, 1, 1), (3, 17, 5), (8, 8, 4), (0, 5, 2), (65, 33, 10)]
)
def test_linear_is_the_loops_on_small_integers(rows, features, outputs, dtype):
    rng = np.random.default_rng(0)
    x, w, b, g = (
        rng.integers(-4, 5, size=size).astype(dtype)
        for size in ((rows, features), (outputs, features), outputs, (rows, outputs))
    )
    np.testing.assert_array_equal(fast.linear(x, w, b), x @ w.T + b)
    np.testing.assert_array_equal(fast.linear_grad_input(g, w), g @ w)
    np.testing.assert_array_equal(fast.linear_grad_weight(g, x), g.T @ x)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    ("rows", "features", "outputs"), [(35, 100, 10), (32, 97, 16), (33, 64, 3), (40, 49, 2)]
)
@pytest.mark.usefixtures("all_work_is_shared")
def test_large_linear_layers_are_computed_strip_by_strip(rows, features, outputs, count, monkeypatch):
    monkeypatch.setattr(fast_linear, "STRIP", 0)  # three rows at a time
    monkeypatch.setattr(fast_product, "FAR", 0)  # and sixteen lines
    set_num_threads(count)
    rng = np.random.default_rng(0)
    x, w, g = (
        rng.integers(-4, 5, size).astype(np.float32)
        for size in ((rows, features), (outputs, features), (rows, outputs))
    )
    np.testing.assert_array_equal(fast.linear(x, w, None), x @ w.T)
    np.testing.assert_array_equal(fast.linear_grad_weight(g, x), g.T @ x)


@pytest.mark.parametrize("count", [2, 4, 6, 16])
@pytest.mark.usefixtures("all_work_is_shared")
def test_a_row_keeps_its_bits_where_lines_come_chunk_by_chunk(count, monkeypatch):
    monkeypatch.setattr(fast_product, "FAR", 0)
    weight, grads = draws((35, 97), np.float32), draws((17, 35), np.float32, seed=1)
    together = fast.linear_grad_input(grads, weight)  # seventeen are not taken in chunks
    np.testing.assert_array_equal(fast.linear_grad_input(grads[:count], weight), together[:count])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    ("rows", "outputs", "features"), [(65, 2, 1536), (200, 3, 4800), (131, 40, 48), (67, 5, 97)]
)
@pytest.mark.usefixtures("all_work_is_shared")
def test_many_rows_are_filled_strip_by_strip(rows, outputs, features, count, dtype, monkeypatch):
    monkeypatch.setattr(fast_product, "STRIP", 1)  # four rows, or as many as there are outputs, times four
    set_num_threads(count)
    rng = np.random.default_rng(0)
    grads, weight = (
        rng.integers(-4, 5, size).astype(dtype) for size in ((rows, outputs), (outputs, features))
    )
    np.testing.assert_array_equal(fast.linear_grad_input(grads, weight), grads @ weight)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.usefixtures("all_work_is_shared")
def test_what_is_written_past_the_caches_is_there(count, monkeypatch):
    asked, ask = [], fast_product.can_stream
    monkeypatch.setattr(streaming, "LARGE", 0)
    monkeypatch.setattr(fast_product, "can_stream", lambda *given: asked.append(ask(*given)) or asked[-1])
    set_num_threads(count)
    rng = np.random.default_rng(0)
    grads, weight = (rng.integers(-4, 5, size).astype(np.float32) for size in ((70, 3), (3, 2401)))
    for features, possible in ((2400, True), (2401, False)):
        found = fast.linear_grad_input(grads, weight[:, :features])
        np.testing.assert_array_equal(found, grads @ weight[:, :features])
        assert asked.pop() is possible
    whole = empty((71, 2400), np.float32).ravel()
    assert can_stream(whole, 2400, lanes_of(whole.dtype))
    assert not can_stream(whole[1:], 2400, lanes_of(whole.dtype))  # no vector would begin where one may


def test_linear_of_no_features_is_the_bias():
    bias = np.float32([1, 2])
    output = fast.linear(np.zeros((9, 0), np.float32), np.zeros((2, 0), np.float32), bias)
    np.testing.assert_array_equal(output, np.tile(bias, (9, 1)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_linear_lets_nan_and_infinity_through(where, value):
    x, w, g = draws((3, 9), np.float32), draws((4, 9), np.float32), draws((3, 4), np.float32)
    (x, w, g)[where][1, 2] = value
    with np.errstate(invalid="ignore"):
        expected = (x @ w.T, g @ w, g.T @ x)
    found = (fast.linear(x, w, None), fast.linear_grad_input(g, w), fast.linear_grad_weight(g, x))
    for ours, numpy in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(numpy))
        np.testing.assert_array_equal(np.isinf(ours), np.isinf(numpy))


def test_inference_from_eight_threads():
    model, images = mnist_cnn(rng=0).eval(), draws((16, 1, 28, 28), np.float32)
    with nn.no_grad():
        expected = model(images)
    found = [None] * 8

    def infer(number: int) -> None:
        with nn.no_grad():
            for _ in range(5):
                found[number] = model(images)

    runners = [threading.Thread(target=infer, args=(number,)) for number in range(8)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(60)
    for output in found:
        np.testing.assert_array_equal(output, expected)


def forward_in_child(queue) -> None:
    """Run a forward pass in another process, and send back its output and the number of threads."""
    output = mnist_cnn(rng=0)(np.ones((64, 1, 28, 28), np.float32))
    queue.put((output, threads.default_threads()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_and_spawned_workers_neither_wait_nor_crowd(method, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    monkeypatch.delenv("MINICNN_NUM_THREADS", raising=False)
    expected = mnist_cnn(rng=0)(np.ones((64, 1, 28, 28), np.float32))  # the pool is running now
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=forward_in_child, args=(queue,))
    child.start()
    output, count = queue.get(timeout=120)
    child.join(30)
    np.testing.assert_array_equal(output, expected)
    assert count == 1


def test_a_wrong_number_of_threads_is_told_to_who_computes(monkeypatch):
    monkeypatch.setenv("MINICNN_NUM_THREADS", "0")
    monkeypatch.setattr(threads, "_threads", 0)  # as after an import with this value
    message = (
        "MINICNN_NUM_THREADS: the number of threads must be an integer of at least 1. Got '0'. "
        "Set it to the number of cores to use."
    )
    with raises(ValueError, message):
        nn.ReLU()(np.float32([1, -1]))
    with raises(ValueError, message):
        get_num_threads()
    monkeypatch.setenv("MINICNN_NUM_THREADS", "3")  # mended in the running session
    assert get_num_threads() == 3
    assert nn.ReLU()(np.float32([1, -1])).tolist() == [1, 0]


def test_the_environment_sets_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("MINICNN_NUM_THREADS", "5")
    assert threads.default_threads() == 5
    monkeypatch.setenv("MINICNN_NUM_THREADS", "many")
    with raises(
        ValueError,
        "MINICNN_NUM_THREADS: the number of threads must be an integer of at least 1. Got 'many'. "
        "Set it to the number of cores to use.",
    ):
        threads.default_threads()
    with raises(ValueError, "set_num_threads: count must be at least 1. Got 0. Pass a larger number."):
        set_num_threads(0)
    with raises(TypeError, "set_num_threads: count must be an integer. Got 2.5 (float). Pass an int."):
        set_num_threads(2.5)
    with raises(
        TypeError, "set_num_threads: count must be an integer. Got array([2, 3]) (ndarray). Pass an int."
    ):
        set_num_threads(np.array([2, 3]))
    before = threads.get_num_threads()
    set_num_threads(np.int64(before))
    assert type(threads.get_num_threads()) is int


OTHER_MACHINES = {
    "no AVX": ("generic", "", 16),
    "AVX2": ("haswell", "+avx2,+fma,+avx,+sse4.2,+sse4.1,+ssse3,+sse3,+sse2", 32),
    "AVX-512": (
        "skylake-avx512",
        "+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx2,+fma,+avx,+sse4.2,+sse4.1,+ssse3,+sse3,+sse2",
        64,
    ),
}
SMALL_STEP = """
import numpy as np
from minicnn.kernels import fast, fast_relu, loops, registers
assert registers.REGISTER_BYTES == {size}, registers.REGISTER_BYTES
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    x, w, g = (rng.integers(-3, 4, size=s).astype(dtype) for s in ((2, 3, 6, 5), (5, 3, 3, 3), (2, 5, 6, 5)))
    geometry = ((1, 1), (1, 1), (1, 1), 1)
    for rung in (fast, loops):
        rung.found = (
            rung.conv2d(x, w, None, *geometry),
            rung.conv2d_grad_input(g, w, x.shape, *geometry),
            rung.conv2d_grad_weight(g, x, w.shape, *geometry),
        )
    for ours, right in zip(fast.found, loops.found):
        assert np.array_equal(ours, right)
    output, winners = fast_relu.prepared_conv2d(3, True, x.shape, w.shape, x.dtype, *geometry)(x, w, None)
    rectified = np.maximum(loops.found[0], 0)
    pooled, _ = loops.max_pool2d(rectified, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert np.array_equal(output, pooled)
print("right")
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the features are those of x86")
@pytest.mark.parametrize("machine", OTHER_MACHINES)
def test_other_machines_get_a_tile_that_fits(machine, tmp_path):
    name, features, size = OTHER_MACHINES[machine]
    here = get_host_cpu_features()
    missing = [feature for feature in features.split(",") if feature and not here.get(feature[1:])]
    if missing:
        pytest.skip(f"this machine cannot do {' '.join(missing)}")
    own = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", SMALL_STEP.format(size=size)],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "right\n", result.stderr


def test_the_layers_use_the_fast_rung():
    assert kernels.conv2d is fast.conv2d
