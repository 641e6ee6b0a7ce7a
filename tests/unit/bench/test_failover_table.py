"""The table of `make bench-failover`."""

import json
from pathlib import Path

import pytest

from bench.failover.table import BEGIN, END, HEAD, Cell, document, lines, times, write

CELL = Cell(
    "Forebay",
    "fast_stop",
    rounds=2,
    unaided=2,
    stall_s=[0.25, 1.5],
    first_success_s=[0.01, 0.02],
    writes=100,
    errors=3,
    refused=0,
)


def test_a_cell_in_columns() -> None:
    expected = ("Forebay", "250 / 1,500", "10 / 20", "1.5", "0", "0", "0", "0", "0")
    assert CELL.columns() == expected
    assert len(expected) == len(HEAD)
    assert "errors: 1.5" in CELL.line()
    assert not CELL.is_wrong
    assert json.loads(json.dumps(CELL.as_json()))["stall_s"] == [0.25, 1.5]


def test_what_is_wrong_or_needs_help() -> None:
    for name in ("lost", "dup", "phantom"):
        assert Cell("x", "fast_stop", 1, 1, **{name: 1}).is_wrong  # type: ignore[arg-type]
    helped = Cell("x", "fast_stop", rounds=3, unaided=2, stall_s=[31.0])
    assert "not by itself" in helped.columns()[1]


def test_times() -> None:
    assert times([]) == "–"
    assert times([0.001, 0.002, 0.003]) == "2 / 3"


def test_one_table_for_each_fault() -> None:
    other = Cell("libpq", "freeze", 1, 1)
    text = "\n".join(lines([CELL, other]))
    assert text.count("| " + " | ".join(HEAD) + " |") == 2
    assert (
        text.index("| Forebay") < text.index("### All of it stands still") < text.index("| libpq")
    )


def test_the_document(tmp_path: Path) -> None:
    found = {
        "clients": 200,
        "rounds": 2,
        "postgresql": "18.6",
        "commit": "abc",
        "started": "2026-11-28T20:00:00+00:00",
        "notes": ["HAProxy: not here"],
    }
    text = document(found, [CELL], "2 cores")
    assert "Not tried: HAProxy: not here." in text
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(path, text)
    write(path, text)  # again, it replaces what it wrote
    written = path.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert written.count("| Forebay |") == 1
    path.write_text("nothing")
    with pytest.raises(ValueError):
        write(path, text)
