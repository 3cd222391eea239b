"""One number as a picture: a convolution's products, pooling's winners, the softmax, bars."""

from __future__ import annotations

import numpy as np

from minicnn import nn
from minicnn.inspection import plot_convolution, plot_pool_winners, plot_softmax, plot_terms
from minicnn.inspection.figures.pooling import winners
from tests.helpers import raises
from tests.inspection.figures.pictures import cells, conv, names, tour, traced, widths, written


def framed(ax) -> list[list[int]]:
    """Return row and column of every frame that is drawn in the axes."""
    corners = [(round(p.get_y() + 0.42), round(p.get_x() + 0.42)) for p in ax.patches[::2]]
    return [list(corner) for corner in corners]


def test_a_convolution_by_hand():
    layer = conv([[[[10, 1], [2, 3]]]], bias=(0.5,), padding=1)
    t = traced(layer, [[[[1, 2], [3, 4]]]])
    figure = plot_convolution(t.explain("0", (0, 0, 0, 1)))  # the window at rows -1..0, columns 0..1
    patch, kernel, product = figure.axes
    assert cells(patch) == [[0.0, 0.0], [1.0, 2.0]]
    assert cells(kernel) == [[10.0, 1.0], [2.0, 3.0]]
    assert cells(product) == [[0.0, 0.0], [2.0, 6.0]]
    assert written(product) == ["0", "0", "2", "6"]
    assert [ax.get_title() for ax in figure.axes] == ["input, channel 0", "× kernel", "= product, sum 8"]
    assert figure.get_suptitle() == 'Conv2d "0": output[0, 0, 0, 1] = 8.5'
    assert figure.get_supxlabel() == "sum of products 8 + bias 0.5 = 8.5   (computed 8.5: equal)"
    assert [label.get_text() for label in patch.get_yticklabels()] == ["-1", "0"]
    assert [label.get_text() for label in patch.get_xticklabels()] == ["0", "1"]
    assert len(patch.patches) == 2  # the two cells of padding are hatched
    assert not kernel.patches


def test_dilation_names_the_rows_that_were_read():
    t = traced(conv(np.ones((1, 1, 2, 2)), dilation=(2, 1)), [[np.arange(12).reshape(4, 3)]])
    patch = plot_convolution(t.explain("0", (0, 0, 1, 1))).axes[0]  # rows 1 and 3, columns 1 and 2
    assert cells(patch) == [[4.0, 5.0], [10.0, 11.0]]
    assert [label.get_text() for label in patch.get_yticklabels()] == ["1", "3"]


def test_the_channels_that_weigh_most_are_drawn():
    weight = np.float32([1, 6, 2, -5, 4, 3]).reshape(1, 6, 1, 1)
    t = traced(conv(weight, bias=(-1,)), np.ones((1, 6, 1, 1)))
    figure = plot_convolution(t.explain("0", (0, 0, 0, 0)))
    assert [ax.get_title() for ax in figure.axes[::3]] == [f"input, channel {c}" for c in (1, 3, 4, 5)]
    assert figure.get_supxlabel() == (
        "2 more channels add 3\nsum of all products 11 - bias 1 = 10   (computed 10: equal)"
    )


def test_groups_name_their_own_channels():
    t = traced(conv(np.ones((2, 1, 1, 1)), bias=(0, 0), groups=2), [[[[3]], [[7]]]])
    figure = plot_convolution(t.explain("0", (0, 1, 0, 0)))
    assert (figure.axes[0].get_title(), cells(figure.axes[0])) == ("input, channel 1", [[7.0]])


def test_a_wrong_number_is_said_to_differ():
    t = traced(conv([[[[10, 1]]]]), [[[[1, 2]]]])
    t["0"].output[0, 0, 0, 0] = 13
    assert plot_convolution(t.explain("0", (0, 0, 0, 0))).get_supxlabel().endswith("(computed 13: differs)")


def test_a_real_convolution_draws_the_explanation_s_numbers():
    explanation = tour().explain("0", (1, 3, 5, 7))
    figure = plot_convolution(explanation)
    product = explanation.terms["product"][:9].reshape(3, 3)
    np.testing.assert_array_equal(cells(figure.axes[2]), product)
    np.testing.assert_array_equal(cells(figure.axes[0]), tour()["0"].input[1, 0, 4:7, 6:9])


def test_terms_are_drawn_largest_first_and_the_rest_summed():
    layer = nn.Linear(14, 1)
    layer.weight.data[...] = np.arange(1, 15) * (-1) ** np.arange(14)  # 1, -2, 3, ..., -14
    layer.bias.data[...] = 100
    t = traced(layer, np.ones((1, 14)))
    ax = plot_terms(t.explain("0", (0, 0)))
    assert widths(ax) == [100, -14, 13, -12, 11, -10, 9, -8, 7, -6, 5, -4, 3 - 2 + 1]
    assert (names(ax)[0], names(ax)[1], names(ax)[-1]) == ("bias", "feature 13", "3 more")
    assert written(ax)[:2] == ["100", "-14"]
    assert (ax.get_xlabel(), ax.get_title()) == ("term", 'Linear "0": output[0, 0]\n= 93')
    t["0"].output[0, 0] = 94
    assert plot_terms(t.explain("0", (0, 0))).get_xlabel() == "term\nbut 94 was computed"


def test_winners_by_hand():
    t = traced(nn.MaxPool2d(2), [[[[1, 5, 2, 0], [4, 3, 9, 9]], [[7, 7, 0, 0], [7, 7, 0, 1]]]])
    ax = plot_pool_winners(t["0"])
    assert written(ax) == list("15204399")
    assert framed(ax) == [[0, 1], [1, 2]]  # the 5, and the first of the two 9
    assert framed(plot_pool_winners(t["0"], channel=1)) == [[0, 0], [1, 3]]


def test_winners_are_where_the_gradient_goes():
    t = tour()
    found = {tuple(place) for place in winners(t["2"], 1, 4)}
    received = {tuple(place) for place in np.argwhere(t["2"].grad_input[1, 4]).tolist()}
    assert received <= found
    assert len(found) == 14 * 14


def test_winners_of_overlapping_windows():
    t = traced(nn.MaxPool2d(3, stride=1, padding=1), [[[[1, 2, 9], [4, 5, 6]]]])
    ax = plot_pool_winners(t["0"])
    assert framed(ax) == [[1, 1], [0, 2], [0, 2]] * 2
    assert not ax.collections[0].get_segments()  # no lines between windows that overlap


def test_softmax_by_hand():
    figure = plot_softmax(np.log([[1.0, 2.0, 1.0], [3.0, 4.0, 9.0]]), image=1, classes="abc")
    logits, shifted, exponentials, probabilities = (widths(ax) for ax in figure.axes)
    np.testing.assert_allclose(logits, np.log([3, 4, 9]))
    np.testing.assert_allclose(shifted, np.log([3 / 9, 4 / 9, 1]), atol=1e-15)
    np.testing.assert_allclose(exponentials, [3 / 9, 4 / 9, 1])
    np.testing.assert_allclose(probabilities, [3 / 16, 4 / 16, 9 / 16])
    assert written(figure.axes[3]) == ["18.8%", "25.0%", "56.2%"]
    assert names(figure.axes[0]) == ["a", "b", "c"]
    assert figure.axes[0].get_ylabel() == "class"
    assert [ax.get_title() for ax in figure.axes] == [
        "logit z",
        "z - max,  max 2.197",
        "exp(z - max),  sum 1.7778",
        "divided by the sum",
    ]


def test_softmax_of_a_trace():
    t = tour()
    for name in ("softmax", "label"):
        figure = plot_softmax(t[name], image=2)
        np.testing.assert_allclose(widths(figure.axes[3]), t["softmax"].output[2], rtol=1e-5)
        assert names(figure.axes[0]) == list("0123456789")


def test_softmax_of_many_classes_and_of_logits_that_are_not_finite():
    figure = plot_softmax(np.arange(30.0))
    assert names(figure.axes[0]) == [str(index) for index in range(29, 9, -1)]
    assert figure.get_suptitle() == "softmax of image 0, 20 of 30 classes: 29 is the largest"
    figure = plot_softmax(np.array([1.0, np.inf]))
    assert written(figure.axes[3]) == ["nan", "nan"]
    assert figure.get_suptitle() == "softmax of image 0: a logit is not finite"


def test_errors():
    t = tour()
    with raises(
        ValueError,
        'plot_convolution: explanation must be of a convolution\'s output. Got MaxPool2d "2": '
        "output[0, 0, 0, 0]. Explain an output of a Conv2d, or use plot_terms.",
    ):
        plot_convolution(t.explain("2", (0, 0, 0, 0)))
    with raises(
        TypeError,
        "plot_convolution: explanation must be an Explanation. Got Trace. "
        "Pass what t.explain(name, index) returns.",
    ):
        plot_convolution(t)
    with raises(
        TypeError,
        'plot_pool_winners: step must be that of a MaxPool2d. Got ReLU "1". '
        "Pass one of a trace, such as t['2'].",
    ):
        plot_pool_winners(t["1"])
    with raises(
        ValueError,
        "plot_pool_winners: channel must be an int from 0 to 15. Got 16. Choose one of the 16.",
    ):
        plot_pool_winners(t["2"], channel=16)
    with raises(
        TypeError,
        'plot_softmax: step must hold float logits of shape (N, C). Got ReLU "1". '
        "Pass t['softmax'] of a trace, or the logits.",
    ):
        plot_softmax(t["1"])
    with raises(
        ValueError,
        "plot_softmax: classes must have a name for each logit. Got 2 names for 10 logits. "
        "Pass the classes the model was trained with.",
    ):
        plot_softmax(t["softmax"], classes=["a", "b"])
