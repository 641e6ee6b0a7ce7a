"""What a session has set, interned: equal settings are one object; and how to change over.

`Settings` are the values a client asked for (start-up parameters, ``options=-c …``); `Parameters`
are what the database reports of itself (ParameterStatus). Both are compared by identity on the hot
path.
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from weakref import WeakValueDictionary

from forebay.protocol.messages import parameter_status, query
from forebay.sql.names import NAME_BYTES

Values = tuple[tuple[str, str], ...]

# Access or meaning depends on them: a statement must never run where setting them has failed.
DECISIVE = frozenset({"role", "session_authorization", "row_security", "search_path"})

# RESET ALL leaves these alone.
IDENTITY = frozenset({"role", "session_authorization"})
# What was accepted once is accepted again, on any connection and in the name of any role. (Of other
# settings the database may refuse what it has accepted before: temp_buffers once there were
# temporary tables, a configuration for text search that is gone.)
_SURE = DECISIVE - IDENTITY | {
    *("application_name", "client_encoding", "client_min_messages", "datestyle", "timezone"),
    *("intervalstyle", "bytea_output", "extra_float_digits", "standard_conforming_strings"),
    *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "jit"),
    *("default_transaction_isolation", "default_transaction_read_only", "synchronous_commit"),
    *("work_mem", "maintenance_work_mem", "plan_cache_mode", "random_page_cost"),
}
# Names in a statement may mean something else under other values of these.
OF_MEANING = frozenset({"role", "search_path", "session_authorization"})

# Stands among a connection's settings when its client has taken some back: they may not be what
# init_query had made them.
RESET_BY_CLIENT: Values = (("", ""),)

# Change-overs between two Settings that are remembered ready to send.
REPLAYS_KEPT = 1024
# ... if the Settings are no longer than this: a client may set 1,000 of 8,192 characters.
KEPT_CHARACTERS = 16384


class Settings:
    """Names (lower case, sorted, once each) and values that differ from a fresh connection's."""

    __slots__ = ("__weakref__", "meaning", "values")

    def __init__(self, values: Values) -> None:
        self.values = values
        self.meaning = tuple(pair for pair in values if pair[0] in OF_MEANING)


class Parameters:
    """A set of reported parameters."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)

    @cached_property
    def encoded(self) -> bytes:
        """All of them as ParameterStatus messages."""
        return b"".join(parameter_status(name, value) for name, value in self.values.items())

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
            found = self._settings[values] = Settings(values)
        return found

    def parameters(self, values: Mapping[str, str]) -> Parameters:
        key = frozenset(values.items())
        found = self._parameters.get(key)
        if found is None:
            found = self._parameters[key] = Parameters(values)
        return found


class Replays:
    """The messages that change a connection over from one client's settings to another's.

    `init_query` is what every new connection has run: a setting that is taken back must become what
    that had made it, so it runs again behind a RESET.
    """

    def __init__(self, init_query: str = "") -> None:
        self._init_query = init_query
        self._kept: OrderedDict[tuple[Settings, Settings], tuple[bytes, bool]] = OrderedDict()

    def replay(self, old: Settings, new: Settings) -> tuple[bytes, bool]:
        """One Query message, and whether its success must be seen before anything else is sent."""
        key = (old, new)
        found = self._kept.get(key)
        if found is None:
            found = self._build(old, new)
            pairs = old.values + new.values
            if sum(len(name) + len(value) for name, value in pairs) <= KEPT_CHARACTERS:
                self._kept[key] = found
            if len(self._kept) > REPLAYS_KEPT:
                self._kept.popitem(last=False)
        return found

    def _build(self, old: Settings, new: Settings) -> tuple[bytes, bool]:
        before, after = dict(old.values), dict(new.values)
        taken_back = [name for name in before if name and name not in after]
        changed = [name for name, value in after.items() if before.get(name) != value]
        starts_over = bool(self._init_query) and (bool(taken_back) or "" in before)
        if starts_over:
            # It may set anything: what the client asked for must come after it, all of it.
            changed = list(after)
        identity = [name for name in before if name in IDENTITY]
        if identity and (starts_over or not all(map(_is_sure, taken_back + changed))):
            # The rest takes the rights of the user who logged in; and a role ends with the
            # session's user who took it on.
            taken_back = identity + [name for name in taken_back if name not in IDENTITY]
            changed = [name for name in after if name in changed or name in IDENTITY]
        changed.sort(key=identity_last)
        statements = [_reset(name) for name in taken_back]
        if starts_over:
            statements.append(self._init_query + "\n")  # it may end with a comment
        if changed:
            calls = (
                f"pg_catalog.set_config({quote_literal(name)}, {quote_literal(after[name])}, false)"
                for name in changed
            )
            statements.append("SELECT " + ", ".join(calls))
        # If it is refused the last client's settings stay, all of them.
        decisive = not DECISIVE.isdisjoint([*taken_back, *changed])
        return query(";".join(statements)), decisive or not all(map(_is_sure, changed))


def _reset(name: str) -> str:
    if all(len(part.encode(errors="surrogateescape")) <= NAME_BYTES for part in name.split(".")):
        return f"RESET {quote_identifier(name)}"
    # As an identifier it would be cut.
    return f"SELECT pg_catalog.set_config({quote_literal(name)}, NULL, false)"


def identity_last(name: str) -> int:
    """The order in which settings are put in place: what only the user who logged in may set comes
    before another identity is taken on, and the session's user, who takes off a role, before that.
    """
    return ("session_authorization", "role").index(name) + 1 if name in IDENTITY else 0


def _is_sure(name: str) -> bool:
    return name in _SURE or "." in name


def quote_literal(value: str) -> str:
    """A string literal that means `value` whatever client_encoding and string settings hold."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    if value.isascii() and "\\" not in value:
        return f"'{escaped}'"
    if any(0xDC80 <= ord(char) <= 0xDCFF for char in value):
        return f"E'{escaped}'"  # not UTF-8: the bytes as they came
    return "E'" + "".join(map(_escape, escaped)) + "'"


def quote_identifier(name: str) -> str:
    """A setting's name as SQL; custom ones have a dot between two identifiers."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def _escape(char: str) -> str:
    return char if char.isascii() else f"\\U{ord(char):08x}"
