"""ActivationHistogram: exact counts, dead units, and a training that does not notice it."""

from __future__ import annotations

import numpy as np

from minicnn import data, nn
from minicnn.inspection import ActivationHistogram
from minicnn.inspection.figures.histogram import count, joined
from minicnn.training import fit
from tests.helpers import raises
from tests.inspection.figures.pictures import assert_readable


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=0), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5, rng=1), nn.Flatten(),
        nn.Linear(16, 2, rng=2),
    )  # fmt: skip


def dataset() -> data.ArrayDataset:
    rng = np.random.default_rng(0)
    return data.ArrayDataset(rng.normal(size=(12, 1, 4, 4)).astype(np.float32), rng.integers(2, size=12))


def test_counts_by_hand():
    width, first, counts = count(np.float32([-1, 0, 0, 0.5, 99, np.nan, np.inf]))
    assert (width, first, len(counts)) == (2.0, -1, 51)  # 100 / 50; from -2 to 100
    assert counts[:2].tolist() == [1, 3]
    assert (counts[50], counts.sum()) == (1, 5)
    assert [part if np.isscalar(part) else part.tolist() for part in count(np.zeros(3))][1:] == [0, [3]]
    assert count(np.full(2, np.nan))[2].tolist() == [0]


def test_joined_epochs_lose_no_number():
    rng = np.random.default_rng(0)
    epochs = [rng.normal(size=300), 40 * rng.normal(size=300) + 100, rng.normal(size=300) / 50]
    edges, shares = joined([count(epoch) for epoch in epochs])
    for epoch, share in zip(epochs, shares, strict=True):
        expected, _ = np.histogram(epoch, edges)  # its last bin is closed, and no number lies on that edge
        np.testing.assert_allclose(share * 300, expected)


def test_a_layer_that_dies_can_be_joined():
    # All zeros have the narrowest bins, about 1e-31 wide; 2^40 and less have bins 2^35 wide (50 of them).
    edges, shares = joined([count(np.zeros(4)), count(np.array([0.0, 2.0**40]))])
    assert (edges[0], edges[1]) == (0, 2.0**35)
    assert shares[0].tolist() == [1] + [0] * 32  # all zeros lie in the first bin
    assert (shares[1, 0], shares[1, -1]) == (0.5, 0.5)


def test_dead_units_and_layers():
    model = nn.Sequential(nn.Linear(2, 4, rng=0), nn.ReLU())
    model[0].weight.data[...] = [[1, 0], [-1, 0], [0, -1], [1, -9]]
    model[0].bias.data[...] = 0
    images = np.float32([[1, 1], [2, 1]]).reshape(2, 1, 1, 2)
    histogram = ActivationHistogram(images)
    histogram.record(nn.Sequential(nn.Flatten(), *model))
    assert histogram.dead == {"2": [0.75]}  # only the first is ever positive
    assert list(histogram.counts) == ["1", "2"]
    histogram = ActivationHistogram(images, layers="1")
    histogram.record(nn.Sequential(nn.Flatten(), *model))
    assert list(histogram.counts) == ["1"]
    assert_readable(histogram.plot())


def test_training_is_the_same_to_the_bit():
    train, models = dataset(), [net(), net()]
    histogram = ActivationHistogram(train.images[:6])
    histories = [
        fit(model, train, epochs=3, batch_size=4, rng=0, progress=False, callbacks=callbacks)
        for model, callbacks in zip(models, ([], [histogram]), strict=True)
    ]
    assert histories[0].loss == histories[1].loss
    assert all(module.training for module in models[1].modules())
    for name, array in models[0].state_dict().items():
        np.testing.assert_array_equal(models[1].state_dict()[name], array, err_msg=name)
    assert histogram.epochs == [1, 2, 3]
    assert list(histogram.counts) == ["0", "1", "2", "3", "5"]
    assert [int(counts.sum()) for _, _, counts in histogram.counts["5"]] == [12] * 3  # 6 images, 2 logits


def test_the_picture():
    histogram, train = ActivationHistogram(dataset().images), dataset()
    model = net()
    histogram.record(model)
    fit(model, train, epochs=2, rng=0, progress=False, callbacks=[histogram])
    figure = histogram.plot()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == [
        'Conv2d "0"', 'BatchNorm2d "1"', 'ReLU "2"', 'Dropout "3"', 'Linear "5"', "dead units", "",
    ]  # fmt: skip
    _, shares = joined(histogram.counts["2"])
    mesh = figure.axes[2].collections[0]
    np.testing.assert_allclose(np.ma.getdata(mesh.get_array()), shares.T)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    lines = figure.axes[5].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [histogram.dead["2"]]
    assert figure.axes[3].get_xlabel() == "epoch"
    assert [label.get_text() for label in figure.axes[3].get_xticklabels()] == ["0", "1", "2"]
    assert_readable(figure)


def test_a_long_training_has_few_ticks():
    histogram = ActivationHistogram(np.ones((1, 1, 1, 1), np.float32))
    for epoch in range(40):
        histogram.record(nn.Sequential(nn.ReLU()), epoch)
    assert len(histogram.plot().axes[0].get_xticks()) == 8


def test_errors():
    with raises(
        ValueError,
        "ActivationHistogram: images must be (N, C, H, W), at least one. Got shape (3,). "
        "Add the missing axes.",
    ):
        ActivationHistogram(np.ones(3))
    histogram = ActivationHistogram(np.ones((1, 1, 4, 4), np.float32), layers=["0", "9"])
    with raises(
        RuntimeError,
        "ActivationHistogram: plot needs at least one epoch. Got none. "
        "Pass this object to fit in callbacks=[...] first.",
    ):
        histogram.plot()
    with raises(
        ValueError,
        "ActivationHistogram: layers must name layers of the model. Got '9'. "
        "Choose among '0', '1', '2', '3', '4', '5'.",
    ):
        histogram.record(net())
