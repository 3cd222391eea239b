"""The notebooks: each runs in a fresh kernel, is small, plain and complete, and its pictures are labelled."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from minicnn.interop.torch import is_installed

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the package is installed without its repository")

MOST_BYTES, MOST_LINES, WIDEST = 500_000, 10, 100
ABOUT_TORCH = "beside_pytorch"  # notebooks with this in their name, and the race, may import torch
MAGIC = re.compile(r"^\s*[%!?]|^[\w.]+\?{1,2}$|get_ipython", re.MULTILINE)
MACHINE = re.compile(
    r"(?<![\w.:/])/(home|root|tmp|work|Users|usr|opt|var|mnt)/|[A-Z]:\\\\?Users|\b0x[0-9a-f]{8,}"
)
TYPED = re.compile(r"(?<![\w.])\d+\.\d{3,}(?!\w)|(?<![\w.])\d+(\.\d+)? ?%")  # measured numbers in prose

# Run before a notebook's first cell: note every figure that is turned into a picture.
WATCH = """
import matplotlib.backends.backend_agg as _agg
_drawn, _draw = [], _agg.FigureCanvasAgg.draw
def _noting(canvas, *args, **kwargs):
    _drawn.append(canvas.figure)
    return _draw(canvas, *args, **kwargs)
_agg.FigureCanvasAgg.draw = _noting
"""
# ... and after its last: each has a title, and its panels have labels (pictures without ticks need none).
LABELLED = """
def _titled(figure):
    return bool(figure.get_suptitle()) or any(map(_titled, figure.subfigs)) or any(
        axes.get_title() for axes in figure.axes)
for _figure in _drawn:
    assert _titled(_figure), f"a picture has no title: {_figure.axes}"
    whole = _figure.get_supxlabel() or _figure.get_supylabel()  # one label for all panels
    assert whole or any(axes.get_xlabel() or axes.get_ylabel() or axes.images for axes in _figure.axes), (
        f"a picture has no labels: {[axes.get_title() for axes in _figure.axes]}")
"""


def read(path: Path):
    """Return a notebook as it lies on the disk."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def pictures(cell) -> int:
    """Return how many pictures a cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def run(notebook, folder: Path):
    """Run a notebook from top to bottom in a fresh kernel; it must show the pictures that it was saved with.

    Return it with what it printed.
    """
    saved = [pictures(cell) for cell in notebook.cells]
    notebook = copy.deepcopy(notebook)
    cells = [new_code_cell(WATCH), *notebook.cells, new_code_cell(LABELLED)]
    watched = new_notebook(cells=cells, metadata=notebook.metadata)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(watched, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = [pictures(cell) for cell in watched.cells[1:-1]]
    assert shown == saved, f"pictures of each cell: saved with {saved}, now {shown}"
    return watched


def without_outputs(notebook):
    """Return a notebook as one that shows nothing."""
    for cell in code_cells(notebook):
        cell.outputs = []
    return notebook


def check_frame(notebook) -> None:
    """Goals and minutes at the top, questions with folded answers, asserts, sources at the end."""
    texts = prose(notebook)
    first = notebook.cells[0].source
    assert first.startswith("# "), "the first cell must begin with the title"
    assert "**You will learn**" in first, "the first cell must say what will be learned"
    assert re.search(r"\*\*Time:\*\* (about )?\d+ minutes", first), "the first cell must say how many minutes"
    assert notebook.cells[-1].source.startswith("## Sources"), "the last cell must be the sources"
    folded = sum(text.count("<details>") for text in texts)
    assert folded, "there must be a question with a folded answer"
    assert folded == sum(text.count("</details>") for text in texts), "a folded answer must be closed"
    assert any("assert " in cell.source for cell in code_cells(notebook)), "there must be an assert"


def check_cells(notebook, name: str) -> None:
    """Few lines, plain Python, torch only where it is the subject."""
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        assert len(lines) <= MOST_LINES, f"{len(lines)} lines in a cell: {lines[0]}"
        assert max(map(len, lines), default=0) <= WIDEST, f"a line is too wide: {max(lines, key=len)}"
        assert not MAGIC.search(cell.source), f"no magics: {cell.source}"
        about_torch = ABOUT_TORCH in name or "fast_convolution" in name
        imports = re.search(r"^\s*(import|from) torch", cell.source, re.MULTILINE)
        assert about_torch or not imports, f"no torch here: {cell.source}"


def check_prose(notebook) -> None:
    """What is measured stands in outputs, never in the text."""
    for text in prose(notebook)[:-1]:
        plain = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", "", text, flags=re.DOTALL)
        found = TYPED.search(plain)
        assert not found, f"a typed result, {found.group()!r}: {text}"


def check_outputs(notebook) -> None:
    """Run once from top to bottom, saved with outputs, no warnings, a caption below each picture."""
    cells = code_cells(notebook)
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1)), f"cells were not run once, in order: {counts}"
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        for output in cell.get("outputs", []):
            assert output.output_type != "error", f"an error was saved: {output}"
            assert output.get("name") != "stderr", f"a warning was saved: {output.get('text')}"
        captioned = following is not None and re.match(r"\*[^*]", following.source)
        assert not pictures(cell) or captioned, f"a picture has no caption in italics below it: {cell.source}"
        lone = [output for output in cell.get("outputs", []) if set(output.get("data", {})) == {"text/plain"}]
        assert not any(o.data["text/plain"].startswith("<") for o in lone), (
            f"an object, not shown: {cell.source}"
        )
    assert sum(map(pictures, cells)), "there must be a picture"


def check_no_machine(text: str) -> None:
    """No paths or addresses of the machine that ran it; pictures are left out, they are base64."""
    text = re.sub(r'"image/png": "[^"]*"', "", text)
    found = MACHINE.search(text)
    assert not found, f"of a machine: {text[max(0, found.start() - 60) : found.end() + 60]}"


def check_metadata(notebook) -> None:
    """Nothing that differs from run to run: times, versions, who ran it."""
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}, notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.metadata for cell in code_cells(notebook) if "execution" in cell.metadata] == []


by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@by_name
def test_it_is_whole_and_plain(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < MOST_BYTES
    check_frame(notebook)
    check_cells(notebook, path.stem)
    check_prose(notebook)
    check_outputs(notebook)
    check_no_machine(json.dumps(notebook))
    check_metadata(notebook)


@pytest.mark.slow
@by_name
def test_it_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a notebook draws its pictures into itself
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # nobody's own start-up files
    skips = ABOUT_TORCH in path.stem and not is_installed()
    run(without_outputs(read(path)) if skips else read(path), tmp_path)


@pytest.mark.slow
def test_the_notebook_about_torch_skips_kindly_without_it(tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    (path,) = (path for path in NOTEBOOKS if ABOUT_TORCH in path.stem)
    notebook = without_outputs(read(path))
    notebook.cells.insert(
        0, new_code_cell("import sys\nsys.modules['torch'] = None  # as if it were not there")
    )
    outputs = [output for cell in code_cells(run(notebook, tmp_path)) for output in cell.outputs]
    assert [output.output_type for output in outputs] == ["stream"], outputs
    assert outputs[0].text.startswith("PyTorch is not installed here, so the cells below do nothing.")


# The checks reject what they are there for.

GOOD = [
    new_markdown_cell("# 1 · Title\n\n**You will learn**\n\n**Time:** 5 minutes."),
    new_code_cell(
        "assert 1 + 1 == 2",
        execution_count=1,
        outputs=[new_output("display_data", {"image/png": "iVBOR", "text/plain": "<Figure>"})],
    ),
    new_markdown_cell("*A caption.*\n\n<details><summary>Answer</summary></details>"),
    new_markdown_cell("## Sources\n\n- A book, 97.3 %."),
]


def with_cell(place: int, **changes):
    """Return the good notebook with one cell changed."""
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = new_notebook(cells=json.loads(json.dumps(GOOD)), metadata=metadata)
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    notebook.cells[place].update(nbformat.from_dict(changes))
    return notebook


def check_all(notebook) -> None:
    check_frame(notebook)
    check_cells(notebook, "01_title")
    check_prose(notebook)
    check_outputs(notebook)
    check_no_machine(json.dumps(notebook))
    check_metadata(notebook)


def test_the_checks_pass_what_is_good():
    check_all(with_cell(0))


STDERR = [{"output_type": "stream", "name": "stderr", "text": "UserWarning"}]
ERROR = [{"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}]
UNSHOWN = [{"output_type": "execute_result", "data": {"text/plain": "<Figure size 1x1>"}, "metadata": {}}]


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        (0, {"source": "**You will learn**"}, "title"),
        (0, {"source": "# Title\n\n**Time:** 5 minutes"}, "what will be learned"),
        (0, {"source": "# Title\n\n**You will learn** much"}, "how many minutes"),
        (3, {"source": "The end"}, "must be the sources"),
        (2, {"source": "*A caption.*"}, "folded answer"),
        (2, {"source": "*A caption.* <details>"}, "must be closed"),
        (2, {"source": "*A caption.* It is right in 97.3% <details></details>"}, "typed result, '97.3%'"),
        (2, {"source": "*A caption.* It is 0.1234 <details></details>"}, "typed result, '0.1234'"),
        (2, {"source": "No caption <details></details>"}, "no caption"),
        (1, {"source": "print(2)"}, "there must be an assert"),
        (1, {"source": "assert 1\n" * 11}, "11 lines"),
        (1, {"source": "assert " + "1" * 100}, "too wide"),
        (1, {"source": "assert 1\n%matplotlib inline"}, "no magics"),
        (1, {"source": "assert 1\n!ls"}, "no magics"),
        (1, {"source": "assert 1\nimport torch"}, "no torch"),
        (1, {"execution_count": 7}, "not run once"),
        (1, {"outputs": []}, "must be a picture"),
        (1, {"outputs": STDERR}, "warning was saved"),
        (1, {"outputs": ERROR}, "error was saved"),
        (1, {"outputs": UNSHOWN}, "not shown"),
        (1, {"source": "assert open('/home/me/a.txt')"}, "of a machine"),
        (1, {"source": "assert '<object at 0x7f3a12345678>'"}, "of a machine"),
        (1, {"metadata": {"execution": {"iopub.status.busy": "2026"}}}, "execution"),
    ],
)
def test_the_checks_reject(place, changes, message):
    with pytest.raises(AssertionError, match=message):
        check_all(with_cell(place, **changes))


@pytest.mark.slow
def test_a_run_rejects_errors_and_pictures_without_labels(tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    draw = "import matplotlib.pyplot as plt\nfigure, ax = plt.subplots()\nax.plot([1, 2]);"
    for source, message in [
        ("assert 1 + 1 == 3", "AssertionError"),
        (draw, "no title"),
        (f"{draw}\nax.set_title('a');", "no labels"),
    ]:
        with pytest.raises(nbclient.exceptions.CellExecutionError, match=message):
            run(new_notebook(cells=[new_code_cell(source)]), tmp_path)
    good = new_code_cell(f"{draw}\nax.set(title='a', xlabel='b');")
    with pytest.raises(AssertionError, match=re.escape("saved with [0], now [1]")):
        run(new_notebook(cells=[good]), tmp_path)
    good.outputs = [new_output("display_data", {"image/png": "iVBOR"})]
    run(new_notebook(cells=[good]), tmp_path)
