"""The README: its session and its layer run as printed, its links lead somewhere, CI runs its test command."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import REGISTRY, receptive, trace
from minicnn.inspection.explainers import activations

README = Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the package is installed without its repository")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def registered():
    """Forget, at the end, what a layer of the reader's own has registered."""
    known = (REGISTRY, activations.CURVES, receptive.ONE_BY_ONE)
    before = [copy.copy(table) for table in known]
    yield
    for table, old in zip(known, before, strict=True):
        table.clear()
        table.update(old)


def words(text: str) -> list[str]:
    """Return a text without its numbers, which differ in their last digits from machine to machine."""
    return re.sub(r"-?\d[\d.]*(e[+-]\d+)?|equal|differs by|, within rounding", "", text).split()


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_the_session_runs_as_printed(capsys):
    names: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "argmax: index" in printed
    assert 'Conv2d "0": output[0, 3, 5, 7] = ' in printed
    assert printed.count("computed") == 3
    assert [text.get_text() for text in names["picture"].texts].count("image 2") == 1
    assert names["history"].val_accuracy[-1] > 0.9


@pytest.mark.usefixtures("registered")
def test_a_layer_of_your_own_runs_as_printed(capsys):
    (block,) = [block for block in blocks("python") if "(nn.Module)" in block]
    (shown,) = [text for text in blocks("text") if "Softplus" in text]
    names = {"nn": nn, "np": np, "trace": trace}
    exec(compile(block, "README.md", "exec"), names)
    assert words(capsys.readouterr().out) == words(shown)
    logits = np.array([-800.0, -1.5, 0.0, 2.0, 800.0])  # also where exp would overflow
    t = trace(nn.Sequential(names["Softplus"]()), logits[None], np.zeros((1, 5)), nn.MSELoss())
    for index in range(5):
        assert t.explain("0", (0, index)).ok
        assert t.explain("0", (0, index), of="grad_input").ok
    field = receptive.receptive_field(
        nn.Sequential(names["Softplus"]()), "0", (0, 0, 1, 2), image_shape=(1, 3, 3)
    )
    assert field == (slice(1, 2), slice(2, 3))


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http", "#"))]
    assert len(local) > 10
    assert [link for link in local if not (README.parent / link).exists()] == []


def test_every_notebook_is_in_the_table():
    text = README.read_text(encoding="utf-8")
    found = sorted((README.parent / "notebooks").glob("*.ipynb"))
    assert found
    assert [path.name for path in found if f"](notebooks/{path.name}) |" not in text] == []


def test_pictures_are_small():
    for path in (README.parent / "notebooks" / "pictures").iterdir():
        assert path.stat().st_size < 150_000, path.name


def test_there_are_two_commands_and_one_of_them_tests():
    commands = blocks("sh")
    assert len(commands) == 2
    assert commands[0].strip().endswith("minicnn tour")
    marked = README.read_text(encoding="utf-8").split("<!-- tests -->")[1].split("<!-- /tests -->")[0]
    assert commands[1] in marked


def test_every_command_is_named():
    from minicnn.cli import COMMANDS

    text = README.read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"minicnn {name}" not in text] == []
