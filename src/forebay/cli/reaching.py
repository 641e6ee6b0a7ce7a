"""How commands reach the node that they are for, and how they tell of what it answers."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from forebay.cli.output import EXIT_FAILED, EXIT_WRONG_USE, complain
from forebay.control import ChoiceError, ControlClient, ControlError, find


class ReachError(Exception):
    """There is no node to talk to. ``code``: what the command ends with."""

    def __init__(self, text: str, code: int = EXIT_FAILED) -> None:
        super().__init__(text)
        self.code = code

    def tell(self, command: str) -> int:
        """Say so on stderr. Returns the exit code."""
        complain_at_length(command, str(self))
        return self.code


@contextmanager
def reach(socket: str | None, config: str | None) -> Iterator[ControlClient]:
    """A connection to the node that the options name; see `forebay.control.find`.

    Raises ReachError, also for what goes wrong while it is used."""
    try:
        with ControlClient(find(socket, config, os.environ)) as client:
            yield client
    except ChoiceError as error:
        raise ReachError(str(error), EXIT_WRONG_USE) from None
    except ControlError as error:
        raise ReachError(str(error)) from None


def complain_at_length(command: str, text: str) -> None:
    """A sentence, and what belongs to it on lines of their own."""
    first, *others = map(printable, text.splitlines() or [""])
    complain(command, [first])
    for each in others:
        sys.stderr.write(f"  {each}\n")


def printable(text: str) -> str:
    """What a node says, without characters that would steer a terminal."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def moment(at: float) -> str:
    """A Unix time as people here write it: ``2026-11-28 10:30:00``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def duration(seconds: float) -> str:
    """How long, in its two largest units: ``3 d 4 h``, ``2 min 5 s``."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or parts or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
