"""The receptive field: by hand, and against where a gradient of positive weights arrives."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import receptive_field, trace
from tests.helpers import raises


def field(model, name, index, shape=(1, 9, 9)):
    rows, columns = receptive_field(model, name, index, image_shape=shape)
    return (rows.start, rows.stop), (columns.start, columns.stop)


def test_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 1, (3, 2), stride=2, padding=(1, 0), dilation=(1, 3)), nn.MaxPool2d(2))
    assert field(model, "0", (0, 0, 1, 2)) == ((1, 4), (4, 8))  # rows 2 - 1 to 2 + 1, columns 4 and 4 + 3
    assert field(model, "0", (0, 0, 0, 0)) == ((0, 2), (0, 4))  # row -1 is padding
    assert field(model, "1", (0, 0, 1, 0)) == ((3, 8), (0, 6))  # convolution rows 2 and 3, columns 0 and 1
    assert field(model, "1", (0, 0, -1, 0)) == ((3, 8), (0, 6))


def test_a_vector_sees_what_its_own_cell_sees_and_linear_sees_all():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(98, 3), nn.Softmax(dim=1))
    assert field(model, "1", (0, 49 + 7 * 2 + 5)) == ((2, 5), (5, 8))  # channel 1, row 2, column 5
    assert field(model, "2", (0, 1)) == ((0, 9), (0, 9))
    t = trace(model, np.zeros((2, 1, 9, 9), np.float32))
    assert receptive_field(t, "label", 1) == (slice(0, 9), slice(0, 9))


def test_a_unit_that_sees_padding_only():
    assert field(nn.Sequential(nn.Conv2d(1, 1, 1, padding=2)), "0", (0, 0, 0, 5)) == ((0, 0), (0, 0))


def test_paths_that_part_are_joined():
    body = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 3, padding=1))
    assert field(nn.Sequential(nn.Residual(body)), "0", (0, 0, 4, 4)) == ((2, 7), (2, 7))
    body = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    wide = nn.Conv2d(1, 1, (1, 5), padding=(0, 2))
    assert field(nn.Sequential(nn.Residual(body, wide)), "0", (0, 0, 4, 4)) == ((4, 5), (2, 7))
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Residual(nn.Conv2d(1, 1, 1), wide))
    assert field(model, "1", (0, 0, 4, 4)) == ((4, 5), (2, 7))  # both paths begin behind the convolution
    padded = nn.Sequential(nn.Pad2d((2, 0, 1, 0)), nn.Conv2d(1, 1, 3))
    assert field(padded, "1", (0, 0, 0, 0)) == ((0, 2), (0, 1))
    graph = nn.Graph(
        [("a", "left", "x"), ("b", "right", "x"), ("c", "join", "b", "a"), ("d", "pick", "c")],
        left=nn.Conv2d(1, 1, 1),
        right=nn.Conv2d(1, 1, 3, padding=1),
        join=nn.Concatenate(1),
        pick=nn.Conv2d(2, 2, 1, groups=2),
    )
    assert field(graph, "pick", (0, 1, 4, 4)) == ((4, 5), (4, 5))  # its group sees the left path only
    assert field(graph, "pick", (0, 0, 4, 4)) == ((3, 6), (3, 6))


@pytest.mark.parametrize(
    ("factor", "rows", "columns"),
    [
        (nn.Mean((1, 3), keepdim=True), (3, 6), (0, 9)),
        (nn.Max((1, 3), keepdim=True), (3, 6), (0, 9)),
        (nn.AdaptiveAvgPool2d((None, 1)), (3, 6), (0, 9)),
        (nn.AdaptiveAvgPool2d(1), (0, 9), (0, 9)),
        (nn.Conv2d(1, 1, 5, padding=2), (2, 7), (2, 7)),
    ],
)
def test_a_factor_that_is_spread(factor, rows, columns):
    graph = nn.Graph(
        [("a", "maps", "x"), ("b", "factor", "x"), ("c", "mul", "a", "b")],
        maps=nn.Conv2d(1, 2, 3, padding=1),
        factor=factor,
        mul=nn.Multiply(),
    )
    assert field(graph, "mul", (0, 1, 4, 4)) == (rows, columns)


def positive(layers, rng):
    """Return a model whose weights are all positive, so that no path's gradient cancels another's."""
    model = nn.Sequential(*layers).astype(np.float64)
    for parameter in model.parameters():
        parameter.data[...] = rng.uniform(0.5, 1, parameter.data.shape)
    return model.eval()


STACKS = {
    "stride and dilation": lambda: [nn.Conv2d(1, 2, 3, stride=2, dilation=2), nn.Conv2d(2, 1, 2, padding=1)],
    "pooling": lambda: [nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(3, stride=2, padding=1), nn.ReLU()],
    "ceil mode": lambda: [nn.AvgPool2d(2, ceil_mode=True), nn.AvgPool2d((2, 3), stride=1)],
    "adaptive": lambda: [nn.Conv2d(1, 1, 2), nn.AdaptiveAvgPool2d((3, 4))],
    "reflect": lambda: [nn.Conv2d(1, 1, 5, padding=2, padding_mode="reflect"), nn.AvgPool2d(2)],
    "same": lambda: [nn.Conv2d(1, 1, (4, 2), padding="same"), nn.Conv2d(1, 1, 3, padding="same")],
    "padded": lambda: [nn.Pad2d((1, 2, 0, 1), mode="replicate"), nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)],
    "reshaped": lambda: [nn.Conv2d(1, 2, 3), nn.Reshape((0, -1))],
    "sliced": lambda: [nn.Conv2d(1, 2, 3), nn.Slice(2, 1, None, 2), nn.Slice(1, 1), nn.Conv2d(1, 1, 2)],
    "turned": lambda: [nn.Conv2d(1, 2, 3), nn.Permute((0, 1, 3, 2)), nn.Unsqueeze(1), nn.Squeeze(1)],
    "mean": lambda: [nn.Conv2d(1, 2, 3, stride=3), nn.Mean((2, 3))],
    "residual": lambda: [nn.Residual(nn.Conv2d(1, 1, 3, padding=1)), nn.AvgPool2d(2)],
}


@pytest.mark.parametrize("name", STACKS)
def test_gradients_arrive_in_the_field_and_at_its_edges(name):
    rng = np.random.default_rng(0)
    model = positive(STACKS[name](), rng)
    images = rng.uniform(1, 2, (1, 1, 11, 9))
    t = trace(model, images)
    last = t.steps[-1] if len(t.steps) == len(model) else t[str(len(model) - 1)]
    for _ in range(8):
        index = (0, *(int(rng.integers(size)) for size in last.output.shape[1:]))
        grad_output = np.zeros_like(model(images))
        grad_output[index] = 1
        seen = np.argwhere(model.backward(grad_output)[0, 0])
        rows, columns = receptive_field(t, last.name, index)
        assert [rows.start, columns.start] == seen.min(axis=0).tolist()
        assert [rows.stop - 1, columns.stop - 1] == seen.max(axis=0).tolist()


def test_errors():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(4, 2))
    t = trace(model, np.zeros((1, 1, 4, 4), np.float32), np.array([0]))
    with raises(
        TypeError,
        "receptive_field: a model needs the shape of its images. Got image_shape=None. "
        "Pass image_shape=(C, H, W), or a trace.",
    ):
        receptive_field(model, "0", (0, 0, 0, 0))
    with raises(
        TypeError,
        "receptive_field: model must be a Trace or a minicnn module. Got list. Pass trace(model, images).",
    ):
        receptive_field([], "0", 0)
    with raises(
        ValueError,
        'Conv2d "0": index must lie within output of shape (1, 1, 2, 2). Got (0, 0, 2, 0). '
        "Count every axis from 0.",
    ):
        receptive_field(t, "0", (0, 0, 2, 0))
    with raises(
        ValueError,
        'receptive_field: the number must belong to one image. Got "loss", which is a mean over all. '
        "Choose a layer, softmax or label.",
    ):
        receptive_field(t, "loss", ())
    with raises(
        ValueError,
        "receptive_field: the model must take images (N, C, H, W). Got an input of shape (1, 2). "
        "Ask t.explain(name, index) where the number comes from.",
    ):
        receptive_field(trace(nn.Sequential(nn.ReLU()), np.ones((1, 2))), "0", (0, 0))

    class Own(nn.Module):
        def forward(self, input):
            return input[:, :, ::-1].copy()

    with raises(
        ValueError,
        'receptive_field: the geometry of each layer must be known. Got Own "0". '
        "Choose a number before that layer.",
    ):
        receptive_field(nn.Sequential(Own()), "0", (0, 0, 0, 0), image_shape=(1, 2, 2))
