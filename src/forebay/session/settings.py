"""What a session has set, interned: equal settings are one object.

`Settings` are the values a client asked for (start-up parameters, ``options=-c …``); `Parameters`
are what the database reports of itself (ParameterStatus). Both are compared by identity on the hot
path.
"""

from collections.abc import Mapping
from functools import cached_property
from weakref import WeakValueDictionary

from forebay.protocol.messages import parameter_status
from forebay.session.special import IDENTITY, OF_IDLENESS, OF_LITERALS, OF_NAMES
from forebay.sql.reading import Reading
from forebay.sql.settings import names_pg_temp

Values = tuple[tuple[str, str], ...]

# Before a question of Forebay's own, in one text with it: the user's timeout is not for that.
WITHOUT_TIMEOUT = "SET LOCAL statement_timeout = 0;"

# Stands among a connection's settings when its client has taken some back: they may not be what
# init_query had made them.
RESET_BY_CLIENT: Values = (("", ""),)


class Settings:
    """Names (lower case, sorted, once each) and values that differ from a fresh connection's.

    `at_rest`: what of them may stay on a connection that nobody uses; None if all of them may.
    """

    __slots__ = (
        "__weakref__",
        "at_rest",
        "literals",
        "names",
        "of_plans",
        "under_pg_temp",
        "values",
    )

    def __init__(self, values: Values, at_rest: "Settings | None" = None) -> None:
        self.values = values
        self.at_rest = at_rest
        # What names depend on, and what literals do.
        self.names = tuple(pair for pair in values if pair[0] in OF_NAMES)
        self.literals = tuple(pair for pair in values if pair[0] in OF_LITERALS)
        self.of_plans = tuple(pair for pair in values if decides_plans(pair[0]))
        # Whether pg_temp stands in the search_path; None: that is the connection's own.
        path = dict(self.names).get("search_path")
        self.under_pg_temp = None if path is None else names_pg_temp(path)


class Parameters:
    """A set of reported parameters."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)

    @cached_property
    def encoded(self) -> bytes:
        """All of them as ParameterStatus messages."""
        return b"".join(parameter_status(name, value) for name, value in self.values.items())

    @cached_property
    def reading(self) -> Reading:
        """How the database reads the bytes of a text."""
        conforming = self.values.get("standard_conforming_strings") != "off"
        return Reading(self.values.get("client_encoding", "").upper(), conforming)

    def changes_from(self, old: "Parameters") -> bytes:
        """ParameterStatus messages for what differs from `old`."""
        return b"".join(
            parameter_status(name, value)
            for name, value in self.values.items()
            if old.values.get(name) != value
        )


class InternTable:
    """Gives equal Settings, and equal Parameters, one identity for as long as they are in use."""

    def __init__(self) -> None:
        self._settings: WeakValueDictionary[Values, Settings] = WeakValueDictionary()
        self._parameters: WeakValueDictionary[frozenset[tuple[str, str]], Parameters]
        self._parameters = WeakValueDictionary()
        self.none = self.settings(())

    def settings(self, values: Values) -> Settings:
        found = self._settings.get(values)
        if found is None:
            rest = tuple(pair for pair in values if pair[0] != OF_IDLENESS)
            at_rest = None if rest == values else self.settings(rest)
            found = self._settings[values] = Settings(values, at_rest)
        return found

    def parameters(self, values: Mapping[str, str]) -> Parameters:
        key = frozenset(values.items())
        found = self._parameters.get(key)
        if found is None:
            found = self._parameters[key] = Parameters(values)
        return found


def decides_plans(name: str) -> bool:
    """Whether plans that were made under another value of this setting must not be used.

    PostgreSQL evaluates a function that is marked IMMUTABLE when it plans. Many that are marked so
    read a setting all the same, mostly one that says whose the session is; the value then stays in
    the plan for whoever uses it next.
    """
    return "." in name or name in IDENTITY


def quote_literal(value: str) -> str:
    """A string literal that means `value` whatever client_encoding and string settings hold.

    All of it is ASCII: bytes above that could be read under another client's encoding, in which
    one of them may take the backslash behind it along. Bytes that are no UTF-8 are given one by
    one, for the database to say whether they are text.
    """
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    if value.isascii() and "\\" not in value:
        return f"'{escaped}'"
    if _is_text(value):
        return "E'" + "".join(map(_code_point, escaped)) + "'"
    raw = escaped.encode(errors="surrogateescape")
    return "E'" + "".join(chr(byte) if byte < 0x80 else f"\\x{byte:02x}" for byte in raw) + "'"


def quote_identifier(name: str) -> str:
    """A setting's name as SQL; custom ones have a dot between two identifiers.

    In ASCII, as a literal; but a name that is no UTF-8 stays as it is (no server whose encoding is
    UTF-8 takes such a name), since identifiers can only be escaped by code point.
    """
    return ".".join(map(_quote_part, name.split(".")))


def _quote_part(part: str) -> str:
    quoted = part.replace('"', '""')
    if part.isascii() or not _is_text(part):
        return f'"{quoted}"'
    quoted = quoted.replace("\\", "\\\\")
    escaped = (char if char.isascii() else f"\\+{ord(char):06x}" for char in quoted)
    return 'U&"' + "".join(escaped) + '"'


def _is_text(value: str) -> bool:
    """Whether it was UTF-8."""
    return not any(0xDC80 <= ord(char) <= 0xDCFF for char in value)


def _code_point(char: str) -> str:
    return char if char.isascii() else f"\\U{ord(char):08x}"
