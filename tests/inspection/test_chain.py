"""chain: one page for one image; the numbers on it are those of the trace."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import Story, Trace, chain, trace
from minicnn.inspection.letters import picture, strength
from tests.helpers import draws, raises

CLASSES = ("cat", "dog", "owl")


def small_net() -> nn.Sequential:
    """Return a net with a residual block, for images of 1x4x4."""
    body = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, rng=1), nn.ReLU())
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, rng=0), nn.ReLU(), nn.Residual(body), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8, 3, rng=2),
    )  # fmt: skip


def told(model, images, targets=None, criterion=None, image=0, classes=CLASSES) -> Story:
    return chain(trace(model, images, targets, criterion, classes), image)


def test_by_hand():
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.ReLU())
    model[0].weight.data[...], model[0].bias.data[...] = [[2, 3], [-1, 1]], [1, 0]
    # image 0: 2·1 + 3·2 + 1 = 9 and -1 + 2 = 1; image 1: 2·4 + 0 + 1 = 9 and -4, which ReLU makes 0
    story = told(
        model, np.float32([[1, 2], [4, 0]]), np.float32([[9, 3], [8, 5]]), nn.MSELoss("sum"), 1, None
    )
    assert story.pixels.tolist() == [4, 0]
    assert story.logits.tolist() == [9, 0]
    # the loss's gradient is 2·(x - t) = 2·(9 - 8), 2·(0 - 5); ReLU lets only the first pass
    assert story.received == {"1": 2 + 10, "0": 2}
    assert "gradient of the logits: 2, -10" in str(story)
    page = str(story).split("\n")
    assert page[0] == "image 1 of 2: from pixels to label and back"
    (relu,) = [line.split() for line in page if line.startswith("  1 ") and "0 .. 9" in line]
    assert relu == ["1", "ReLU", "2", "feature", "0", "0", "..", "9", "4.5", "50%", "-"]
    # backward: 12 in all, the largest is -10 at feature 1; the weight's: 2·4 from image 1, 2·0 from image 0
    (received,) = [line.split() for line in page if line.startswith("  1 ") and "####" in line]
    assert received == ["1", "ReLU", "#" * 20, "feature", "1", "12", "-10", "0%", "-"]
    # pixels: 2·2 + 0, 2·3 + 0
    (pixels,) = [line.split() for line in page if line.startswith("  pixels")]
    assert pixels == ["pixels", "#" * round(20 * 10 / 12), "feature", "1", "10", "6", "0%", "-"]


def test_page_goes_top_to_bottom():
    story = told(small_net(), draws((3, 1, 4, 4), np.float32), np.array([0, 2, 1]), image=-1)
    page = str(story)
    titles = ["image 2 of 3", "pixels:", "forward:", "-> softmax -> argmax -> label", "loss\n", "backward:"]
    places = [page.index(title) for title in titles]
    assert places == sorted(places)
    forward = page[page.index("forward:") : page.index("logits ->")]
    backward = page[page.index("backward:") :]
    names = [step.name for step in story.layers]
    assert names == ["0", "1", "2.body.0", "2.body.1", "2", "3", "4", "5"]
    assert [line.split()[0] for line in forward.split("\n")[2:10]] == names
    assert [line.split()[0] for line in backward.split("\n")[2:11]] == [*reversed(names), "pixels"]
    assert repr(story) == page
    assert story.label in CLASSES


def test_loss_of_one_image_is_its_cross_entropy():
    images, targets = draws((3, 1, 4, 4), np.float64), np.array([0, 2, 1])
    model = small_net().astype(np.float64)
    alone = nn.CrossEntropyLoss()(model(images)[1:2], targets[1:2])
    page = str(told(model, images, targets, image=1))
    assert f"of this image: Σ truth·(-log p) = {alone:.4g}, truth: 'owl'; the label is " in page


@pytest.mark.parametrize(
    ("target", "verdict"), [(0, "truth: 'cat'; the label is wrong"), (1, "truth: 'dog'; the label is right")]
)
def test_whether_the_label_is_right(target, verdict):
    page = str(told(nn.Sequential(nn.Identity()), np.float32([[1, 3, 2]]), np.array([target])))
    assert verdict in page


def test_without_a_label_it_is_not_called_wrong():
    page = str(told(nn.Sequential(nn.Identity()), np.float32([[2]]), np.array([0]), classes=None))
    assert "Σ truth·(-log p) = 0, truth: 0\n" in page  # one logit under softmax: p is 1, there is no choice


def test_one_image_is_not_called_all_images():
    for count, whose in ((1, "from the only image of the batch"), (2, "from all 2 images of the batch")):
        page = str(told(small_net(), draws((count, 1, 4, 4), np.float32), np.arange(count)))
        assert page.endswith(f"its parameters: largest |gradient|, {whose}")


def test_smoothed_truth_is_written_out():
    page = str(told(small_net(), draws((1, 1, 4, 4), np.float32), np.array([1]),
                    nn.CrossEntropyLoss(label_smoothing=0.3)))  # fmt: skip
    assert "truth = 0.1, 0.8, 0.1" in page


def test_without_targets_there_is_no_way_back():
    story = told(small_net(), draws((1, 1, 4, 4), np.float32))
    assert story.received == {}
    assert "backward" not in str(story)
    assert "loss" not in str(story)


def test_one_logit_goes_through_a_sigmoid():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1, rng=0))
    targets = np.float32([[1], [0]])
    criterion = nn.BCEWithLogitsLoss()
    story = told(model, draws((2, 1, 4, 4), np.float32), targets, criterion, classes=("cat", "dog"))
    assert "sigmoid -> threshold -> label" in str(story)
    assert story.label in ("cat", "dog")


def test_regression_has_an_output_and_no_label():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1, rng=0))
    story = told(
        model, draws((2, 1, 4, 4), np.float32), np.zeros((2, 1), np.float32), nn.MSELoss(), classes=None
    )
    assert story.label is None
    assert "\noutput\n  shape (1,): " in str(story)


def test_losses_that_are_not_reduced():
    page = str(
        told(
            small_net(),
            draws((2, 1, 4, 4), np.float32),
            np.array([0, 1]),
            nn.CrossEntropyLoss(reduction="none"),
        )
    )
    assert "(mean of the losses)" in page


def test_nan_is_told():
    images = draws((1, 1, 4, 4), np.float32)
    images[0, 0, 1, 2] = np.nan
    page = str(told(small_net(), images, np.array([0])))
    assert "??" in page
    assert "not finite" in page
    assert "The probabilities are NaN" in page


def test_html_escapes_and_holds_every_part():
    html = told(
        small_net(), draws((1, 1, 4, 4), np.float32), np.array([0]), classes=("<b>", "b", "c")
    )._repr_html_()
    assert "<b>'" not in html
    assert "&lt;b&gt;" in html
    assert html.count("<table>") == 2
    assert html.count("<h4>") == 5


def test_picture():
    # shrunk: 64 rows and 2 columns in blocks of 2x2; the means are 0 and 9
    tall = np.zeros((1, 64, 2))
    tall[0, ::2, 0] = 36
    assert picture(tall[:, :2]) == ["|@@  |", "|    |"]
    assert picture(tall) == ["|  |"] * 32  # all blocks have the same mean
    assert picture(np.array([[[np.inf, 1.0, 0.0]]])) == ["|??@@  |"]
    assert picture(np.zeros((2, 2, 2, 2))) == ["0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ... (16 in all)"]


def test_no_bar_is_longer_than_the_longest():
    model = nn.Sequential(nn.Linear(4, 2, rng=0))
    model[0].weight.data[...] *= 1e25  # the pixels receive far more than the layer
    t = trace(model, np.float32([[1, -2, 3, 1]]), np.array([0]), nn.CrossEntropyLoss(reduction="sum"))
    rows = str(chain(t)).split("backward")[1].splitlines()
    assert max(line.count("#") for line in rows) == 20
    assert next(line for line in rows if "#" in line).split()[0] == "pixels"


def test_bars():
    assert strength(1.0, 0.0) == ""
    assert strength(np.inf, 1.0) == "not finite"


def test_trace_is_left_as_it_was():
    t = trace(small_net(), draws((2, 1, 4, 4), np.float32), np.array([0, 1]))
    before = str(t)
    str(chain(t, 1))
    assert str(t) == before


def test_errors():
    t = trace(small_net(), draws((2, 1, 4, 4), np.float32))
    with raises(TypeError, "chain: t must be a Trace. Got Sequential. Pass trace(model, images, targets)."):
        chain(small_net())
    with raises(ValueError, "chain: image must be one of the 2 traced. Got 2. Count from 0."):
        chain(t, 2)
    with raises(TypeError, "chain: image must be an integer. Got 0.5 (float). Pass an int."):
        chain(t, 0.5)
    with raises(
        ValueError, "chain: the trace must hold a layer. Got none. Trace a model with at least one layer."
    ):
        chain(Trace([]))
    alone = trace(nn.Sequential(nn.Conv2d(1, 2, 3, rng=0)), draws((1, 4, 4), np.float32))
    with raises(
        ValueError,
        "chain: every layer must keep the images apart along axis 0. Got input and output of shape (1, 4, 4) "
        "and (2, 2, 2). Trace a batch, such as images[:1].",
    ):
        chain(alone)


@pytest.mark.parametrize("count", [0])
def test_no_images(count):
    t = trace(small_net(), draws((count, 1, 4, 4), np.float32))
    with raises(ValueError, "chain: image must be one of the 0 traced. Got 0. Count from 0."):
        chain(t)
