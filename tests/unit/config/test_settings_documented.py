"""docs/configuration.md names every key with its variable, type, default and range."""

import re
from pathlib import Path

import msgspec
import pytest

from forebay.config import ProxySettings
from forebay.config.environment import NOT_SETTINGS, variable
from forebay.config.reading import Path as KeyPath
from forebay.config.reading import leaves
from forebay.config.settings import NodeSettings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
SECTIONS = [
    *((path, annotation, "node") for path, annotation in leaves(NodeSettings)),
    *((path, annotation, "proxies") for path, annotation in leaves(ProxySettings)),
]


def rows() -> dict[str, list[str]]:
    """The tables' rows by their first cell, ``section key``."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            heading = re.match(r"#+ .*`\[+(.+?)\]+`", line)
            section = heading[1] if heading else ""
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found[f"{section} {cells[0].strip('`')}"] = cells
    return found


def heading_of(path: KeyPath, top: str) -> str:
    inner = [str(part) for part in path[:-1] if isinstance(part, str)]
    return ".".join(["node" if top == "node" else "proxies.NAME", *inner])


@pytest.mark.parametrize(
    ("path", "annotation", "top"), SECTIONS, ids=[f"{t}{p}" for p, _, t in SECTIONS]
)
def test_a_key_is_documented(path: KeyPath, annotation: object, top: str) -> None:
    row = rows().get(f"{heading_of(path, top)} {path[-1]}")
    assert row is not None, f"no row for {path[-1]} under {heading_of(path, top)}"
    _name, kind, default, allowed, environment, reloadable, meaning = row
    prefix: KeyPath = ("node",) if top == "node" else ()
    full = variable((*prefix, *path)).replace("_0_", "_N_")
    assert environment == f"`{full}`"
    assert reloadable in ("yes", "no")
    assert kind
    assert default
    assert meaning
    info = msgspec.inspect.type_info(annotation)
    if isinstance(info, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        assert info.le is not None
        assert f"{info.le:.0f}" in allowed.replace(" ", "").replace(",", "")
    if isinstance(info, msgspec.inspect.LiteralType):
        assert all(f"`{value}`" in allowed for value in info.values)


def test_nothing_is_documented_that_is_not_there() -> None:
    known = {f"{heading_of(path, top)} {path[-1]}" for path, _, top in SECTIONS}
    assert {key for key in rows() if key.startswith(("node", "proxies."))} == known


def test_the_other_variables_are_documented() -> None:
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for name in NOT_SETTINGS - {"FOREBAY_POSTGRES_BIN"})
