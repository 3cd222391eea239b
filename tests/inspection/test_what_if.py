"""what_if: the cells that an edit reaches, the logits, the label; and the model as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import what_if
from tests.helpers import draws, raises


def by_hand() -> nn.Sequential:
    """Return a 2x2 convolution of ones, ReLU and a linear layer, for images of 1x3x3."""
    model = nn.Sequential(nn.Conv2d(1, 1, 2, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2, rng=0))
    model[0].weight.data[...], model[0].bias.data[...] = 1, 0
    model[3].weight.data[...], model[3].bias.data[...] = [[1, 1, 1, 1], [0, 0, 0, 3]], [0, 1]
    return model


IMAGE = np.float32([[[[1, 0, 0], [0, 2, 0], [0, 0, 0]]]])


def state_of(model: nn.Module) -> list:
    """Return everything that must be the same bits afterwards, and the objects that hold it."""
    arrays = [value.copy() for value in model.state_dict().values()]
    owners = [parameter.data for parameter in model.parameters()]
    grads = [parameter.grad for parameter in model.parameters()]
    chance = [copy.deepcopy(g.bit_generator.state) for _, g in model.named_generators()]
    hidden = [(module.training, module.saved, "forward" in vars(module)) for module in model.modules()]
    return [arrays, owners, grads, chance, hidden]


def assert_left_alone(model: nn.Module, before: list) -> None:
    after = state_of(model)
    for old, new in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(old is new for old, new in zip(before[1], after[1], strict=True))
    assert all(old is new for old, new in zip(before[2], after[2], strict=True))
    assert before[3] == after[3]
    for (mode, saved, watched), (mode_after, saved_after, watched_after) in zip(
        before[4], after[4], strict=True
    ):
        assert (mode, watched) == (mode_after, watched_after)
        assert saved is saved_after


def test_one_pixel_by_hand():
    # windows before: 1+2 = 3, 2, 2, 2; the corner pixel 1 -> -5 is in the first window alone: -5 + 2 = -3
    result = what_if(by_hand(), IMAGE, {"image[0, 0, 0]": -5.0}, classes=("cat", "dog"))
    assert result.edits == ["image[0, 0, 0]: 1 -> -5"]
    image, conv, relu, flat, linear = result.changes
    assert (image.count, image.where, image.largest) == (1, (0, 0, 0), -6)
    assert (conv.count, conv.share, conv.positions.tolist()) == (1, 0.25, [[0, 0, 0]])
    assert (conv.before[0, 0, 0], conv.after[0, 0, 0], conv.largest) == (3, -3, -6)
    assert (relu.count, relu.largest) == (1, -3)  # 3 -> 0
    assert (flat.positions.tolist(), flat.largest) == ([[0]], -3)
    # logits before: 3 + 2 + 2 + 2 = 9 and 3·2 + 1 = 7; after: 6 and 7
    assert linear.positions.tolist() == [[0]]
    assert result.logits_before.tolist() == [9, 7]
    assert result.logits_after.tolist() == [6, 7]
    assert result.logit_changes.tolist() == [-3, 0]
    assert (result.label_before, result.label_after, result.flips) == ("cat", "dog", True)
    assert "label: 'cat' -> 'dog': it flips" in str(result)


def test_one_weight_by_hand():
    # without the last tap the windows lose their lower right pixel: 3 - 2, 2 - 0, 2 - 0, 2 - 0
    result = what_if(by_hand(), IMAGE, {"0.weight[0, 0, 1, 1]": 0.0})
    assert result["0"].positions.tolist() == [[0, 0, 0]]
    assert result["0"].after.tolist() == [[[1, 2], [2, 2]]]
    assert result["image"].count == 0
    assert result.logits_after.tolist() == [7, 7]
    assert not result.flips
    assert result.edits == ["0.weight[0, 0, 1, 1]: 1 -> 0"]


def test_one_bias_by_hand():
    result = what_if(by_hand(), IMAGE, {"3.bias[1]": 4})
    assert [change.count for change in result.changes] == [0, 0, 0, 0, 1]
    assert result.logit_changes.tolist() == [0, 3]


def test_a_layer_s_output_by_hand():
    result = what_if(by_hand(), IMAGE, {"1.output": np.float32([[[0, 0], [0, 2]]])})
    # the convolution is as it was; 2 and 2·3 + 1 come out
    assert [change.count for change in result.changes] == [0, 0, 3, 3, 1]
    assert result.logits_after.tolist() == [2, 7]
    assert result.edits == ["1.output: 3 of 4 numbers changed"]


def test_several_edits_are_made_in_order():
    edits = {"image": lambda pixels: 2 * pixels, "image[0, 0, 0]": lambda old: old + 1, "0.bias": 1.0}
    result = what_if(by_hand(), IMAGE, edits)
    assert result["image"].after.tolist() == [[[3, 0, 0], [0, 4, 0], [0, 0, 0]]]
    assert result["0"].after.tolist() == [[[8, 5], [5, 5]]]


def test_a_function_may_change_its_argument():
    image = IMAGE.copy()

    def doubled(old):
        old *= 2
        return old

    result = what_if(by_hand(), image, {"image": doubled})
    assert result["image"].before.sum() == 3
    assert result["image"].after.sum() == 6
    np.testing.assert_array_equal(image, IMAGE)


def test_slices_and_dots():
    image = np.float32(np.arange(18).reshape(1, 2, 3, 3)) + 1
    model = nn.Sequential(nn.Flatten(), nn.Linear(18, 2, rng=0))
    result = what_if(model, image, {"image[:, 1:, -1]": 0})
    assert result["image"].positions.tolist() == [[0, 1, 2], [0, 2, 2], [1, 1, 2], [1, 2, 2]]
    assert what_if(model, image, {"image[..., 0]": 0})["image"].count == 6
    assert what_if(model, image[0], {" image [1] ": 0})["image"].count == 9


def test_a_single_layer_has_names_without_dots():
    layer = nn.Linear(2, 2, rng=0)
    layer.weight.data[...], layer.bias.data[...] = [[1, 2], [3, 4]], 0
    result = what_if(layer, np.float32([1, 1]), {"weight[0]": 0, "output[1]": 9})
    assert result.logits_after.tolist() == [0, 9]


def test_explanations_on_both_sides():
    result = what_if(by_hand(), IMAGE, {"0.weight[0, 0, 0, 0]": 3.0})
    assert result.before.explain("0", (0, 0, 0, 0)).value == 3
    assert result.after.explain("0", (0, 0, 0, 0)).value == 5
    assert result.after.explain("0", (0, 0, 0, 0)).ok


def test_without_edits_nothing_changes():
    result = what_if(by_hand(), IMAGE, {})
    assert [change.count for change in result.changes] == [0] * 5
    assert str(result).startswith("what if nothing changed\n")
    assert result["0"].row == ["0", "Conv2d", "-", "0 of 4", "0%", "-", "-"]


def test_dropout_draws_the_same_mask_twice():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5, rng=0), nn.Linear(9, 2, rng=0))
    assert what_if(model, draws((1, 1, 3, 3), np.float32), {})["1"].count == 0


def test_nan_is_a_change_once():
    result = what_if(by_hand(), IMAGE, {"image[0, 0, 0]": np.nan})
    assert result["image"].count == 1
    assert np.isnan(result.logits_after[0])
    assert "nan" in str(result)
    nothing = np.where(IMAGE == 1, np.float32(np.nan), IMAGE)
    assert what_if(by_hand(), nothing, {"image[0, 0, 0]": np.nan})["image"].count == 0


def test_many_classes_and_html():
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 30, rng=0))
    model[1].weight.data[...] = 0
    model[1].weight.data[7, 0] = 100
    result = what_if(model, IMAGE, {"image[0, 0, 0]": 0}, classes=["<" + str(i) for i in range(30)])
    assert "... and 10 more classes, whose logits changed less" in str(result)
    assert "\n  <7" in str(result)
    assert "&lt;7" in result._repr_html_()
    assert "<7" not in result._repr_html_()


def test_regression_has_no_label():
    result = what_if(nn.Linear(2, 1, rng=0), np.float32([1, 1]), {"bias": 0})
    assert (result.label_before, result.flips) == (None, False)
    assert "label" not in str(result)


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_is_left_as_it_was(mode):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, rng=0), nn.BatchNorm2d(2), nn.Residual(nn.ReLU()), nn.Dropout(0.5, rng=1),
        nn.Flatten(), nn.Linear(18, 3, rng=2),
    ).train(mode)  # fmt: skip
    images = draws((1, 1, 3, 3), np.float32)
    model.backward(model(images))
    before = state_of(model)
    edits = {"image[0, 1, 1]": 9, "0.weight": 0, "5.bias[2]": 1, "2.output[1]": 0, "2.body.output[0]": 1}
    result = what_if(model, images, edits)
    assert len(result.edits) == 5
    assert_left_alone(model, before)


@pytest.mark.parametrize(
    "edits",
    [
        {"0.weight": 0, "9.weight": 0},
        {"0.weight": 0, "1.output": lambda old: 1 / 0},
        {"0.output": 0, "1.output": np.float32([1, 2])},
    ],
)
def test_the_model_is_left_as_it_was_after_an_error(edits):
    model = by_hand()
    model.backward(model(IMAGE))
    before = state_of(model)
    with pytest.raises((ValueError, ZeroDivisionError)):
        what_if(model, IMAGE, edits)
    assert_left_alone(model, before)


def test_read_only_arrays():
    model, image = by_hand(), IMAGE.copy()
    image.flags.writeable = False
    for parameter in model.parameters():
        parameter.data.flags.writeable = False
    result = what_if(model, image, {"image[0, 0, 0]": 0, "0.weight[0, 0, 0, 0]": 2})
    assert result["image"].count == 1
    assert image[0, 0, 0, 0] == 1
    assert model[0].weight.data[0, 0, 0, 0] == 1


def test_errors():
    model = by_hand()
    with raises(
        TypeError,
        "what_if: edits must be a dict of places and values. Got list. "
        'Pass for example {"image[0, 3, 4]": 1.0}.',
    ):
        what_if(model, IMAGE, [("image", 0)])
    with raises(
        ValueError,
        "what_if: image must be one image, (1, C, H, W) or (C, H, W), or one row of features. "
        "Got shape (2, 1, 3, 3). Pass for example images[:1].",
    ):
        what_if(model, np.concatenate([IMAGE, IMAGE]), {})
    with raises(
        TypeError,
        "what_if: a place must be text. Got (0, 1). "
        'Write for example "image[0, 3, 4]", "0.bias[2]" or "2.output[0, 1:3]".',
    ):
        what_if(model, IMAGE, {(0, 1): 0})
    for place in ("image[", "image[1][2]", "", "image[1.5]", "image[1:2:3:4]", "image[a]"):
        with raises(
            ValueError,
            f"what_if: a place must be a name, or a name with an index. Got {place!r}. "
            'Write for example "image[0, 3, 4]", "0.bias[2]" or "2.output[0, 1:3]".',
        ):
            what_if(model, IMAGE, {place: 0})
    for name in ("1.weight", "7.weight", "picture", "0.grad"):
        with raises(
            ValueError,
            f"what_if: a name must be the image, a parameter or a layer's output. Got {name!r}. Choose one of "
            "'image', '0.weight', '0.bias', '0.output', '1.output', '2.output', '3.weight', '3.bias', '3.output'.",
        ):
            what_if(model, IMAGE, {name: 0})

    class UsesTheFirst(nn.Sequential):
        def forward(self, input):
            return self[0](input)

    with raises(
        ValueError,
        "what_if: a layer whose output is replaced must run. Got '1.output', of a layer that did not. "
        "Choose a layer that forward calls.",
    ):
        what_if(UsesTheFirst(nn.Flatten(), nn.ReLU()), IMAGE, {"1.output": 0})
    for place in ("image[3, 0, 0]", "image[0, 0, 0, 0]"):
        with raises(
            ValueError,
            f"what_if: an index must lie within its array. Got {place!r} for shape (1, 3, 3). "
            "Leave out the axis of the images, and count the others from 0.",
        ):
            what_if(model, IMAGE, {place: 0})
    with raises(
        TypeError,
        "what_if: a value must be a number, or an array of float32. Got float64 for 'image'. "
        "Convert it with np.asarray(value, np.float32).",
    ):
        what_if(model, IMAGE, {"image": np.zeros((1, 3, 3))})
    with raises(
        TypeError,
        "what_if: a value must be a number, or an array of float32. Got bool for 'image'. "
        "Convert it with np.asarray(value, np.float32).",
    ):
        what_if(model, IMAGE, {"image": True})
    with raises(
        ValueError,
        "what_if: an array must have the shape of the numbers it replaces, (3,). Got (2,) for 'image[0, 0]'. "
        "Pass one number, or an array of this shape.",
    ):
        what_if(model, IMAGE, {"image[0, 0]": np.float32([1, 2])})
    with pytest.raises(
        KeyError, match=r"a step must have been recorded\. Got '9'\. Choose one of 'image', '0'"
    ):
        what_if(model, IMAGE, {})["9"]
