"""trace: what is written down, what cannot be asked, and that the model stays as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import Trace, trace
from tests.helpers import draws, raises

IMAGES = np.float32([[1, 2], [4, -1]])
TARGETS = np.float32([[9, 3], [8, 5]])


def small_net() -> nn.Sequential:
    """Return 2x + 3y + 1 and -x + y, then ReLU."""
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.ReLU())
    model[0].weight.data[...], model[0].bias.data[...] = [[2, 3], [-1, 1]], [1, 0]
    return model


def small_trace() -> Trace:
    return trace(small_net(), IMAGES, TARGETS, nn.MSELoss("sum"), classes=("cat", "dog"))


def test_steps_by_hand():
    t = small_trace()
    assert [step.name for step in t] == ["0", "1", "loss", "softmax", "label"]
    assert [step.kind for step in t.steps] == ["Linear", "ReLU", "MSELoss", "Softmax", "Label"]
    assert len(t) == 5
    # 2·1 + 3·2 + 1 = 9, -1 + 2 = 1; 2·4 - 3·1 + 1 = 6, -4 - 1 = -5
    assert t["0"].input.tolist() == [[1, 2], [4, -1]]
    assert t["0"].output.tolist() == t["1"].input.tolist() == [[9, 1], [6, -5]]
    assert t["1"].output.tolist() == [[9, 1], [6, 0]]
    assert t["loss"].output == 0 + 4 + 4 + 25  # (9 - 9)², (1 - 3)², (6 - 8)², (0 - 5)²
    assert t["loss"].grad_input.tolist() == t["1"].grad_output.tolist() == [[0, -4], [-4, -10]]
    assert t["1"].grad_input.tolist() == t["0"].grad_output.tolist() == [[0, -4], [-4, 0]]
    # weights' columns: -4·(-1), -4·1; -4·2, -4·3
    assert t["0"].grad_input.tolist() == [[4, -4], [-8, -12]]
    # -4·4, -4·(-1); -4·1, -4·2
    assert t["0"].grads["weight"].tolist() == [[-16, 4], [-4, -8]]
    assert t["0"].grads["bias"].tolist() == [-4, -4]
    assert t["0"].parameters["weight"].tolist() == [[2, 3], [-1, 1]]
    assert t["label"].output.tolist() == [0, 0]


def test_without_targets_there_is_no_backward():
    t = trace(small_net(), IMAGES)
    assert [step.name for step in t] == ["0", "1", "softmax", "label"]
    assert t["0"].grad_input is None
    assert t["0"].grads == {}


def test_losses_that_are_not_reduced():
    t = trace(small_net(), IMAGES, TARGETS, nn.MSELoss("none"))
    assert t["loss"].output.tolist() == [[0, 4], [4, 25]]
    assert t["loss"].grad_input.tolist() == [[0, -4], [-4, -10]]


def test_classes_name_the_label():
    t = small_trace()
    assert t.classes == ("cat", "dog")
    assert "label: cat" in str(t.explain("label", 1))
    assert "label: 0" in str(trace(small_net(), IMAGES).explain("label", 1))


# The model stays as it was


def busy_net() -> nn.Sequential:
    """Return a net with all that a pass changes: gradients, statistics, chance, saved arrays, two modes."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=0), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5, rng=1), nn.Flatten(),
        nn.Linear(8, 3, rng=2), nn.Dropout(0.5, rng=3).eval(),
    )  # fmt: skip
    model.backward(model(draws((2, 1, 4, 4), np.float32)) + 1)
    return model


def facts(model) -> dict:
    """Return copies of all that must be the same bits after a trace."""
    return {
        "state": {name: array.tobytes() for name, array in model.state_dict().items()},
        "grads": {name: parameter.grad.tobytes() for name, parameter in model.named_parameters()},
        "chance": {name: copy.deepcopy(g.bit_generator.state) for name, g in model.named_generators()},
        "modes": [module.training for module in model.modules()],
        "arrays": [(id(p.data), id(p.grad)) for p in model.parameters()],
        "saved": [id(module.saved) for module in model.modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
    }


BATCH, CLASSES = draws((3, 1, 4, 4), np.float32, seed=1), np.array([0, 2, 1])


@pytest.mark.parametrize("targets", [None, CLASSES])
def test_the_model_stays_as_it_was(targets):
    model, criterion = busy_net(), nn.CrossEntropyLoss()
    before, saved = facts(model), criterion.saved
    first = trace(model, BATCH, targets, criterion)
    assert facts(model) == before
    assert criterion.saved is saved
    again = trace(model, BATCH, targets, criterion)  # the same dropout, so the same numbers
    assert first["6"].output.tobytes() == again["6"].output.tobytes()
    assert (first["3"].output == 0).any()


def test_the_check_of_facts_sees_a_pass():
    model = busy_net()
    before = facts(model)
    model.backward(model(BATCH))
    after = facts(model)
    assert all(before[key] != after[key] for key in ("state", "grads", "chance", "saved"))


@pytest.mark.parametrize("method", ["forward", "backward"])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_the_model_stays_as_it_was_when_a_layer_raises(method, place, monkeypatch):
    model = busy_net()

    def broken(array):
        raise FloatingPointError("planted")

    monkeypatch.setattr(model[place], method, broken)
    before = facts(model)
    with pytest.raises(FloatingPointError, match="planted"):
        trace(model, BATCH, CLASSES)
    assert facts(model) == before


@pytest.mark.parametrize(
    ("images", "targets", "criterion"),
    [
        (BATCH, np.array([0, 3, 1]), None),  # no such class
        (BATCH, CLASSES, nn.MSELoss()),  # wants floats in the output's shape
        (BATCH[:, 0, 0], CLASSES, None),
        (BATCH.astype(np.float64), CLASSES, None),
    ],
)
def test_the_model_stays_as_it_was_when_arguments_do_not_fit(images, targets, criterion):
    model = busy_net()
    before = facts(model)
    with pytest.raises((ValueError, TypeError), match=r"Got .*\. "):
        trace(model, images, targets, criterion)
    assert facts(model) == before


@pytest.mark.parametrize(("criterion", "got"), [(nn.MSELoss, "type"), (np.mean, "_ArrayFunctionDispatcher")])
def test_criterion_must_be_a_loss(criterion, got):
    model = busy_net()
    before = facts(model)
    with raises(
        TypeError,
        f"trace: criterion must be a loss of minicnn. Got {got}. Pass one such as nn.CrossEntropyLoss() "
        "(with the brackets).",
    ):
        trace(model, BATCH, CLASSES, criterion)
    assert facts(model) == before


# Errors


def test_unknown_step():
    with pytest.raises(KeyError) as caught:
        small_trace()["3"]
    assert caught.value.args == (
        "Trace: a step must have been recorded. Got '3'. Choose one of '0', '1', 'loss', 'softmax', 'label'.",
    )


@pytest.mark.parametrize("index", [(0, 2), (2, 0), (0,), (0, 0, 0), 0, (0, 1.5), (-3, 0), ("a", 0)])
def test_index_outside(index):
    shown = index if isinstance(index, tuple) else (index,)
    message = f"index must lie within output of shape (2, 2). Got {shown}. Count every axis from 0."
    with raises(ValueError, f'Linear "0": {message}'):
        small_trace().explain("0", index)


def test_index_forms():
    t = small_trace()
    for index in ((1, 0), [1, 0], np.array([1, 0]), (-1, -2), (np.int8(1), 0)):
        assert t.explain("0", index).actual == 6
    assert t.explain("loss", ()).actual == 33


@pytest.mark.parametrize("of", ["weights.grad", "input", "grad", "weight"])
def test_unknown_array(of):
    with raises(
        ValueError,
        f'Linear "0": of must name an array of this step. Got {of!r}. Choose one of output, grad_input, '
        "weight.grad, bias.grad; gradients need targets when tracing.",
    ):
        small_trace().explain("0", (0, 0), of)


def test_gradients_need_targets():
    with raises(
        ValueError,
        "ReLU \"1\": of must name an array of this step. Got 'grad_input'. Choose one of output, grad_input; "
        "gradients need targets when tracing.",
    ):
        trace(small_net(), IMAGES).explain("1", (0, 0), "grad_input")


@pytest.mark.parametrize("step", ["softmax", "label"])
def test_no_gradient_goes_through_probabilities_and_label(step):
    t = small_trace()
    with raises(
        ValueError,
        f"{t[step].who}: of must name an array of this step. Got 'grad_input'. Choose output; the way back begins "
        "at the loss, from the logits.",
    ):
        t.explain(step, (0, 0), "grad_input")


def test_a_linear_layer_on_more_axes_names_image_and_place():
    layer = nn.Linear(2, 1, rng=0)
    t = trace(layer, np.ones((2, 3, 2), np.float32), np.zeros((2, 3, 1), np.float32), nn.MSELoss())
    for of, index in (("weight.grad", (0, 1)), ("bias.grad", 0)):
        terms = t.explain("", index, of).terms
        assert terms["image"].tolist() == [0, 0, 0, 1, 1, 1]
        assert terms["axis 1"].tolist() == [0, 1, 2, 0, 1, 2]
