"""The rules of the house, read off the source: imports go down only, talk stays in cli/, files stay short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lrnn_cli"

# From the roof to the ground. Rooms on one floor do not import each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("studies",),
    ("runs",),
    ("tasks",),
    ("fitting",),
    ("objectives", "models"),
    ("kernels", "signals", "pictures"),
    ("numerics",),
    ("errors",),
)
HEIGHT = {room: len(FLOORS) - level for level, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {"torch", "numpy", "scipy", "matplotlib", "PIL", "tifffile", "soundfile", "skimage", "pydicom"}
TALK = {"print", "input", "exit", "quit", "breakpoint"}
LONGEST = 400

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "lrnn_cli":  # from lrnn_cli import models
                yield from ((node.lineno, f"lrnn_cli.{alias.name}") for alias in node.names)
            elif node.module:
                yield node.lineno, node.module


def runs_at_import(tree: ast.Module) -> ast.Module:
    """The statements of a module that run when it is imported: no function bodies, no TYPE_CHECKING."""

    class Pruner(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    return Pruner().visit(tree)


def climbing(room: str, source: str) -> list[str]:
    """Imports of `source` that do not go down from `room`."""
    found = []
    for line, name in imports(ast.parse(source)):
        package, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if package != "lrnn_cli" or target in ("", "__version__", room):
            continue
        if target not in HEIGHT:
            found.append(f"line {line}: {name} is on no floor")
        elif HEIGHT[target] >= HEIGHT[room]:
            found.append(f"line {line}: {room} imports {name}")
    return found


def talking(source: str) -> list[str]:
    """Places of `source` that print, prompt, exit or touch the standard streams."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TALK:
            found.append(f"line {node.lineno}: {node.func.id}()")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            full = f"{node.value.id}.{node.attr}"
            if full in ("sys.exit", "sys.stdout", "sys.stderr", "sys.stdin", "os._exit", "os.abort"):
                found.append(f"line {node.lineno}: {full}")
    return found


def heavy(source: str) -> list[str]:
    """Heavy modules that are imported when the module of `source` is."""
    tree = runs_at_import(ast.parse(source))
    return [f"line {line}: {name}" for line, name in imports(tree) if name.split(".")[0] in HEAVY]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_room_is_on_a_floor() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms <= set(HEIGHT), f"give these rooms a floor in FLOORS: {rooms - set(HEIGHT)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not list(imports(ast.parse(path.read_text("utf-8")))), "the package itself imports nothing"
    else:
        assert climbing(room, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) not in ("cli", "__main__")], ids=name_of
)
def test_only_cli_talks(path: Path) -> None:
    assert talking(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) == "cli"], ids=name_of)
def test_cli_imports_nothing_heavy_before_a_command_runs(path: Path) -> None:
    assert heavy(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=name_of)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def test_the_rules_catch_what_they_forbid() -> None:
    assert climbing("models", "import lrnn_cli.fitting.loop") == [
        "line 1: models imports lrnn_cli.fitting.loop"
    ]
    assert climbing("models", "def f():\n  from lrnn_cli import objectives") == [
        "line 2: models imports lrnn_cli.objectives"
    ]
    assert climbing("models", "import lrnn_cli.attic") == ["line 1: lrnn_cli.attic is on no floor"]
    assert (
        climbing("models", "from lrnn_cli.kernels import dispatch\nfrom lrnn_cli.errors import ConfigError")
        == []
    )
    assert talking("import sys\nprint(1)\nsys.exit(2)") == ["line 2: print()", "line 3: sys.exit"]
    assert heavy("from torch import nn") == ["line 1: torch"]
    assert heavy("if True:\n  import numpy.linalg") == ["line 2: numpy.linalg"]
    assert heavy("def f():\n  import torch\nif TYPE_CHECKING:\n  import numpy") == []
    assert len(FILES) > 20
