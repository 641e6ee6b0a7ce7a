"""What it means that a probe failed. Pure."""

from typing import Final

from forebay.net.connector import ConnectError
from forebay.net.failures import kind_of
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError
from forebay.topology.reports import Failure, FailureKind, HintKind

MAX_TEXT: Final = 200
"""Characters of what others say that are passed on."""

ENDINGS: Final[dict[str, HintKind]] = {
    "57P01": "terminated",
    "57P02": "crashed",
    "57P03": "starting",
}
"""What a server says, as an error or as a notice, before it ends a connection; crash_shutdown and
admin_shutdown come as notices where it stops at once (PostgreSQL: quickdie in postgres.c)."""

_KINDS: Final[dict[str, FailureKind]] = {
    "57P01": "lost",
    "57P02": "lost",
    "57P05": "lost",  # idle_session_timeout
    "57P03": "starting",
    "53300": "too_many",
}


def failure(error: Exception, place: str = "") -> Failure:
    """Of what a probe has ended with. ``place`` is left out of the text: who passes it on knows."""
    match error:
        case PgError():
            kind = _KINDS.get(error.sqlstate) or _kind_of_class(error.sqlstate)
            said = f"{sentence(error.message)} (SQLSTATE {sentence(error.sqlstate[:5])})"
            return Failure(kind, said)
        case ConnectError():
            return Failure(error.kind, sentence(str(error).removeprefix(f"{place}: ")))
        case TimeoutError():
            return Failure("timeout", "no answer in time")
        case OSError() | MalformedMessageError():
            reason = error.strerror if isinstance(error, OSError) else None
            return Failure(kind_of(error), sentence(reason or str(error) or type(error).__name__))
        case _:
            return Failure("other", type(error).__name__)


def hint(sqlstate: str) -> HintKind | None:
    """What it means that a server says this; None: not that it ends."""
    return ENDINGS.get(sqlstate)


def sentence(text: str) -> str:
    """What a stranger says, fit for a log: one line, bounded, nothing that a terminal obeys."""
    cut = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return "".join(each if each.isprintable() else " " for each in cut)


def _kind_of_class(sqlstate: str) -> FailureKind:
    return "auth" if sqlstate.startswith("28") else "other"
