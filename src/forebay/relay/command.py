"""A command of Forebay's own on a database connection."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.relay.server import Server


class Command:
    """One simple Query, and what came back.

    At its ReadyForQuery ``done(server, command)`` is called, unless it is None. ``rows`` holds the
    bodies of DataRow messages, ``error`` the body of the last ErrorResponse, or None. ``is_cut``:
    there were more rows than are kept.

    `is_replay`: it puts the client's settings in place. `ends_turn`: see ``turn.follow``.
    """

    __slots__ = ("done", "ends_turn", "error", "is_cut", "is_replay", "rows")

    def __init__(
        self,
        done: "Callable[[Server, Command], None] | None" = None,
        *,
        is_replay: bool = False,
        ends_turn: bool = False,
    ) -> None:
        self.done = done
        self.is_replay = is_replay
        self.ends_turn = ends_turn
        self.error: bytes | None = None
        self.is_cut = False
        self.rows: list[bytes] = []
