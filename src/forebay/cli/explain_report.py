"""How ``forebay explain`` tells what it has found: lines, a table, JSON, and a total."""

from collections.abc import Iterator, Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from forebay.cli.explanation import Explanation, Mode, Reader


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """How many statements there are, how many of them pin, and how many call functions of which
    nothing is known (which may pin as well)."""

    statements: int
    pin: int
    cannot_be_seen: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it: what --json prints."""

    mode: Mode
    prepared: bool
    total: Total
    statements: list[Explanation]


def report(found: list[Explanation], reader: Reader) -> Report:
    """The report about all statements."""
    total = Total(
        statements=len(found),
        pin=sum(each.pins for each in found),
        cannot_be_seen=sum(bool(each.unseen) for each in found),
    )
    return Report(mode=reader.mode, prepared=reader.prepared, total=total, statements=found)


def in_words(total: Total) -> str:
    """``3 statements: 1 pins, 1 calls functions that cannot be seen``."""
    noun = "statement" if total.statements == 1 else "statements"
    pin = "pins" if total.pin == 1 else "pin"
    call = "calls" if total.cannot_be_seen == 1 else "call"
    return (
        f"{total.statements} {noun}: {total.pin} {pin},"
        f" {total.cannot_be_seen} {call} functions that cannot be seen"
    )


def lines(each: Explanation) -> Iterator[str]:
    """One statement as plain text."""
    yield place(each) + each.statement
    yield from (f"  does   {what}" for what in each.does)
    yield from (f"  unseen {what}" for what in _unseen(each))
    if not each.pins:
        yield "  pins   no"
        return
    yield f"  pins   {each.reason}, until {each.until}"
    yield f"  why    {each.why}"
    yield f"  hint   {each.hint}"


def table(found: Sequence[Explanation], reader: Reader) -> Table:
    """The same for a terminal."""
    prepared = ", prepared by protocol" if reader.prepared else ""
    title = f'pinning = "{reader.mode}"{prepared}'
    shown = Table(title=title, title_justify="left", show_lines=True)
    for name in ("statement", "what it does to the session", "pins", "hint"):
        shown.add_column(name, overflow="fold")
    for each in found:
        pins = f"{each.reason}\nuntil {each.until}" if each.pins else "no"
        does = [*each.does, *_unseen(each)]
        row = (place(each) + each.statement, "\n".join(does), pins, each.hint or "")
        style = "yellow" if each.pins else "cyan" if each.unseen else None
        # Brackets are SQL's, not markup.
        shown.add_row(*(Text(cell) for cell in row), style=style)
    return shown


def place(each: Explanation) -> str:
    """``file:line: `` as compilers write it, so that editors and CI find it; else nothing."""
    if each.file is None:
        return ""
    name = "".join(c if c.isprintable() else "?" for c in each.file)
    return f"{name}:{each.line}: "


def _unseen(each: Explanation) -> list[str]:
    return [f"calls {name}(): what that does to the session cannot be seen" for name in each.unseen]
