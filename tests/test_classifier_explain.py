"""The printed chain from logits to label: every number by hand, and what it remarks on."""

import re

import numpy as np
import pytest

from minicnn import nn
from minicnn.classifier import ABSTAINS, Classifier, SigmoidChain, SoftmaxChain, labels_of

ANIMALS = ["ant", "bee", "cat"]


def explain(logits, classes=ANIMALS, top_k=3, **options):
    """Return the chains of rows that are logits already."""
    return Classifier(nn.Flatten(), classes, **options).explain(np.array(logits, dtype=float), top_k)


def test_softmax_chain_by_hand():
    chain = explain([np.log([1.0, 2.0, 5.0])])[0]
    assert isinstance(chain, SoftmaxChain)
    assert chain.maximum == np.log(5)
    np.testing.assert_array_equal(chain.shifted, np.log([1.0, 2.0, 5.0]) - np.log(5))
    np.testing.assert_allclose(chain.exponentials, [1 / 5, 2 / 5, 1], rtol=1e-15)
    assert chain.total == pytest.approx(8 / 5, rel=1e-15)
    np.testing.assert_allclose(chain.probabilities, [1 / 8, 2 / 8, 5 / 8], rtol=1e-15)
    assert (chain.index, chain.label, chain.notes) == (2, "cat", [])
    assert [name for name, _ in chain.top] == ["cat", "bee", "ant"]


def test_the_page_of_a_softmax_chain():
    assert (
        str(explain([[0, 1, 3], [1, 0, 0]], top_k=2))
        == """\
image 0: 3 logits -> softmax -> argmax -> label
  index  class  logit z  z - max  exp(z - max)  probability  rank
      0  ant     0.0000  -3.0000      0.049787     0.042010
      1  bee     1.0000  -2.0000      0.135335     0.114195     2
      2  cat     3.0000   0.0000      1.000000     0.843795     1
  max 3.0000, sum of exp 1.185122, probability = exp / sum
  argmax: index 2 -> class 'cat' -> label 'cat'
  top 2: 'cat' 0.843795, 'bee' 0.114195

image 1: 3 logits -> softmax -> argmax -> label
  index  class  logit z  z - max  exp(z - max)  probability  rank
      0  ant     1.0000   0.0000      1.000000     0.576117     1
      1  bee     0.0000  -1.0000      0.367879     0.211942     2
      2  cat     0.0000  -1.0000      0.367879     0.211942
  max 1.0000, sum of exp 1.735759, probability = exp / sum
  argmax: index 0 -> class 'ant' -> label 'ant'
  top 2: 'ant' 0.576117, 'bee' 0.211942"""
    )


def test_the_page_of_a_sigmoid_chain():
    layer = nn.Linear(1, 1, dtype=np.float64)
    layer.weight.data[...], layer.bias.data[...] = 1, 0
    chains = Classifier(layer, ["cat", "dog"], threshold=0.2).explain(np.array([[-1.0], [2.0]]))
    assert isinstance(chains[0], SigmoidChain)
    assert (
        str(chains)
        == """\
image 0: 1 logit -> sigmoid -> threshold -> label
  step                  value
  logit z             -1.0000
  e = exp(-|z|)      0.367879
  1 + e              1.367879
  p = e / (1 + e)    0.268941
  p > threshold 0.2       yes
  p is the probability of 'dog' (index 1); 'cat' (index 0) has 1 - p
  threshold: index 1 -> class 'dog' -> label 'dog'
  top 2: 'cat' 0.731059, 'dog' 0.268941

image 1: 1 logit -> sigmoid -> threshold -> label
  step                  value
  logit z              2.0000
  e = exp(-|z|)      0.135335
  1 + e              1.135335
  p = 1 / (1 + e)    0.880797
  p > threshold 0.2       yes
  p is the probability of 'dog' (index 1); 'cat' (index 0) has 1 - p
  threshold: index 1 -> class 'dog' -> label 'dog'
  top 2: 'dog' 0.880797, 'cat' 0.119203"""
    )


@pytest.mark.parametrize("abstain_below", [None, 0.6])
@pytest.mark.parametrize("units", [1, 2, 5])
def test_the_chain_ends_where_predict_ends(units, abstain_below):
    logits = np.random.default_rng(units).normal(size=(40, units))
    clf = Classifier(nn.Flatten(), range(max(units, 2)), abstain_below=abstain_below)
    chains = clf.explain(logits)
    assert [chain.label for chain in chains] == clf.predict(logits).tolist()
    assert [chain.abstains for chain in chains] == (clf.predict(logits).astype(str) == ABSTAINS).tolist()
    np.testing.assert_array_equal([chain.probabilities for chain in chains], clf.predict_proba(logits))
    names = labels_of([chain.index for chain in chains], clf.classes_).tolist()
    assert all(chain.label in (name, ABSTAINS) for chain, name in zip(chains, names, strict=True))


def test_the_steps_agree_with_the_probabilities_of_predict_proba():
    for chain in explain(10 * np.random.default_rng(0).normal(size=(20, 3))):
        np.testing.assert_allclose(chain.exponentials / chain.total, chain.probabilities, rtol=1e-15)


# What it remarks on

NOTES = [
    ([[2, 2, 0]], {}, ["'ant' and 'bee' tie at probability 0.468311: argmax takes the first."]),
    ([[1, 1, 1]], {}, ["'ant' and 'bee' and 'cat' tie at probability 0.333333: argmax takes the first."]),
    ([[0, 1e-20, -9]], {}, ["'ant' and 'bee' tie at probability 0.499969: the larger logit wins."]),
    (
        [[0, np.nan, 1]],
        {},
        [
            "The logit of 'bee' is not finite: it is nan.",
            "The probabilities are NaN, so that the label means nothing: find where the model makes it.",
        ],
    ),
    (
        [[np.inf, 0, np.inf]],
        {},
        [
            "The logit of 'ant' is not finite: it is inf.",
            "The logit of 'cat' is not finite: it is inf.",
            "The probabilities are NaN, so that the label means nothing: find where the model makes it.",
        ],
    ),
    ([[-np.inf, 0, 1]], {}, ["The logit of 'ant' is not finite: it is -inf."]),
    (
        [[0, 0, 1]],
        {"abstain_below": 0.9},
        ["The probability of 'cat', 0.576117, is not at least abstain_below=0.9: the label is (abstains)."],
    ),
    ([[0, 0, 9]], {"abstain_below": 0.9}, []),
    (
        [[0]],
        {"classes": ["cat", "dog"]},
        ["p is exactly the threshold: it must exceed it, so that 'cat' wins."],
    ),
    (
        [[np.nan]],
        {"classes": ["cat", "dog"]},
        [
            "The logit of 'dog' is not finite: it is nan.",
            "The probabilities are NaN, so that the label means nothing: find where the model makes it.",
        ],
    ),
    ([[np.inf]], {"classes": ["cat", "dog"]}, ["The logit of 'dog' is not finite: it is inf."]),
]


@pytest.mark.parametrize(("logits", "options", "notes"), NOTES, ids=[str(logits) for logits, *_ in NOTES])
def test_notes(logits, options, notes):
    chains = explain(logits, **options)
    assert chains[0].notes == notes
    page = re.sub(r"\s+", " ", str(chains))
    assert all(f"! {note}" in page for note in notes)
    assert ("! " in page) == bool(notes)


def test_nan_probabilities_are_not_ranked():
    chain = explain([[0, np.nan, 1]])[0]
    assert chain.top == []
    assert "top" not in str(chain)


def test_classes_are_ranked_by_logit_where_probabilities_have_become_zero():
    chain = explain([[-5000.0, 5000.0, 0.0]])[0]
    assert chain.top == [("bee", 1.0), ("cat", 0.0), ("ant", 0.0)]


# How it is shown


def test_ten_classes_with_long_names_fit_into_eighty_columns_and_line_up():
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag"]
    classes = [*names, "a name that is rather long for a class of ankle boots"]
    for scale in (1, 1e3, 1e-6):
        logits = scale * np.random.default_rng(0).normal(size=(3, 10))
        for chain in explain(logits, classes, top_k=10):
            lines = str(chain).splitlines()
            assert max(len(line) for line in lines) <= 80
            end = lines[1].index("probability") + len("probability")
            assert all(line[:end] == line[:end].rstrip() for line in lines[2:12])  # numbers end in one column


def test_many_classes_show_the_most_probable_ones():
    chain = explain(np.zeros((1, 100)) + np.eye(100)[7], range(100), top_k=2)[0]
    page = str(chain)
    assert f"... and 98 more classes, probability {98 / (99 + np.e):.6f} together" in page
    assert len(page.splitlines()) == 8


def test_a_page_shows_the_same_at_a_prompt_and_in_print():
    chains = explain([[0, 1, 3]])
    assert repr(chains) == str(chains) == str(chains[0])
    assert isinstance(chains, tuple)
    assert str(explain(np.zeros((0, 3)))) == ""


def test_html_shows_the_same_numbers_and_escapes_names():
    page = explain([[0, 1, 3]], ["<b>", "a & b", "cat"])._repr_html_()
    assert page.count("<tr>") == 4
    assert "<td>&lt;b&gt;</td>" in page
    assert "<td>0.843795</td>" in page
    assert "label &#x27;cat&#x27;" in page
    assert "<b>&lt;" not in page.replace("<p><b>", "")


def test_errors():
    message = "explain: top_k must be at least 1. Got 0. Pass a larger number."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        explain([[0, 1, 3]], top_k=0)
