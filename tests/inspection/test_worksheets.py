"""Worksheets: whole numbers, answers that the layers give, slips that can be told apart and are named."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minicnn import nn
from minicnn.checks import cast
from minicnn.inspection import Worksheet, grade, worksheet
from minicnn.inspection.worksheets.draw import KINDS, on_blanks
from minicnn.inspection.worksheets.grade import ADVICE

ASKED = [(name, of) for name, (_, _, ofs) in KINDS.items() for of in ofs]
LAYERS = [
    (nn.Conv2d(1, 1, 3, padding=1), 4),
    (nn.Conv2d(1, 1, (2, 3), stride=(1, 2), padding=(1, 0), bias=False), (4, 7)),
    (nn.Conv2d(1, 1, 1, stride=2), 5),
    (nn.MaxPool2d(3, stride=2, padding=1), 5),
    (nn.MaxPool2d(2, stride=1), (3, 4)),
    (nn.AvgPool2d((1, 2), padding=(0, 1)), 4),
    (nn.Linear(3, 3), 3),
    (nn.Linear(2, 4, bias=False), 2),
    (nn.Softmax(dim=-1), 2),
    (nn.CrossEntropyLoss(reduction="sum"), 5),
]


def conv_sheet() -> Worksheet:
    """Return a sheet whose numbers are written by hand: 3x3 image, 2x2 kernel, stride 1, no padding."""
    return Worksheet(
        "conv2d", "output", "Convolve.",
        {"image": np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), "kernel": np.array([[1, 0], [0, 2]])},
        np.array([[12, 15], [21, 24]]),  # 1·1 + 5·2 + 1, 2 + 12 + 1, 4 + 16 + 1, 5 + 18 + 1
        {"bias forgotten": np.array([[11, 14], [20, 23]]), "kernel flipped": np.array([[8, 11], [17, 20]])},
    )  # fmt: skip


def loops(image, kernel, bias, stride, padding) -> np.ndarray:
    """Return a convolution, summed up number by number."""
    padded = np.pad(image, [(p, p) for p in padding])
    rows = (padded.shape[0] - kernel.shape[0]) // stride[0] + 1
    columns = (padded.shape[1] - kernel.shape[1]) // stride[1] + 1
    output = np.full((rows, columns), bias)
    for y, x, k, m in itertools.product(range(rows), range(columns), *map(range, kernel.shape)):
        output[y, x] += padded[y * stride[0] + k, x * stride[1] + m] * kernel[k, m]
    return output


def test_text_by_hand():
    assert str(conv_sheet()) == (
        "conv2d: output\n  Convolve.\n\n"
        "  image\n    1  2  3\n    4  5  6\n    7  8  9\n"
        "  kernel\n    1  0\n    0  2\n"
        "  output\n    __  __\n    __  __"
    )
    assert conv_sheet().solution().endswith("  output\n    12  15\n    21  24")


def test_html_by_hand():
    html = conv_sheet().to_html()
    assert html.count("<table") == 3
    assert html.count("&nbsp;") == 4
    assert ">12<" not in html
    assert ">12<" in conv_sheet().to_html(solved=True)
    assert conv_sheet()._repr_html_() == html


def test_grade_by_hand():
    right = grade(conv_sheet(), [[12, 15], [21, 24]])
    assert (right.score, right.right, right.slip, str(right)) == (4, True, None, "4 of 4 right")
    forgotten = grade(conv_sheet(), [[11, 14], [20, 23]])
    assert (forgotten.score, forgotten.slip, forgotten.explained) == (0, "bias forgotten", 4)
    # 11 is what two slips give; the other answer decides between them
    assert grade(conv_sheet(), [[12, 11], [21, 20]]).slip == "kernel flipped"
    both = grade(conv_sheet(), {(0, 0): 11, (0, 1): 15, (1, 0): 99})
    assert both.slip == "bias forgotten"
    assert [mark.slips for mark in both.marks] == [("bias forgotten",), (), (), ()]
    assert str(both) == (
        "1 of 4 right\n\n"
        "wrong\n"
        "  row 0, column 0: 11 is wrong, it is 12 (bias forgotten)\n"
        "  row 1, column 0: 99 is wrong, it is 21\n"
        "  row 1, column 1: left blank, it is 24\n\n"
        "the slip: bias forgotten\n"
        "  it explains 1 of 2 wrong answers\n"
        "  the bias is added to every sum, once"
    )
    assert "<h4>the slip: bias forgotten</h4>" in both._repr_html_()
    assert grade(conv_sheet(), [[1, 2], [3, 4]]).slip is None


@pytest.mark.parametrize("write", [str, float, np.int64, lambda value: f" {value}/1 "])
def test_answers_may_be_written_in_many_ways(write):
    sheet = conv_sheet()
    assert grade(sheet, [[write(int(v)) for v in row] for row in sheet.answer]).right
    assert grade(sheet, [write(int(v)) for v in sheet.answer.ravel()]).right
    assert grade(
        sheet, {tuple(p): write(int(sheet.answer[tuple(p)])) for p in np.argwhere(sheet.blanks)}
    ).right


def test_nothing_written():
    for nothing in ([[None, ""], ["__", " "]], {}):
        empty = grade(conv_sheet(), nothing)
        assert (empty.score, empty.slip, empty.right) == (0, None, False)


@pytest.mark.parametrize(("name", "of"), ASKED)
@pytest.mark.parametrize("size", [3, 4, (4, 5)])
def test_every_slip_is_named(name, of, size):
    for seed in range(10):
        sheet = worksheet(name, size, seed, of=of)
        assert sheet.answer.dtype == np.int64
        assert all(array.dtype == np.int64 for array in sheet.given.values())
        assert grade(sheet, sheet.answer).right
        outcomes = [on_blanks(sheet, cast(a)) for a in (sheet.answer, *sheet.slips.values())]
        for one, other in itertools.combinations(outcomes, 2):
            assert not np.array_equal(one, other, equal_nan=True)
        for slip, outcome in sheet.slips.items():
            assert grade(sheet, outcome).slip == slip
            assert any(slip.startswith(known) for known in ADVICE)


@pytest.mark.parametrize(("layer", "size"), LAYERS, ids=str)
def test_layers_with_other_arguments(layer, size):
    name = next(name for name, (kind, _, _) in KINDS.items() if isinstance(layer, kind))
    asked = [of for of in KINDS[name][2] if of != "bias.grad" or layer.bias is not None]
    for of, seed in itertools.product(asked, range(5)):
        sheet = worksheet(layer, size, seed, of=of)
        for slip, outcome in sheet.slips.items():
            assert grade(sheet, outcome).slip == slip


def test_the_slips_that_every_teacher_knows():
    def slips(name, of="output", **more):
        return set(worksheet(name, 4, 0, of=of, **more).slips)

    assert slips("conv2d") == {
        "kernel flipped", "bias forgotten", "padding forgotten", "stride ignored", "mean for sum"
    }  # fmt: skip
    assert "gradient sign" in slips("conv2d", "grad_input") & slips("conv2d", "weight.grad")
    assert "mean for sum" in slips("linear", "weight.grad") & slips("conv2d", "weight.grad")
    assert {slip.split(" (")[0] for slip in slips("max_pool2d")} >= {"wrong pool winner", "stride ignored"}
    assert "softmax over the wrong axis" in slips("softmax") & slips("cross_entropy", "grad_input")
    assert "gradient sign" in slips("cross_entropy", "grad_input")


@pytest.mark.parametrize(("layer", "size"), LAYERS[:3], ids=str)
def test_convolution_against_loops(layer, size):
    sheet = worksheet(layer, size, 1)
    bias = int(sheet.given["bias"][0]) if "bias" in sheet.given else 0
    image, kernel = sheet.given["image"], sheet.given["kernel"]
    geometry = (layer.stride, layer.padding)
    np.testing.assert_array_equal(sheet.answer, loops(image, kernel, bias, *geometry))
    if "kernel flipped" in sheet.slips:
        flipped = loops(image, kernel[::-1, ::-1], bias, *geometry)
        np.testing.assert_array_equal(sheet.slips["kernel flipped"], flipped)
    if "padding forgotten" in sheet.slips:
        np.testing.assert_array_equal(
            sheet.slips["padding forgotten"], loops(image, kernel, bias, layer.stride, (0, 0))
        )
    if "stride ignored" in sheet.slips:
        np.testing.assert_array_equal(
            sheet.slips["stride ignored"], loops(image, kernel, bias, (1, 1), layer.padding)
        )


def test_convolution_gradients_against_sums():
    layer = nn.Conv2d(1, 1, 2, stride=2, padding=1)
    sheet = worksheet(layer, 4, 3, of="weight.grad")
    padded, grads = np.pad(sheet.given["image"], 1), sheet.given["grad_output"]
    for k, m in np.ndindex(2, 2):  # Σ gradient · the pixel that this weight met
        assert sheet.answer[k, m] == (grads * padded[k : k + 5 : 2, m : m + 5 : 2]).sum()
        assert sheet.slips["stride ignored"][k, m] == (grads * padded[k : k + 3, m : m + 3]).sum()
    sheet = worksheet(layer, 4, 3, of="grad_input")
    kernel, grads, full = sheet.given["kernel"], sheet.given["grad_output"], np.zeros((6, 6), int)
    for y, x in np.ndindex(3, 3):
        full[2 * y : 2 * y + 2, 2 * x : 2 * x + 2] += grads[y, x] * kernel
    np.testing.assert_array_equal(sheet.answer, full[1:5, 1:5])
    np.testing.assert_array_equal(sheet.slips["padding forgotten"], full)
    close = np.zeros((4, 4), int)
    for y, x in np.ndindex(3, 3):
        close[y : y + 2, x : x + 2] += grads[y, x] * kernel
    np.testing.assert_array_equal(sheet.slips["stride ignored"], close[1:, 1:])


def test_pooling_by_windows():
    sheet = worksheet("max_pool2d", 4, 2)
    windows = sheet.given["image"].reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(2, 2, 4)
    np.testing.assert_array_equal(sheet.answer, windows.max(axis=-1))
    winner = np.abs(windows).argmax(axis=-1)[..., None]
    ignored = sheet.slips["wrong pool winner (its sign ignored)"]
    np.testing.assert_array_equal(ignored, np.take_along_axis(windows, winner, -1)[..., 0])
    sheet = worksheet("avg_pool2d", 4, 2)
    windows = sheet.given["image"].reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(2, 2, 4)
    np.testing.assert_array_equal(4 * sheet.answer, windows.sum(axis=-1))


def test_softmax_and_its_gradient():
    sheet = worksheet("softmax", 4, 5)
    assert sheet.answer.sum(axis=1).tolist() == [60, 60]
    powers = sheet.given["logits"]
    np.testing.assert_array_equal(sheet.answer * powers.sum(axis=1, keepdims=True), 60 * powers)
    assert f"ln {powers[0, 0]}" in str(sheet)
    columns = sheet.slips["softmax over the wrong axis"]
    np.testing.assert_allclose(columns * powers.sum(axis=0), 60 * powers, atol=1e-9)
    sheet = worksheet("cross_entropy", 3, 5)
    assert sheet.answer.sum(axis=1).tolist() == [0, 0]  # what one class gains the others lose
    p = sheet.given["logits"] / sheet.given["logits"].sum(axis=1, keepdims=True)
    onehot = np.eye(3)[sheet.given["targets"]]
    np.testing.assert_allclose(sheet.answer / 120, (p - onehot) / 2, atol=1e-12)
    columns = sheet.given["logits"] / sheet.given["logits"].sum(axis=0)
    np.testing.assert_allclose(sheet.slips["softmax over the wrong axis"], 60 * (columns - onehot), atol=1e-9)
    assert "120ths" in str(sheet)


def test_some_blanks():
    sheet = worksheet("conv2d", 4, 0, blanks=3)
    assert sheet.blanks.sum() == 3
    assert str(sheet).count("__") == 3
    assert len(grade(sheet, sheet.answer[sheet.blanks]).marks) == 3
    assert grade(sheet, list(sheet.answer[sheet.blanks])).right
    assert worksheet("conv2d", 4, 0, blanks=100).blanks.all()


def test_one_wrong_number_is_enough():
    sheet = worksheet("conv2d", 4, 0)
    answers = sheet.answer.astype(float)
    place = np.argwhere(sheet.slips["kernel flipped"] != sheet.answer)[0]
    answers[tuple(place)] = sheet.slips["kernel flipped"][tuple(place)]
    graded = grade(sheet, answers)
    assert graded.score == 8
    wrong = [mark for mark in graded.marks if not mark.right]
    assert "kernel flipped" in wrong[0].slips


def test_thirds_may_be_rounded():
    sheet = worksheet(nn.Conv2d(1, 1, 3), 5, 0)
    answers = np.round(sheet.slips["mean for sum"], 2)
    graded = grade(sheet, answers)
    assert graded.slip == "mean for sum"
    assert graded.explained == sum(not mark.right for mark in graded.marks) > 5


def test_same_seed_same_sheet():
    assert str(worksheet("conv2d", 5, 7)) == str(worksheet("conv2d", 5, np.random.default_rng(7)))
    assert str(worksheet("conv2d", 5, 7)) != str(worksheet("conv2d", 5, 8))


def test_the_layer_is_left_alone():
    layer = nn.Conv2d(1, 1, 2, rng=0)
    before = layer.weight.data.copy()
    worksheet(layer, 4, 0, of="weight.grad")
    np.testing.assert_array_equal(layer.weight.data, before)
    assert layer.weight.grad is None
