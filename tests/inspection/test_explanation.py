"""Explanation: the terms, their sum, what rounding may explain, and the code that prints the number again."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import REGISTRY, Explanation, trace
from minicnn.inspection.explanation import SHOWN, as_terms, number
from tests.helpers import draws

EPS = float(np.finfo(np.float32).eps)


def dot(inputs, weights, actual: float, eps: float = EPS, **more) -> Explanation:
    """Return an explanation of Σ input·weight."""
    places = {"column": range(len(inputs))}
    terms = as_terms(places, np.multiply(inputs, weights), input=inputs, weight=weights)
    return Explanation("a", "Σ", terms, actual, eps, expression="(input * weight).sum()", **more)


def printed(code: str) -> float:
    """Run code in a namespace of its own and return the number that it prints."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        exec(code, {})
    return float(written.getvalue())


# By hand


def test_terms_value_and_bound_by_hand():
    explanation = dot([10, 100], [2, -3], -280.0)
    assert explanation.terms["product"].tolist() == [20, -300]
    assert explanation.terms["column"].tolist() == [0, 1]
    assert explanation.operands == ["input", "weight", "product"]
    assert explanation.value == -280
    assert explanation.difference == 0
    assert explanation.verdict == "equal"
    # n = 2 terms and 1 operation, times eps times 20 + 300 (and three of the smallest float there is)
    assert explanation.bound == pytest.approx(3 * EPS * 320, rel=1e-12)
    assert dot([10, 100], [2, -3], -280.0, operations=4).bound == pytest.approx(6 * EPS * 320, rel=1e-12)
    assert dot([10, 100], [2, -3], -280.0, magnitude=1.0).bound == pytest.approx(3 * EPS, rel=1e-12)


def test_the_sum_is_exact():
    assert dot([1e16, 1, -1e16], [1, 1, 1], 1.0).value == 1.0


def test_formula_by_hand():
    terms = as_terms({"row": [0, 1]}, [6, -20], ["", "padding"], input=[2, 4], weight=[3, -5])
    explanation = Explanation("Who", "Σ input·weight", terms, -14.0, EPS, steps=["  first"])
    assert str(explanation).splitlines() == [
        "Who = Σ input·weight",
        "  first",
        "                    input   weight   product",
        "  row 1 (padding)       4       -5       -20",
        "  row 0                 2        3         6",
        "  sum                                    -14",
        "  computed                               -14   equal",
    ]
    assert repr(explanation) == str(explanation) == explanation.formula


# What rounding explains


def test_rounding_is_explained_and_more_is_not():
    exact = dot([1, 1], [0.1, 0.2], 0.0).value
    near, far = (dot([1, 1], [0.1, 0.2], exact + share * 3 * EPS * exact) for share in (0.9, 1.1))
    assert near.ok
    assert "within rounding" in near.verdict
    assert not far.ok
    assert "more than rounding can explain" in far.formula
    assert not dot([1, 1], [0.1, 0.2], exact + 1e-8, eps=float(np.finfo(np.float64).eps)).ok


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_a_number_and_infinity(value):
    assert dot([value, 1], [1, 1], value).ok
    assert dot([value, 1], [1, 1], value).verdict == "equal"
    assert not dot([2, 1], [1, 1], value).ok
    assert not dot([value, 1], [1, 1], 3.0).ok
    assert not dot([value, 1], [1, 1], -value if value == value else 0.0).ok


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_float32_cannot_hold_is_an_overflow(value):
    overflow = dot([1e38, -1e38], [1e38, 1e38], value)
    assert overflow.ok
    assert overflow.verdict == "overflow: terms of 2e+76 in all, and float32 ends at 3.4e+38"
    assert not dot([1e38], [1e38], value, eps=float(np.finfo(np.float64).eps)).ok
    assert not dot([1e18], [1e18], value).ok
    assert not dot([1e38], [1e38], 3.0).ok
    assert not dot([math.inf], [1], -math.inf).ok


def test_sums_that_leave_float64_are_infinite():
    assert dot([1e308, 1e308], [1, 1], math.inf).value == math.inf
    assert math.isnan(dot([math.inf, -math.inf], [1, 1], math.nan).value)


ODD = [
    nn.Conv2d(1, 1, 2, padding=1, rng=0),
    nn.BatchNorm2d(1),
    nn.GroupNorm(1, 1),
    nn.MaxPool2d(2),
    nn.Affine(0.0, 1.0),
]


@pytest.mark.parametrize("layer", ODD, ids=str)
def test_infinities_bring_no_warnings(layer):
    images = np.float32([[[[np.inf, -np.inf, 1, 2], [np.nan, 1, -np.inf, 3]]]])
    t = trace(nn.Sequential(layer, nn.Flatten()), np.concatenate([images] * 2), np.array([0, 1]))
    for step in t.steps:
        for index in np.ndindex(np.shape(step.output)):
            assert str(t.explain(step.name, index))
    for index in np.ndindex(images.shape):
        assert str(t.explain("0", index, "grad_input"))


# Many terms


@pytest.mark.parametrize("more", [0, 1, 30])
def test_many_terms_are_cut_and_the_rest_summed(more):
    count = SHOWN + more
    explanation = dot(np.arange(1, count + 1), np.ones(count), count * (count + 1) / 2)
    lines = str(explanation).splitlines()
    assert len(lines) == 2 + SHOWN + (more > 0) + 2
    assert lines[2].split() == ["column", str(count - 1), str(count), "1", str(count)]  # the largest first
    if more:  # the smallest: 1 + 2 + ... + more
        assert lines[2 + SHOWN].split() == [str(more), "more", str(more * (more + 1) // 2)]
    assert lines[-2].split() == ["sum", number(count * (count + 1) / 2)]


# Every kind of step: its code prints its number


def layers_of_images() -> list[nn.Module]:
    """Return layers for images of (3, 2, 4, 4)."""
    return [
        nn.Conv2d(2, 3, 3, stride=2, padding=1, rng=0),
        nn.BatchNorm2d(2),
        nn.BatchNorm2d(2).eval(),
        nn.GroupNorm(1, 2),
        nn.GroupNorm(2, 2, affine=False),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2, padding=1),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Dropout2d(0.5, rng=0),
        nn.Residual(nn.Conv2d(2, 2, 1, rng=0)),
        nn.Flatten(),
        nn.Affine(2.0, 1.0),
        nn.Mean((2, 3)),
        nn.Reshape((3, -1)),
        nn.Max(1),
        nn.Max((2, -1), True, "shared"),
        nn.Squeeze(),
        nn.Unsqueeze(-1),
        nn.Slice(1, 1),
        nn.Slice(2, 0, -1, 2),
        nn.Permute((0, 3, 1, 2)),
        nn.Pad2d(1),
        nn.PReLU(2),
        nn.Graph(
            [("a", "relu", "x"), ("b", "add", "a", "x"), ("m", "mul", "b", "x"), ("c", "join", "m", "x")],
            relu=nn.ReLU(),
            add=nn.Add(),
            mul=nn.Multiply(),
            join=nn.Concatenate(),
        ),
    ]


def layers_of_columns() -> list[nn.Module]:
    """Return layers for rows of (3, 4)."""
    return [
        nn.Linear(4, 3, rng=0),
        nn.BatchNorm1d(4),
        nn.GroupNorm(2, 4).eval(),
        nn.Dropout(0.5, rng=0),
        nn.Softmax(dim=1),
        nn.LogSoftmax(dim=1),
        nn.Identity(),
        *(kind() for kind in (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh)),
        *(kind() for kind in (nn.ReLU6, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.PReLU)),
        nn.Clamp(-0.3, 0.3),
        nn.Clamp(min=0.1),
        nn.PReLU(4, -0.5),
        nn.GELU("tanh"),
    ]


def losses() -> list[nn.Loss]:
    weight = np.float32([1, 2, 0.5, 1])
    return [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight, label_smoothing=0.1),
        nn.NLLLoss(weight),
        nn.MSELoss("sum"),
        nn.L1Loss(),
        nn.BCELoss(),
        nn.BCEWithLogitsLoss(reduction="none"),
    ]


def assert_code_prints(explanation: Explanation) -> None:
    """Raise unless it is ok, and both snippets print its value, to rounding."""
    assert explanation.ok, str(explanation)
    for code in (explanation.as_numpy(), explanation.as_torch()):
        difference = abs(printed(code) - explanation.actual)
        assert difference <= explanation.bound + 1e-12, f"{code}\n{explanation}"


def assert_all_arrays_are_printed(t, step) -> None:
    """Raise unless a number of each array of a step prints, and is found out once altered."""
    for of in ("output", "grad_input", *(f"{key}.grad" for key in step.grads)):
        array = step.array(of)
        if array is None:
            continue
        index = tuple(size // 2 for size in np.shape(array))
        explanation = t.explain(step.name, index, of)
        assert_code_prints(explanation)
        assert explanation.actual == np.asarray(array)[index]
        altered = explanation.actual + 1.01 * explanation.bound + 1e-6
        assert not dataclasses.replace(explanation, actual=altered).ok


def traced_layer(layer: nn.Module, shape: tuple[int, ...]):
    """Return the trace of a net of this layer alone; targets are its output moved by draws."""
    images = draws(shape, np.float32)
    with nn.no_grad():
        target_shape = nn.Sequential(layer)(images).shape
    return trace(nn.Sequential(layer), images, draws(target_shape, np.float32, seed=1), nn.MSELoss())


@pytest.mark.parametrize("layer", layers_of_images(), ids=lambda layer: type(layer).__name__)
def test_layers_of_images_print_their_numbers(layer):
    t = traced_layer(layer, (3, 2, 4, 4))
    for step in t:
        if step.name[:1] == "0":
            assert_all_arrays_are_printed(t, step)


@pytest.mark.parametrize("layer", layers_of_columns(), ids=lambda layer: type(layer).__name__)
def test_layers_of_columns_print_their_numbers(layer):
    t = traced_layer(layer, (3, 4))
    assert_all_arrays_are_printed(t, t["0"])


@pytest.mark.parametrize("criterion", losses(), ids=lambda criterion: type(criterion).__name__)
def test_losses_softmax_and_label_print_their_numbers(criterion):
    model = nn.Sequential(nn.Linear(5, 4, rng=0), nn.Softmax(dim=1))
    targets = np.float32(np.random.default_rng(0).random((3, 4)))
    if isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss):
        targets = np.array([0, 3, 1])
    t = trace(model, draws((3, 5), np.float32), targets, criterion, classes="abcd")
    for name in ("loss", "softmax", "label"):
        assert_all_arrays_are_printed(t, t[name])


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize(
    "layer", [nn.Conv2d(1, 1, 2, padding=1, rng=0), nn.MaxPool2d(2, stride=1), nn.ReLU()], ids=str
)
def test_what_counts_as_nothing_is_nothing_in_code_too(layer, odd):
    for parameter in layer.parameters():
        parameter.data.flat[0] = odd
    images = draws((1, 1, 3, 3), np.float32)
    t = trace(nn.Sequential(layer), images, np.full_like(layer(images), odd), nn.MSELoss())  # odd gradients
    for of in ("output", "grad_input"):
        for index in np.ndindex(t["0"].array(of).shape):
            explanation = t.explain("0", index, of)
            for code in (explanation.as_numpy(), explanation.as_torch()):
                with np.errstate(invalid="ignore"):  # inf - inf
                    np.testing.assert_allclose(printed(code), explanation.value, rtol=1e-6)


def test_no_kind_is_left_out():
    layers = nn.Sequential(*layers_of_images(), *layers_of_columns())
    printed_here = {type(thing).__name__ for thing in (*layers.modules(), *losses())}
    assert REGISTRY.keys() - printed_here == {"Label"}


def test_faults_print_as_code():
    explanation = dot([math.nan, math.inf, 1], [1, -1, 1], math.nan)
    assert "[nan" not in explanation.as_numpy()
    assert math.isnan(printed(explanation.as_numpy()))
    assert math.isnan(printed(explanation.as_torch()))


def test_code_of_the_library_is_named_whole():
    terms = as_terms({"class": [0]}, [0.5], exp=[0.5])
    explanation = Explanation("p", "exp", terms, 0.25, EPS, expression="exp.sum() * xp.sqrt(exp).sum()")
    assert "print(float(exp.sum() * np.sqrt(exp).sum()))" in explanation.as_numpy()
    assert "print(float(exp.sum() * torch.sqrt(exp).sum()))" in explanation.as_torch()


# In a notebook


def test_html_is_escaped_and_coloured():
    right = dataclasses.replace(dot([1, 2], [3, 4], 11.0), title='<b>"0"</b>', rule="x < 1 & y")
    wrong = dataclasses.replace(right, actual=12.0)
    page = right._repr_html_()
    assert "&lt;b&gt;&quot;0&quot;&lt;/b&gt; = x &lt; 1 &amp; y" in page
    assert "<b>" not in page
    assert page.startswith("<pre style=")
    assert page.endswith("</pre>")
    assert page.split(";")[0] != wrong._repr_html_().split(";")[0]
