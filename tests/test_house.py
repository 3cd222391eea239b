"""The rules of the house: imports go down the floors, public names are documented, import stays light."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import minicnn

PACKAGE = Path(minicnn.__file__).parent

# A module may import what stands on a lower floor, or on its own floor inside the same folder.
FLOORS = {
    "kernels": 0,
    "checks": 0,
    "functional": 1,
    "parameter": 1,
    "labels": 1,
    "nn": 2,
    "optim": 2,
    "data": 2,
    "__init__": 3,
    "models": 3,
    "checkpoint": 3,
    "training": 4,
    "metrics": 4,
    "classifier": 5,  # its fit is training's
    "inspection": 6,
    "interop": 7,
    "benchmark": 8,  # its torch nets are made by interop
    "diagnosis": 8,
    "commands": 9,
    "cli": 10,
    "__main__": 11,
}
# Which libraries only some rooms may name at all, and which must not be loaded when a module is imported.
ONLY_IN = {"torch": ("interop", "benchmark"), "jax": ("benchmark",), "onnx": ("interop",)}
NEVER_AT_THE_TOP = {"torch", "jax", "matplotlib", "onnx", "PIL", "scipy"}


def modules() -> list[str]:
    """Return the dotted names of all modules of the package."""
    return ["minicnn", *(info.name for info in pkgutil.walk_packages([str(PACKAGE)], "minicnn."))]


def room_of(module: str) -> str:
    """Return the name under minicnn/ that decides the floor: minicnn.nn.conv stands in `nn`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(tree: ast.AST) -> list[tuple[str, int]]:
    """Return (dotted module, line) of every import of a parsed file, those inside functions too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports name the package in full"
            if node.module == "minicnn":
                found += [(f"minicnn.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((node.module, node.lineno))
    return found


def check_imports_go_down(room: str, source: str) -> None:
    """Raise AssertionError if a file in `room` imports from above, or a library that is not for it."""
    for imported, line in imports_of(ast.parse(source)):
        library = imported.split(".")[0]
        if library == "minicnn":
            other = room_of(imported)
            if (other in minicnn.__all__ and other not in FLOORS) or other == "__version__":
                other = "__init__"
            assert other in FLOORS, f"line {line}: {imported} stands on no floor"
            below = FLOORS[other] < FLOORS[room]
            assert below or other == room, f"line {line}: {room} must not import {imported} from above"
        elif library in ONLY_IN:
            assert room in ONLY_IN[library], f"line {line}: only {ONLY_IN[library]} may import {library}"
    for imported, line in imports_at_the_top(ast.parse(source)):
        assert imported.split(".")[0] not in NEVER_AT_THE_TOP, f"line {line}: import {imported} in a function"


def imports_at_the_top(node: ast.AST) -> list[tuple[str, int]]:
    """Return the imports that run when the module is imported: all but those inside functions."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    if isinstance(node, ast.Import | ast.ImportFrom):
        return imports_of(node)
    return [pair for child in ast.iter_child_nodes(node) for pair in imports_at_the_top(child)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    check_imports_go_down(room, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("kernels", "from minicnn import nn"),
        ("nn", "from minicnn.optim import SGD"),
        ("optim", "import minicnn.training"),
        ("nn", "def f():\n    import torch"),
        ("interop", "import torch"),
        ("metrics", "from matplotlib import pyplot"),
    ],
)
def test_the_import_rule_rejects(room, source):
    with pytest.raises(AssertionError, match="line"):
        check_imports_go_down(room, source)


def scalar_casts(source: str) -> list[int]:
    """Return the lines that call np.float64 or its kin on what may be an array of one number.

    Of such an array it makes a scalar, before NumPy 2.4; `checks.cast` does not.
    """
    names = {"float16", "float32", "float64"}
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in names
        and not isinstance(call.args[0], ast.List)
    ]


@pytest.mark.parametrize("room", ["inspection", "interop"])
def test_arrays_of_one_number_stay_arrays(room):
    found = {path: scalar_casts(path.read_text(encoding="utf-8")) for path in (PACKAGE / room).rglob("*.py")}
    assert len(found) > 20
    assert not any(found.values()), found
    assert scalar_casts("a = np.float32([1])\nb = np.float64(a)") == [2]


def public_objects() -> list[tuple[str, object]]:
    """Return what users meet: all that a module's `__all__` names, and all of a single file like models.py."""
    found = {}
    for name in modules():
        module = importlib.import_module(name)
        single_file = name.count(".") == 1 and not hasattr(module, "__path__")
        names = getattr(module, "__all__", [n for n in vars(module) if single_file and n[0] != "_"])
        for attribute in names:
            value = getattr(module, attribute)
            if getattr(value, "__module__", "").startswith("minicnn") and callable(value):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return sorted(found.items())


@pytest.mark.parametrize("name", [name for name, _ in public_objects()])
def test_every_public_name_has_a_docstring_and_a_doctest(name):
    documentation = inspect.getdoc(dict(public_objects())[name]) or ""
    assert documentation, f"{name} has no docstring"
    assert ">>>" in documentation, f"{name} has no doctest"


def test_import_loads_neither_torch_nor_matplotlib():
    heavy = ("torch", "matplotlib", "sklearn", "PIL", "jax", "onnx")  # numba itself brings scipy
    code = f"import sys, minicnn; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_top_level_holds_only_what_the_design_names():
    root = PACKAGE.parent
    if not (root / "pyproject.toml").exists():
        pytest.skip("the package is installed without its repository")
    allowed = {"pyproject.toml", "README.md", "LICENSE", "minicnn", "tests", "notebooks"}
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= allowed
