"""The ports: what compiled code calls and reads of Python objects is declared, and nothing else is.

Cython does not check calls on objects. So its sources are read: a port is known there by the name
of the variable or attribute that holds it, which is the same everywhere.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import forebay.relay

RELAY = Path(forebay.relay.__file__).parent
# What holds an object from outside, and what that is.
PORTS = {
    "sessions": "SessionsPort",
    "texts": "TextsPort",
    "pinner": "PinnerPort",
    "auditor": "AuditorPort",
    "applications": "ApplicationsPort",
    "evacuations": "EvacuationsPort",
    "changeover": "ChangeoverPort",
    "manager": "ManagerPort",
    "settings": "SettingsPort",
    "parameters": "ParametersPort",
    "notes": "NotesPort",
    "meaning": "MeaningPort",
}
# Handed back as it came: nothing is read of it.
OPAQUE = {"ReadingPort"}
# Other names for the same.
SYNONYMS = {
    "startup": "settings",
    "judged": "settings",
    "rested": "settings",
    "parameters_before": "parameters",
    "parameters_told": "parameters",
}
_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|' + r"'(?:\\.|[^'\\\n])*'|#[^\n]*", re.DOTALL
)
_IMPORT = re.compile(r"^ *(?:from [\w.]+ )?c?import (?:\([^)]*\)|.*)$", re.MULTILINE)
_HOLDERS = "|".join([*PORTS, *SYNONYMS])
_USE = re.compile(rf"\b({_HOLDERS})\.(?=(\w+))")


def code_of(text: str) -> str:
    """Cython or Python code without its strings, comments and imports."""
    return _IMPORT.sub("", _STRING_OR_COMMENT.sub('""', text))


def sources() -> Iterator[tuple[str, str]]:
    """The code of what is compiled, by file."""
    for path in sorted(RELAY.rglob("*.p*")):
        if path.suffix == ".pyx" or (path.suffix == ".py" and path.with_suffix(".pxd").exists()):
            yield str(path.relative_to(RELAY)), code_of(path.read_text())


def uses(code: str) -> Iterator[tuple[str, str]]:
    """Each port that the code uses, and what of it."""
    for holder, name in _USE.findall(code):
        yield PORTS[SYNONYMS.get(holder, holder)], name


def declared() -> set[tuple[str, str]]:
    """Each port, and what it declares."""
    tree = ast.parse((RELAY / "ports.py").read_text())
    found = set()
    for port in tree.body:
        if isinstance(port, ast.ClassDef) and port.name not in OPAQUE:
            for node in port.body:
                if isinstance(node, ast.FunctionDef):
                    found.add((port.name, node.name))
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    found.add((port.name, node.target.id))
    return found


def test_all_that_compiled_code_uses_is_declared() -> None:
    known = declared()
    untyped = {
        f"{file} uses {name} of {port}"
        for file, code in sources()
        for port, name in uses(code)
        if (port, name) not in known
    }
    assert not untyped, "\n".join(sorted(untyped))


def test_all_that_is_declared_is_used_by_compiled_code() -> None:
    used = {use for _, code in sources() for use in uses(code)}
    stale = {f"{port} declares {name}" for port, name in declared() - used}
    assert not stale, "\n".join(sorted(stale))


def test_each_port_has_one_holder() -> None:
    assert {port for port, _ in declared()} == set(PORTS.values())


def test_compiled_code_calls_the_ports_by_no_other_name() -> None:
    """Or this test would not see what it calls."""
    renamed = re.compile(rf"([\w.]+) *= *[\w.]*\b({_HOLDERS})$", re.MULTILINE)
    wrong = [
        f"{file} knows {name} as {other}"
        for file, code in sources()
        for other, name in renamed.findall(code)
        if other.rpartition(".")[2] not in (name, *SYNONYMS)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "client.sessions.texts.undone(client)",
            [("SessionsPort", "texts"), ("TextsPort", "undone")],
        ),
        ("self.pool.manager.ended(self, b'manager.told')", [("ManagerPort", "ended")]),
        ("# manager.wanted(pool)", []),
        ('"""Asks `manager.wanted`."""', []),
        ("from .settings.of cimport (\n    one,\n    two,\n)\nnotes.x", [("NotesPort", "x")]),
        ("from .manager.of cimport one", []),
        ("old.notes.restored = {}", [("NotesPort", "restored")]),
        ("client.startup.values", [("SettingsPort", "values")]),
    ],
)
def test_the_test_sees_uses(code: str, expected: list[tuple[str, str]]) -> None:
    assert list(uses(code_of(code))) == expected
