"""``forebay top``: what goes on, live."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.live import Live
from rich.text import Text

from forebay.cli.frame import Look, Part, frame
from forebay.cli.keys import keys
from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, complain
from forebay.cli.pins import ask_views
from forebay.cli.reaching import ReachError, printable, reach
from forebay.cli.status import print_json
from forebay.cli.tables import write
from forebay.control import (
    ControlClient,
    ControlError,
    EventsAnswer,
    EventsRequest,
    FiguresAnswer,
    FiguresRequest,
    StatusAnswer,
    StatusRequest,
    find,
)
from forebay.node.events import Event

KEYS: dict[str, Part] = {"h": "h", "w": "w", "p": "p"}
HELP = "h holders  w waiters  p pins  n next proxy  q quit"


def top(
    *,
    proxy: str = "",
    interval: float = 1.0,
    socket: str | None = None,
    config: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Show what goes on in a running Forebay, live: who holds connections, who waits, what pins.

    Keys: h, w and p bring holders, waiters or pins to the front; n goes to the next proxy; q or
    Ctrl-C ends it. Where stdout is no terminal one frame is printed. Exit codes: 0 fine, 1 there is
    no Forebay or no such proxy, 2 several may be meant.

    Parameters
    ----------
    proxy
        The proxy that is shown; without it the first.
    interval
        Seconds from one look to the next: 0.2 to 60.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    as_json
        Print one JSON object: one look.
    """
    if not 0.2 <= interval <= 60:
        complain("top", ["--interval takes 0.2 to 60 seconds"])
        return EXIT_WRONG_USE
    try:
        with reach(socket, config) as node:
            path = node.path
            looks = Looks(proxy)
            looks.take(node)
    except ReachError as error:
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
            return error.code
        return error.tell("top")
    look = looks.current
    if look is None:
        complain("top", ["this Forebay has no proxy that is served yet"])
        return EXIT_FAILED
    if as_json:
        print_json({"ok": True, "control_socket": path, **_as_object(look)})
        return EXIT_FINE
    if not sys.stdout.isatty():
        write(frame(look, "h", None, None))
        sys.stderr.write("forebay top: stdout is no terminal; this was one look\n")
        return EXIT_FINE
    return _live(looks, interval, socket, config)


@dataclass
class Looks:
    """One look after the other at the proxy that is shown. ``proxy``: its name, "" for the first
    of all."""

    proxy: str
    current: Look | None = None
    names: Sequence[str] = ()
    warning: Event | None = None
    _number: int = 0  # of the latest event

    def take(self, node: ControlClient) -> None:
        """Have another look. Raises ControlError."""
        status = node.answer_to(StatusRequest(id=1), StatusAnswer).status
        figures = node.answer_to(FiguresRequest(id=2), FiguresAnswer).figures
        views = ask_views(node, self.proxy)
        events = node.answer_to(EventsRequest(id=3, after=self._number), EventsAnswer).events
        statuses = {each.name: each for each in status.proxies}
        counted = figures.counted.proxies
        self.names = [name for name in statuses if name in counted]
        name = self.proxy or next(iter(self.names), "")
        if name not in self.names or name not in views:
            return
        self._hear(events, name)
        seen = self.current
        before = None if seen is None else seen.figures
        if seen is not None and seen.figures.at == figures.at:  # the same figures serve many
            before = seen.before
        self.current = Look(
            name=name,
            status=statuses[name],
            figures=figures,
            view=views[name],
            before=before,
            number=self.names.index(name) + 1,
            count=len(self.names),
            warning=self.warning,
        )

    def _hear(self, events: Sequence[Event], proxy: str) -> None:
        for each in events:
            self._number = each.number
            if each.level in ("WARNING", "ERROR") and each.proxy in ("", proxy):
                self.warning = each

    def fail(self, trouble: str) -> None:
        """There is nothing newer to be seen. Another node would count its events anew."""
        self._number = 0
        if self.current is not None:
            self.current = replace(self.current, trouble=trouble)

    def next(self) -> None:
        """Go to the next proxy."""
        if self.current is not None and self.names:
            at = self.names.index(self.current.name) if self.current.name in self.names else -1
            self.proxy = self.names[(at + 1) % len(self.names)]
            self.warning, self._number = None, 0


def _as_object(look: Look) -> dict[str, object]:
    figures = look.figures
    return {
        "proxy": look.name,
        "at": figures.at,
        "limit": look.status.limit,
        "servers": msgspec.to_builtins(look.status.servers),
        "numbers": figures.counted.proxies[look.name].numbers,
        "view": msgspec.to_builtins(look.view),
    }


def _live(looks: Looks, interval_s: float, socket: str | None, config: str | None) -> int:
    """Until q or Ctrl-C. Returns the exit code."""
    front: Part = "h"
    console = Console(highlight=False)
    try:
        with keys() as typed, Live(console=console, screen=True, auto_refresh=False) as live:
            node: ControlClient | None = None
            try:
                while True:
                    size = console.size
                    assert looks.current is not None  # noqa: S101 - there was a first look
                    lines = frame(looks.current, front, size.width, size.height - 1)
                    live.update(screen_of(lines, size.width, size.height), refresh=True)
                    due = time.monotonic() + interval_s
                    pressed = typed.wait(interval_s)
                    if "q" in pressed:
                        return EXIT_FINE
                    for key in pressed:
                        front = KEYS.get(key, front)
                    if "n" in pressed:
                        looks.next()
                    elif pressed and time.monotonic() < due:
                        continue  # the same look, shown otherwise
                    try:
                        node = node or ControlClient(find(socket, config, os.environ))
                        looks.take(node)
                    except ControlError as error:
                        looks.fail(printable(str(error).splitlines()[0]))
                        if node is not None:
                            node.close()
                            node = None
            finally:
                if node is not None:
                    node.close()
    except KeyboardInterrupt:
        return EXIT_FINE


def screen_of(lines: Sequence[str], width: int, height: int) -> Text:
    """A whole screen: the frame, and the keys in the last line. Nothing in it is markup."""
    filled = [*lines, *[""] * (height - 1 - len(lines))][: height - 1]
    text = Text("\n".join([*filled, HELP[:width]]), no_wrap=True, overflow="crop", end="")
    text.highlight_regex(r"(?m)^[hwp]  .*$", "bold")
    return text
