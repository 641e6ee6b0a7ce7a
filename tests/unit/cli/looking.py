"""What the tests of commands that look at a node share."""

from collections.abc import Sequence
from typing import Any

from forebay.channel import ClientRow, ConnectionRow, PoolFigures, ProxyView
from tests.unit.control.fakes import FakeNode


def row(number: int, state: str, state_s: float, **others: Any) -> ClientRow:
    """A client."""
    names = {"database": "d", "user": "u", "identity": "u", **others}
    return ClientRow(id=number, state=state, state_s=state_s, **names)


def holder(number: int, state: str, held_s: float, **others: Any) -> ConnectionRow:
    """A connection that is in use."""
    names = {"database": "d", "user": "u", "state_s": held_s, **others}
    return ConnectionRow(id=number, state=state, held_s=held_s, **names)


def node_of(
    *,
    view: ProxyView | None = None,
    rows: Sequence[ClientRow] = (),
    pools: Sequence[PoolFigures] = (),
    numbers: dict[str, int | float] | None = None,
) -> FakeNode:
    """A node with one proxy, in which this is to be seen."""
    node = FakeNode()
    node.observer.views = {"app": view or ProxyView()}
    node.observer.rows = {"app": list(rows)}
    node.observer.pools = {"app": list(pools)}
    node.observer.numbers = {"app": numbers or {}}
    return node
