"""What stands behind the layers of a trace: loss, softmax and label, also of models that end in a softmax."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import chain, plot_way, trace, what_if

CLASSES = ("cat", "dog")
ROW = np.log(np.float64([[1, 3]]))  # its softmax is 1/4, 3/4


def behind(*layers) -> nn.Sequential:
    """Return a model that passes its input on to these layers."""
    model = nn.Sequential(nn.Linear(2, 2, rng=0, dtype=np.float64), *layers)
    model[0].weight.data[...], model[0].bias.data[...] = np.eye(2), 0
    return model


ENDS = {
    "softmax": lambda: behind(nn.Softmax(dim=1)),
    "softmax over the last axis": lambda: behind(nn.Softmax(dim=-1)),
    "softmax, then a layer that changes nothing": lambda: behind(nn.Softmax(dim=1), nn.Identity()),
    "nested": lambda: nn.Sequential(behind(nn.Sequential(nn.Softmax(dim=1)))),
    "log-softmax": lambda: behind(nn.LogSoftmax(dim=1)),
    "logits": lambda: behind(),
}


@pytest.mark.parametrize("name", ENDS)
def test_probabilities_are_squeezed_once(name):
    model = ENDS[name]()
    t = trace(model, ROW, classes=CLASSES)
    assert list(t.ending) == ["softmax", "label"]
    np.testing.assert_allclose(t["softmax"].output, [[0.25, 0.75]], rtol=1e-15)
    np.testing.assert_allclose(np.diff(t["softmax"].input), np.diff(ROW), rtol=1e-15)
    assert t["label"].output.tolist() == [1]
    assert t.explain("softmax", (0, 1)).ok
    assert "label: dog" in str(t.explain("label", 0))


def test_the_softmax_is_the_models_own():
    t = trace(ENDS["softmax"](), ROW)
    assert t["softmax"].output is t["1"].output
    assert t["softmax"].input is t["0"].output
    assert t.explain("softmax", (0, 0)).value == t.explain("1", (0, 0)).value


def test_another_axis_is_no_softmax_of_classes():
    t = trace(behind(nn.Softmax(dim=0)), np.concatenate([ROW, ROW]))
    assert t["1"].output.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert t["softmax"].input is t["1"].output


@pytest.mark.parametrize(
    "criterion",
    [nn.MSELoss(), nn.L1Loss(), nn.BCELoss(), nn.BCEWithLogitsLoss()],
    ids=lambda criterion: type(criterion).__name__,
)
def test_losses_without_classes_choose_none(criterion):
    targets, outputs = np.float64([[0, 1]]), np.float64([[0.25, 0.5]])
    t = trace(nn.Identity(), outputs, targets, criterion)
    assert list(t.ending) == ["loss"]
    for one in (t, trace(nn.Identity(), outputs, criterion=criterion)):
        assert chain(one).label is None
        assert "softmax" not in str(chain(one))
    named = trace(nn.Identity(), outputs, targets, criterion, classes=CLASSES)
    assert list(named.ending) == ["loss", "softmax", "label"]


def test_layers_may_have_the_names_of_the_last_steps():
    names = ("loss", "softmax", "label")
    model = nn.Sequential(OrderedDict((name, nn.Affine(2.0)) for name in names))
    t = trace(model, np.float32([[1, 2]]), np.array([0]))
    assert [step.name for step in t.layers] == list(names)
    assert [step.kind for step in t.ending.values()] == ["CrossEntropyLoss", "Softmax", "Label"]
    assert chain(t).logits.tolist() == [8, 16]


def test_the_page_begins_its_chain_with_the_logits():
    criterion = nn.MSELoss()
    page = chain(trace(ENDS["softmax"](), ROW, np.float64([[0, 1]]), criterion, classes=CLASSES))
    np.testing.assert_allclose(page.output, [0.25, 0.75])
    np.testing.assert_allclose(page.logits, ROW[0])
    assert page.label == "dog"
    assert "1  dog     1.0986   0.0000      1.000000     0.750000     1" in str(page)
    assert "squeezed" not in str(page)
    assert "gradient of the output: 0.25, -0.25" in str(page)  # 2·(p - t) / 2


def test_the_page_says_that_a_loss_takes_the_softmax_again():
    page = str(chain(trace(ENDS["softmax"](), ROW, np.array([1]))))
    assert (
        "of this image: Σ truth·(-log p) = 0.4741, truth: 1; the label is right" in page
    )  # log(1 + exp(-1/2))
    assert (
        "  p is squeezed twice: the model ends in a Softmax, and this loss takes one of its output\n" in page
    )
    assert "squeezed" not in str(chain(trace(ENDS["log-softmax"](), ROW, np.array([1]))))


def test_the_page_says_that_a_target_is_ignored():
    targets = np.array([-100, 1])
    pages = [str(chain(trace(behind(), np.concatenate([ROW, ROW]), targets), image)) for image in (0, 1)]
    assert "of this image: Σ truth·(-log p) = 0, target -100: ignored\n" in pages[0]
    assert "of this image: Σ truth·(-log p) = 0.2877, truth: 1; the label is right\n" in pages[1]
    weighed = nn.CrossEntropyLoss(weight=np.float64([0, 1]))
    page = str(chain(trace(behind(), np.concatenate([ROW, ROW]), np.array([0, 1]), weighed)))
    assert "truth = 0, 0\n" in page


def test_what_if_speaks_of_logits_and_of_the_models_own_probabilities():
    result = what_if(ENDS["softmax"](), ROW, {"image[0]": np.log(9.0)}, classes=CLASSES)
    np.testing.assert_allclose(result.logits_before, ROW[0])
    np.testing.assert_allclose(result.logit_changes, [np.log(9), 0])
    assert [change.name for change in result.changes] == ["image", "0", "1"]
    (cat,) = [line.split() for line in str(result).splitlines() if line.startswith("  cat")]
    assert cat == ["cat", "0", "2.197", "+2.197", "0.25", "0.75"]
    assert result.flips


def test_the_picture_shows_logits_and_probabilities():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.Flatten(), nn.Linear(8, 2, rng=0), nn.Softmax(dim=1))
    t = trace(model, np.ones((1, 1, 4, 4), np.float32))
    texts = [text.get_text() for text in plot_way(t).texts]
    assert 'Linear\n"2"' in texts
    assert not [text for text in texts if text.startswith("Softmax")]
    shares = [text.get_text() for ax in plot_way(t).axes for text in ax.texts if "%" in text.get_text()]
    assert shares == [f"{share:.1%}" for share in t["3"].output[0]]
    assert plot_way(trace(nn.Softmax(dim=1), np.float32([[1, 2]]))).texts
