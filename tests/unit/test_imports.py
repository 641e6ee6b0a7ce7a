"""The import rule: what may know of what.

`protocol`, `sql` and `relay` know nothing of ours, and `session` only the first two; the shell and
the channel know no process; the worker knows nothing of what looks at it or starts it; nobody but
the command line knows the demo.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import forebay

ROOT = Path(forebay.__file__).parent
ABOVE_THE_WORKER = {"node", "control", "dashboard", "metrics", "cli", "demo", "embedded"}
# Each folder, and what of ours it may not import.
FORBIDDEN = {
    "config": {"worker", "control", "dashboard", "metrics", "cli", "demo"},
    "identity": {"worker", "control", "dashboard", "metrics", "cli", "demo"},
    "channel": {"worker", "relay", "session", *ABOVE_THE_WORKER},
    "net": {"worker", "session", "channel", *ABOVE_THE_WORKER},
    "embedded": {"worker", "session", "node", "control", "dashboard", "metrics", "cli", "demo"},
    "worker": ABOVE_THE_WORKER,
    "node": {"control", "dashboard", "cli", "demo"},
    "control": {"worker", "cli", "demo"},
    "dashboard": {"worker", "cli", "demo"},
    "metrics": {"worker", "cli", "demo"},
    "demo": {"control", "dashboard"},
    "topology": {"worker", "node", "control", "dashboard", "metrics", "cli", "demo"},
}
# Folders that know nothing of ours but themselves, and these.
KNOWS = {
    "protocol": set(),
    "sql": set(),
    "relay": set(),
    "session": {"sql", "protocol"},
    "plan": set(),
}
PURE = {"protocol", "sql", "session", "identity/policy", "plan"}
# Sockets, clocks, files and threads have no place in what is pure.
IMPURE = {
    *("socket", "asyncio", "time", "threading", "subprocess", "selectors", "ssl"),
    *("os", "pathlib", "io"),
}


class _WithoutTypes(ast.NodeTransformer):
    """Takes out what is there for type checkers alone."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_for_types else node


def imported(path: Path, types: bool = True) -> Iterator[str]:
    """The full names of the modules that a file imports; with `types`, for its types alone too."""
    package = list(path.relative_to(ROOT.parent).with_suffix("").parts[:-1])
    if path.suffix in (".py", ".pyi"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree if types else _WithoutTypes().visit(tree)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) - node.level + 1] if node.level else []
                module = ".".join([*above, *([node.module] if node.module else [])])
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
        return
    for line in path.read_text().splitlines():  # Cython
        words = line.split()
        if len(words) > 2 and words[0] in ("from", "import", "cimport"):
            yield words[1] if not words[1].startswith(".") else ".".join([*package, words[1][1:]])


def imports_of(folder: str) -> Iterator[tuple[Path, str]]:
    for suffix in (".py", ".pyi", ".pyx", ".pxd"):
        for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
            for name in imported(path):
                yield path.relative_to(ROOT), name


def ours(name: str) -> str | None:
    """The folder of ours that a module belongs to."""
    parts = name.split(".")
    return parts[1] if parts[0] == "forebay" and len(parts) > 1 else None


def test_every_folder_has_a_rule() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders <= FORBIDDEN.keys() | KNOWS.keys() | {"cli"}


def test_the_rule() -> None:
    wrong = [
        f"{path} imports {name}"
        for folder, forbidden in FORBIDDEN.items()
        for path, name in imports_of(folder)
        if ours(name) in forbidden
    ]
    assert not wrong, "\n".join(wrong)


def test_what_stands_at_the_bottom_knows_nothing_above() -> None:
    wrong = [
        f"{path} imports {name}"
        for folder, known in KNOWS.items()
        for path, name in imports_of(folder)
        if ours(name) not in {None, folder, *known}
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_pure_stays_pure() -> None:
    wrong = [
        f"{path} imports {name}"
        for folder in PURE
        for path, name in imports_of(folder)
        if name.split(".")[0] in IMPURE
    ]
    assert not wrong, "\n".join(wrong)


def test_the_test_sees_imports() -> None:
    names = {name for _, name in imports_of("worker")}
    assert {"forebay.protocol.errors", "forebay.relay", "asyncio"} <= names


def test_no_module_imports_one_that_imports_it() -> None:
    modules = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path
        for path in ROOT.rglob("*.py")
        if path.name != "__init__.py"  # it only hands on what its modules have
    }
    graph = {
        module: {name for name in imported(path, types=False) if name in modules}
        for module, path in modules.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
