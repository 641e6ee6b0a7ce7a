"""Rows of text under titles, for terminals and pipes. What clients have chosen is made harmless."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from forebay.cli.reaching import duration, printable

GAP = "  "
# Names may have 63 characters; on a screen more of them would push out what matters.
GREATEST_WIDTH = 40


class Column(NamedTuple):
    """One column. ``is_number``: its cells stand on the right."""

    title: str
    is_number: bool = False


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None
) -> Iterator[str]:
    """Lines: the titles, then the rows. ``width``: where lines are cut, in cells of a terminal;
    without it, nothing is cut."""
    shown = [[column.title for column in columns], *([*map(printable, row)] for row in rows)]
    if width is not None:
        shown = [[cut(cell, GREATEST_WIDTH) for cell in row] for row in shown]
    widths = [max(map(cell_len, cells)) for cells in zip(*shown, strict=True)]
    for row in shown:
        cells = [
            " " * (size - cell_len(cell)) + cell if column.is_number else set_cell_size(cell, size)
            for cell, size, column in zip(row, widths, columns, strict=True)
        ]
        line = GAP.join(cells).rstrip()
        yield line if width is None else cut(line, width)


def cut(text: str, width: int) -> str:
    """At most so many cells, with a mark where something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…" * (width > 0)


def terminal_width() -> int | None:
    """How wide stdout is; None if it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def span(seconds: float) -> str:
    """How long, as one reads it at a glance: ``0.4 s``, ``2 min 5 s``."""
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def write(lines: Iterator[str] | Sequence[str]) -> None:
    """To stdout."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
