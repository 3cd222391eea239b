"""check_gradients: right on right layers, the first wrong one by name, kinks and ties told apart."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from minicnn import kernels, nn
from minicnn.inspection import check_gradients
from tests.helpers import draws, raises
from tests.networks import random_network

TARGETS = np.array([0, 2])


class Scaled(nn.Module):
    """A layer that is right, and that no explanation knows."""

    def forward(self, input):
        output = 3 * input
        self.save(output)
        return output

    def backward(self, grad_output):
        self.recall(grad_output)
        return 3 * grad_output


class Unscaled(Scaled):
    """Its backward forgets the factor."""

    def backward(self, grad_output):
        return grad_output


class ForgetsShortcut(nn.Residual):
    """Its layers are right, but nothing goes back around them."""

    def backward(self, grad_output):
        return self.body.backward(grad_output)


class Wrong:
    """Wrong backwards, each a subclass of the layer that it is wrong about."""

    class Conv2d(nn.Conv2d):
        def backward(self, grad_output):
            grad_input = super().backward(grad_output)
            self.weight.grad = self.weight.grad[..., ::-1].copy()  # flipped
            return grad_input

    class Linear(nn.Linear):
        def backward(self, grad_output):
            grad_input = super().backward(grad_output)
            self.bias.grad = self.bias.grad / len(grad_output)  # the mean for the sum
            return grad_input

    class ReLU(nn.ReLU):
        def backward(self, grad_output):
            return grad_output  # as if nothing had been cut off

    class BatchNorm2d(nn.BatchNorm2d):
        def backward(self, grad_output):
            return super().backward(grad_output) + 1e-3 * grad_output

    class MaxPool2d(nn.MaxPool2d):
        def backward(self, grad_output):
            return super().backward(grad_output)[..., ::-1].copy()

    class CrossEntropyLoss(nn.CrossEntropyLoss):
        def backward(self, grad_output=None):
            return -super().backward(grad_output)


def net(**wrong) -> nn.Sequential:
    """Return a float64 net in train mode; a layer's class is taken from `wrong` if it is named there."""
    kind = {name: wrong.get(name, getattr(nn, name)) for name in vars(nn) if name[0].isupper()}
    return nn.Sequential(
        kind["Conv2d"](1, 3, 3, padding=1, rng=0), kind["BatchNorm2d"](3), kind["ReLU"](),
        nn.Residual(nn.Conv2d(3, 3, 3, padding=1, rng=1)), kind["MaxPool2d"](2),
        nn.Dropout(0.3, rng=2), nn.Flatten(), kind["Linear"](27, 3, rng=3),
    ).astype(np.float64)  # fmt: skip


IMAGES = draws((2, 1, 6, 6), np.float64, seed=5)


def test_by_hand():
    # x² through w: loss = (w·x - t)² = (2·3 - 5)² = 1; by w 2·1·3 = 6, by x 2·1·2 = 4, by the output 2
    layer = nn.Linear(1, 1, bias=False, dtype=np.float64, rng=0)
    layer.weight.data[...] = 2
    result = check_gradients(nn.Sequential(layer), np.array([[3.0]]), np.array([[5.0]]), nn.MSELoss())
    assert result.ok
    told = {(row.who, row.of): row.findings[0].analytic for row in result.rows}
    assert told == {
        ("MSELoss", "grad_input"): 2,
        ('Linear "0"', "grad_input"): 4,
        ('Linear "0"', "weight.grad"): 6,
        ("the whole model", "grad_input"): 4,
        ("the whole model", "0.weight.grad"): 6,
    }
    assert all(abs(row.findings[0].numeric - row.findings[0].analytic) < 1e-8 for row in result.rows)
    assert str(result).startswith("check_gradients: all 5 gradients are right\n")


@pytest.mark.parametrize("training", [True, False])
def test_a_right_net_is_right(training):
    result = check_gradients(net().train(training), IMAGES, TARGETS)
    assert result.ok, str(result)
    assert {row.verdict for row in result.rows} <= {"right", "kink"}


@pytest.mark.parametrize("seed", range(5))
def test_random_nets_are_right(seed):
    model, images, targets = random_network(np.random.default_rng(seed), np.float64, batch=2)
    result = check_gradients(model, images, targets, nn.CrossEntropyLoss(label_smoothing=0.1))
    assert result.ok, str(result)


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "BCEWithLogitsLoss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_other_losses_are_right(name, reduction):
    model = nn.Sequential(nn.Linear(4, 3, dtype=np.float64, rng=0))
    targets = np.random.default_rng(1).random((5, 3))
    result = check_gradients(model, draws((5, 4)), targets, getattr(nn, name)(reduction=reduction))
    assert result.ok, str(result)


@pytest.mark.parametrize(
    ("name", "place", "of", "explained"),
    [
        ("Conv2d", "0", "weight.grad", 'Conv2d "0": weight.grad['),
        ("BatchNorm2d", "1", "grad_input", 'BatchNorm2d "1": grad_input['),
        ("ReLU", "2", "grad_input", 'ReLU "2": grad_input['),
        ("MaxPool2d", "4", "grad_input", 'MaxPool2d "4": grad_input['),
        ("Linear", "7", "bias.grad", 'Linear "7": bias.grad['),
    ],
)
def test_the_wrong_layer_is_named_and_its_number_explained(name, place, of, explained):
    result = check_gradients(net(**{name: getattr(Wrong, name)}), IMAGES, TARGETS)
    first = result.first_wrong
    assert (first.who, first.of) == (f'{name} "{place}"', of), str(result)
    worst = first.worst
    assert worst.index is not None
    assert first.explanation.title.startswith(explained)
    # the explanation is of that very number: it recomputes the numeric one, and shows the analytic one
    assert first.explanation.actual == worst.analytic
    assert abs(first.explanation.value - worst.numeric) < 1e-6 * max(1, abs(worst.numeric))
    assert not first.explanation.ok
    for text in (str(first.explanation.title), "analytic ", "numeric  "):
        assert text in str(result)


def test_a_wrong_loss_is_first():
    result = check_gradients(net(), IMAGES, TARGETS, Wrong.CrossEntropyLoss())
    assert (result.first_wrong.who, result.first_wrong.of) == ("CrossEntropyLoss", "grad_input")
    # its layers are right by themselves, and the whole model is not
    assert {row.who for row in result.rows if row.verdict == "wrong"} == {
        "CrossEntropyLoss",
        "the whole model",
    }


def test_a_wrong_kernel_is_found(monkeypatch):
    right = kernels.conv2d_grad_input

    def transposed(grad_output, weight, *geometry):
        return right(grad_output, np.ascontiguousarray(weight.swapaxes(2, 3)), *geometry)

    monkeypatch.setattr(kernels, "conv2d_grad_input", transposed)
    result = check_gradients(net(), IMAGES, TARGETS)
    # the last convolution, inside the residual block, before the block itself and the first one
    assert (result.first_wrong.who, result.first_wrong.of) == ('Conv2d "3.body"', "grad_input")


def test_a_layer_without_an_explanation():
    good = nn.Sequential(nn.Flatten(), Scaled(), nn.Linear(36, 3, rng=0)).astype(np.float64)
    assert check_gradients(good, IMAGES, TARGETS).ok
    bad = nn.Sequential(nn.Flatten(), Unscaled(), nn.Linear(36, 3, rng=0)).astype(np.float64)
    result = check_gradients(bad, IMAGES, TARGETS)
    assert (result.first_wrong.who, result.first_wrong.explanation) == ('Unscaled "1"', None)
    assert abs(result.first_wrong.worst.numeric - 3 * result.first_wrong.worst.analytic) < 1e-8


def test_a_block_that_passes_nothing_on_is_named():
    block = ForgetsShortcut(nn.Conv2d(1, 1, 3, padding=1, rng=0), nn.Conv2d(1, 1, 1, rng=1))
    model = nn.Sequential(block, nn.Flatten(), nn.Linear(36, 3, rng=0)).astype(np.float64)
    result = check_gradients(model, IMAGES, TARGETS)
    assert result.first_wrong.who == 'ForgetsShortcut "0"'
    wrong = {(row.who, row.of) for row in result.rows if row.verdict == "wrong"}
    assert ('ForgetsShortcut "0"', "shortcut.weight.grad") in wrong
    assert ('ForgetsShortcut "0"', "body.weight.grad") not in wrong
    assert not any(who.startswith("Conv2d") for who, _ in wrong)


def test_a_model_that_wires_its_layers_wrongly():
    class Skips(nn.Sequential):
        def backward(self, grad_output):
            return self[0].backward(self[2].backward(grad_output))  # forgets the activation

    model = Skips(nn.Flatten(), nn.Tanh(), nn.Linear(36, 3, dtype=np.float64, rng=0))
    result = check_gradients(model, IMAGES, TARGETS)
    assert result.first_wrong.who == "the whole model"
    assert "every layer by itself is right: what passes the gradients on between them is not" in str(result)


def test_one_wrong_number_among_many_is_found():
    class OneOff(nn.Linear):
        def backward(self, grad_output):
            grad_input = super().backward(grad_output)
            self.weight.grad[1, 77] += 0.01 * np.abs(self.weight.grad).max()
            return grad_input

    model = nn.Sequential(OneOff(200, 3, rng=0), nn.Linear(3, 3, rng=1)).astype(np.float64)
    result = check_gradients(model, draws((2, 200)), TARGETS)
    assert (result.first_wrong.of, result.first_wrong.worst.index) == ("weight.grad", (1, 77))


def test_nan_is_not_finite():
    images = IMAGES.copy()
    images[0, 0, 0, 0] = np.nan
    result = check_gradients(
        nn.Sequential(nn.Flatten(), nn.Linear(36, 3, dtype=np.float64, rng=0)), images, TARGETS
    )
    assert not result.ok
    assert result.first_wrong.verdict == "not finite"


@pytest.mark.parametrize("last", [False, True])
def test_dropout_keeps_its_mask_and_its_random_state(last):
    dropout, linear = nn.Dropout(0.5, rng=0), nn.Linear(36, 3, dtype=np.float64, rng=0)
    model = nn.Sequential(nn.Flatten(), *([linear, dropout] if last else [dropout, linear]))
    before = copy.deepcopy(dropout.rng.bit_generator.state)
    result = check_gradients(model, IMAGES, TARGETS)
    assert result.ok, str(result)
    assert dropout.rng.bit_generator.state == before


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails, monkeypatch):
    model = net()
    model.backward(model(IMAGES))
    arrays = model.state_dict()
    owners = [(p.data, p.grad) for p in model.parameters()]
    saved = [module.saved for module in model.modules()]
    criterion = nn.CrossEntropyLoss()
    if fails:
        monkeypatch.setattr(nn.Flatten, "backward", lambda self, grad_output: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            check_gradients(model, IMAGES, TARGETS, criterion)
    else:
        images = IMAGES.copy()
        images.flags.writeable = False
        check_gradients(model, images, TARGETS, criterion)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, arrays[name])
    assert all(
        p.data is data and p.grad is grad for p, (data, grad) in zip(model.parameters(), owners, strict=True)
    )
    assert all(module.saved is kept for module, kept in zip(model.modules(), saved, strict=True))
    assert criterion.saved == {}
    assert not any("forward" in vars(module) or "backward" in vars(module) for module in model.modules())


def test_same_seed_same_result():
    one, two = (str(check_gradients(net(), IMAGES, TARGETS, rng=7)) for _ in range(2))
    assert one == two


def test_errors():
    with raises(
        TypeError,
        "check_gradients: central differences need float64, because the rounding of float32 is larger than the "
        "differences. Got float32 in images. Convert with model.astype(np.float64) and images.astype(np.float64).",
    ):
        check_gradients(net(), IMAGES.astype(np.float32), TARGETS)
    with raises(
        TypeError,
        "check_gradients: central differences need float64, because the rounding of float32 is larger than the "
        "differences. Got float32 in 0.weight. Convert with model.astype(np.float64) and images.astype(np.float64).",
    ):
        check_gradients(net().astype(np.float32), IMAGES, TARGETS)
    with raises(
        TypeError,
        "check_gradients: images must be float32 or float64. Got int64. Convert it with .astype(np.float32).",
    ):
        check_gradients(net(), IMAGES.astype(np.int64), TARGETS)
    with raises(
        ValueError, "check_gradients: images must hold at least one image. Got none. Pass a small batch."
    ):
        check_gradients(net(), IMAGES[:0], TARGETS[:0])
