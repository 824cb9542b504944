"""Data flows one way: which room may import from which, held against the code.

`python tests/test_architecture.py` prints the imports between rooms, from the ground up.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "keras_rnn_zoo"
# As `package_dir` in setup.cfg maps them.
FOLDERS = {
    "keras_rnn_zoo": "keras_rnn_zoo",
    "keras_rnn_zoo.tuner": "tuner",
    "keras_rnn_zoo.export": "export",
}

# From the ground up: a room imports from those above it in this list, never from those below.
# A module that is named here is a room of its own; `keras_rnn_zoo` alone is what is left of it.
ROOMS = [
    "keras_rnn_zoo.errors",
    "keras_rnn_zoo.layers",
    "keras_rnn_zoo",
    "keras_rnn_zoo.twins",
    "keras_rnn_zoo.models",
    "keras_rnn_zoo.preprocessing",
    "keras_rnn_zoo.data",
    "keras_rnn_zoo.training",
    "keras_rnn_zoo.export",
    "keras_rnn_zoo.export.tflite",
    "keras_rnn_zoo.export.cores",
    "keras_rnn_zoo.export.keras_model",
    "keras_rnn_zoo.export.lowering",
    "keras_rnn_zoo.export.verify",
    "keras_rnn_zoo.export.quantization",
    "keras_rnn_zoo.export.targets",
    "keras_rnn_zoo.export.clients",
    "keras_rnn_zoo.export.formats.format",
    "keras_rnn_zoo.export.options",
    "keras_rnn_zoo.export.convert",
    "keras_rnn_zoo.export.diagnose",
    "keras_rnn_zoo.export.formats",
    "keras_rnn_zoo.export.app",
    "keras_rnn_zoo.export.bundle",
    "keras_rnn_zoo.export.streaming",
    "keras_rnn_zoo.export.demo",
    "keras_rnn_zoo.tuner",
    "keras_rnn_zoo.tuner.trials",
    "keras_rnn_zoo.tuner.tuners",
    "keras_rnn_zoo.tuner.engines",
    "keras_rnn_zoo.tuner.options",
    "keras_rnn_zoo.tuner.results",
    "keras_rnn_zoo.tuner.study",
    "keras_rnn_zoo.loading",
    "keras_rnn_zoo.quickstart",
    "keras_rnn_zoo.cli",
    "keras_rnn_zoo.testing",
    "keras_rnn_zoo.__main__",
]


@cache
def modules() -> dict[str, Path]:
    """Every module of the product and its file."""
    found = {}
    for package, folder in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = file
    return found


def imports_of(file: Path) -> Iterator[tuple[str, str | None, int]]:
    """Yields what a file imports from the product: module, name, line; not what types need."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in modules():
                    yield inner, None, node.lineno
                else:
                    yield node.module, alias.name, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in modules():
                    yield alias.name, None, node.lineno


def room_of(module: str) -> str:
    """The room that a module lies in."""
    while module not in ROOMS:
        module = module.rpartition(".")[0]
    return module


def is_face(module: str) -> bool:
    """Whether a module is the public face of a package, which names what lies within."""
    return modules()[module].name == "__init__.py"


def test_every_room_is_a_module_or_a_package():
    assert [room for room in ROOMS if room not in modules()] == []


def test_no_files_import_each_other_in_a_circle():
    edges = {
        module: {target for target, _, _ in imports_of(file)} - {module}
        for module, file in modules().items()
    }
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in finished:
            for target in sorted(edges[module]):
                visit(target, (*path, module))
            finished.add(module)

    for module in edges:
        visit(module, ())


def test_no_import_runs_back_up():
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {target}"
        for module, file in modules().items()
        for target, _, line in imports_of(file)
        if ROOMS.index(room_of(target)) > ROOMS.index(room_of(module))
    ]
    assert wrong == []


def test_no_private_name_is_imported_from_another_room():
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {target}{'.' + name if name else ''}"
        for module, file in modules().items()
        for target, name, line in imports_of(file)
        if room_of(target) != room_of(module)
        and any(
            part.startswith("_") and not part.startswith("__")
            for part in (*target.split("."), name or "")
        )
    ]
    assert wrong == []


def test_the_architecture_page_names_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:keras_rnn_zoo|tuner|export|tests|examples)/[\w./-]+)`", text))
    folders: list[str] = []
    for line in text.split("```")[3].splitlines():
        found = re.match(r"( *)([\w.]+(?:/|\.py))(?:\s|$)", line)
        if found:
            depth = len(found[1]) // 4
            folders = [*folders[:depth], found[2].rstrip("/")]
            named.add("/".join(folders))
    assert len(named) > 120
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def main() -> None:
    """Prints which room imports from which."""
    edges = defaultdict(set)
    for module, file in modules().items():
        for target, _, _ in imports_of(file):
            if room_of(target) != room_of(module):
                edges[room_of(module)].add(room_of(target))
    for room in ROOMS:
        count = sum(room_of(module) == room for module in modules())
        sources = ", ".join(sorted(edges[room], key=ROOMS.index)) or "-"
        print(f"{room} ({count} files) <- {sources}")


if __name__ == "__main__":
    main()
