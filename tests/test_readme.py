"""The README: its session runs as printed, and its test command is the one that CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the package is installed without its repository")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_session_runs_as_printed(capsys):
    names: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "argmax: index" in printed
    assert 'Conv2d "0": output[0, 3, 5, 7] = ' in printed
    assert printed.count("computed") == 2
    assert names["history"].val_accuracy[-1] > 0.9


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
