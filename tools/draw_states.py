"""Draws the states of clients and connections into ARCHITECTURE.md: ``draw_states.py [--check]``.

What is drawn is the table in forebay/relay/states.pyx, between the lines that name it. With --check
nothing is written, and the exit code is 1 if the file is not up to date.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from forebay.relay.states import TABLE, State

PAGE = Path(__file__).resolve().parents[1] / "ARCHITECTURE.md"
# What is drawn, and the state in which it begins.
FIRST = {"client": "IDLE", "connection": "SETTLING"}


def reachable(first: str) -> list[State]:
    """The states that may follow `first`, itself included, in the table's order."""
    named = {state.name: number for number, state in TABLE.items()}
    found = {named[first]}
    frontier = list(found)
    while frontier:
        new = TABLE[frontier.pop()].moves.keys() - found
        found |= new
        frontier += new
    return [state for number, state in TABLE.items() if number in found]


def drawn(kind: str) -> Iterator[str]:
    """The lines of the diagram and of the table of one kind of thing."""
    states = reachable(FIRST[kind])
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {FIRST[kind]}"
    for state in states:
        for to, why in state.moves.items():
            yield f"    {state.name} --> {TABLE[to].name}: {why.replace(';', ',')}"
        if not state.moves:
            yield f"    {state.name} --> [*]"
    yield "```"
    yield ""
    yield f"| state | a {kind} that … |"
    yield "|---|---|"
    for state in states:
        yield f"| {state.name} | {state.meaning} |"


def redrawn(page: str) -> str:
    """The page with the states as they are in the table."""
    for kind in FIRST:
        begin, end = f"<!-- states of a {kind} -->\n", "<!-- end of states -->\n"
        block = begin + "\n".join(drawn(kind)) + "\n" + end
        page, count = re.subn(
            re.escape(begin) + ".*?" + re.escape(end),
            lambda _, block=block: block,
            page,
            flags=re.S,
        )
        if count != 1:
            raise SystemExit(f"{PAGE.name} must have one {begin.strip()}, and has {count}")
    return page


def main() -> int:
    page = PAGE.read_text()
    new = redrawn(page)
    if "--check" in sys.argv[1:]:
        return int(new != page)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
