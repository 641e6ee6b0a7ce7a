"""Which functions change the session that calls them: those of PostgreSQL, and an operator's own.

Text shows a call, not what the body does. PostgreSQL's own functions are known; for others an
operator lists what calling them does to the session, and may say of any function, known ones
included, that it is not to be looked at.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from forebay.sql.lexer import Kind, lex
from forebay.sql.names import as_understood
from forebay.sql.reasons import Reason

ANY_SCHEMA: Final = b""
# That of PostgreSQL's own functions; always searched.
_CATALOG: Final = b"pg_catalog"

KNOWN: Final[dict[bytes, Reason]] = {
    **dict.fromkeys((b"nextval", b"setval", b"currval", b"lastval"), Reason.SEQUENCE),
    **dict.fromkeys(
        (
            b"pg_advisory_lock",
            b"pg_advisory_lock_shared",
            b"pg_try_advisory_lock",
            b"pg_try_advisory_lock_shared",
            b"pg_advisory_unlock",
            b"pg_advisory_unlock_shared",
            b"pg_advisory_unlock_all",
        ),
        Reason.ADVISORY_LOCK,
    ),
    **dict.fromkeys(
        (
            b"setseed",
            # A backup ends where it began, or with that session (the second name: before 15).
            b"pg_backup_start",
            b"pg_start_backup",
            # A session's replication origin; slots, which may be temporary.
            b"pg_replication_origin_session_setup",
            b"pg_replication_origin_session_reset",
            b"pg_create_physical_replication_slot",
            b"pg_create_logical_replication_slot",
            b"pg_copy_physical_replication_slot",
            b"pg_copy_logical_replication_slot",
        ),
        Reason.SESSION_FUNCTION,
    ),
    b"set_config": Reason.SETTING,
}
_PLAIN_NAME: Final = re.compile(rb"[A-Za-z0-9_$]+")


class FunctionName(NamedTuple):
    """A function's name as PostgreSQL stores it; ``schema`` is empty for any."""

    schema: bytes
    name: bytes


class Called(NamedTuple):
    """What a call does: as is known of PostgreSQL's own function of that name, and as is listed."""

    known: Reason | None
    listed: tuple[Reason, ...]


def parse_function_name(text: str) -> FunctionName:
    """Read ``name`` or ``schema.name``, folded and unquoted as PostgreSQL does it.

    Raises ValueError with what is wrong. Names beyond ASCII are refused: each client encoding
    writes them in its own way.
    """
    lexed = lex(text.encode(errors="surrogatepass"))
    tokens = as_understood(lexed.tokens)
    names = tokens[::2]
    if (
        lexed.trouble is not None
        or len(tokens) not in (1, 3)
        or any(token.kind not in (Kind.WORD, Kind.QUOTED_NAME) for token in names)
        or any(token.value != b"." for token in tokens[1::2])
    ):
        raise ValueError("is no name of a function: write NAME or SCHEMA.NAME, without arguments")
    schema = names[0].value if len(names) > 1 else ANY_SCHEMA
    name = names[-1].value
    if not text.isascii() or not _PLAIN_NAME.fullmatch(name):
        raise ValueError("can't be looked for: only names of ASCII letters, digits, _ and $ can")
    return FunctionName(schema, name)


class Functions:
    """What is known of functions, with what is listed laid over it. Immutable.

    A name listed without a schema stands for the functions of that name in every schema; one with a
    schema for calls with that schema, and for calls without one, as search_path may find it. None
    as the reason: such calls are not looked at.
    """

    __slots__ = ("_in_body", "_listed", "ignored", "looked_for", "names")

    def __init__(self, listed: Mapping[FunctionName, Reason | None] | None = None) -> None:
        self._listed: dict[bytes, dict[bytes, Reason | None]] = {}
        ignored = set()
        for (schema, name), reason in (listed or {}).items():
            own = name in KNOWN and schema in (ANY_SCHEMA, _CATALOG)
            if own and reason is KNOWN[name] is not Reason.SEQUENCE:
                continue  # what is known says more: set_config names the setting
            if own and reason is None:
                ignored.add(name)
            self._listed.setdefault(name, {})[schema] = reason
        # All that matter wherever they are called; the known ones that are not to be looked at;
        # and the listed ones whose calls do something to the session that is not known anyhow.
        self.names = frozenset(KNOWN) | frozenset(self._listed)
        self.ignored = frozenset(ignored)
        self.looked_for = frozenset(
            name for name, reasons in self._listed.items() if _is_news(name, reasons)
        )
        self._in_body = _pattern(
            frozenset(name for name, reasons in self._listed.items() if any(reasons.values()))
        )

    def called(self, schema: bytes, name: bytes) -> Called:
        """What a call of ``name`` does; ``schema`` is empty if the call does not name it.

        A call that may be one of several functions does what any of them does.
        """
        known = KNOWN.get(name)
        listed = self._listed.get(name, {})
        if schema:
            nearest = schema if schema in listed else ANY_SCHEMA
            matching = {nearest: listed[nearest]} if nearest in listed else {}
            overridden = bool(matching)
        else:
            matching = listed
            overridden = ANY_SCHEMA in listed or _CATALOG in listed
        reasons = dict.fromkeys(reason for reason in matching.values() if reason is not None)
        return Called(None if overridden else known, tuple(reasons))

    def lists(self, schema: bytes, name: bytes) -> bool:
        """Whether the operator has listed what a call of ``name`` does, be it nothing.

        ``schema`` is empty if the call does not name it.
        """
        listed = self._listed.get(name, {})
        return bool(listed) and (not schema or schema in listed or ANY_SCHEMA in listed)

    def named_in(self, body: bytes) -> Iterator[tuple[Reason, bytes]]:
        """The listed functions whose names stand in code that is not read as SQL, called or not."""
        if self._in_body is None:
            return
        folded = {match[0].lower() for match in self._in_body.finditer(body)}
        for name, reasons in self._listed.items():
            if name.lower() in folded:
                yield from ((reason, name) for reason in reasons.values() if reason is not None)


def _is_news(name: bytes, reasons: Mapping[bytes, Reason | None]) -> bool:
    return any(reason not in (None, KNOWN.get(name)) for reason in reasons.values())


def _pattern(names: frozenset[bytes]) -> re.Pattern[bytes] | None:
    if not names:
        return None
    either = b"|".join(re.escape(name) for name in sorted(names))
    return re.compile(rb"(?<![A-Za-z0-9_$])(?:" + either + rb")(?![A-Za-z0-9_$])", re.IGNORECASE)


KNOWN_FUNCTIONS: Final = Functions()
