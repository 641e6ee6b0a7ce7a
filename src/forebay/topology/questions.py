"""What a server is asked, and how its answers are read. Pure.

Any role may ask this on PostgreSQL 12 and later. Where a server has not all of it, or does not let
everybody know (Aurora has no WAL to speak of), a part has another form, or is left out.
Names are qualified down to the operators: a search_path must not lend one another meaning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from forebay.protocol.messages import MalformedMessageError
from forebay.topology.reports import Report

Parts = Mapping[str, tuple[str, ...]]
"""Expressions by what they tell; of each the forms, best first."""

_RECOVERING: Final = "pg_catalog.pg_is_in_recovery()"
_SETTINGS: Final = "FROM pg_catalog.pg_settings AS s WHERE s.name OPERATOR(pg_catalog.=)"

# Whoever sets it for one role or one database, or for a session, has not made the server read-only:
# `source` says who did. Where the login's own role or database has a setting of its own, the
# server's cannot be seen. Looking at pg_settings costs more than asking for one setting.
READ_ONLY: Final = (
    "CASE WHEN pg_catalog.current_setting('default_transaction_read_only')"
    " OPERATOR(pg_catalog.=) 'on' THEN"
    f" (SELECT s.source OPERATOR(pg_catalog.=) ANY (ARRAY['default', 'environment variable',"
    " 'configuration file', 'command line', 'global'])"
    f" {_SETTINGS} 'default_transaction_read_only') ELSE false END"
)
# Only a writer tells its timeline to everybody. `pg_walfile_name` begins with it.
_TIMELINE: Final = (
    f"CASE WHEN {_RECOVERING} THEN NULL ELSE pg_catalog.substr("
    "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END"
)
# Without a WAL receiver, what it has received is not all that there is. Others' receivers show
# nothing but their process id, which will do.
_CAUGHT_UP: Final = (
    f"CASE WHEN {_RECOVERING} THEN pg_catalog.pg_last_wal_replay_lsn() OPERATOR(pg_catalog.>=)"  # noqa: S608
    " pg_catalog.pg_last_wal_receive_lsn()"
    " AND EXISTS (SELECT r.pid FROM pg_catalog.pg_stat_wal_receiver AS r) END"
)
_REPLAYED_AGE: Final = (
    f"CASE WHEN {_RECOVERING} THEN pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()"
    " OPERATOR(pg_catalog.-) pg_catalog.pg_last_xact_replay_timestamp()) END"
)
# Aurora's readers share the writer's storage, and know how old their caches are.
_AURORA_AGE: Final = (
    f"CASE WHEN {_RECOVERING} THEN (SELECT a.replica_lag_in_msec OPERATOR(pg_catalog./) 1000.0"  # noqa: S608
    " FROM pg_catalog.aurora_replica_status() AS a WHERE a.server_id OPERATOR(pg_catalog.=)"
    " pg_catalog.aurora_db_instance_identifier() LIMIT 1) END"
)

EACH_TIME: Final[Parts] = {
    "in_recovery": (_RECOVERING,),
    "is_read_only": (READ_ONLY,),
    "timeline": (_TIMELINE,),
    "is_caught_up": (_CAUGHT_UP,),
    "replayed_age_s": (_REPLAYED_AGE, _AURORA_AGE),
}
"""With each probe."""


def _at_start(name: str) -> str:
    """A setting that is fixed when the server starts; see `forebay.worker.pool.budget`."""
    return (
        f"(SELECT s.setting {_SETTINGS} '{name}' AND s.context OPERATOR(pg_catalog.=) 'postmaster')"
    )


_RESERVED: Final = (
    "superuser_reserved_connections",
    "reserved_connections",
    "rds.rds_superuser_reserved_connections",
)

ONCE: Final[Parts] = {
    "started_at": ("pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())",),
    "system_id": ("(SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c)",),
    "max_connections": (_at_start("max_connections"),),
    **{name: (_at_start(name),) for name in _RESERVED},
}
"""When a connection is new: a server that is started again has none of the old ones."""

NEEDED: Final = frozenset({"in_recovery"})
"""Without this there is no answer."""


class Form:
    """In which form a server is asked for each part: the best that it understands."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._chosen = dict.fromkeys(parts, 0)

    @property
    def sql(self) -> str:
        """The query for all parts; NULL stands where nothing can be asked."""
        return "SELECT " + ", ".join(self._expression(name) for name in self._parts)

    def alone(self) -> Iterable[tuple[str, str]]:
        """Parts with a query for each of them alone, to see which of them fails."""
        for name in self._parts:
            if self._chosen[name] < len(self._parts[name]):
                yield name, "SELECT " + self._expression(name)

    def give_up(self, name: str) -> bool:
        """Takes the next form of a part. False if it cannot be done without."""
        self._chosen[name] += 1
        return name not in NEEDED or self._chosen[name] < len(self._parts[name])

    def read(self, rows: list[list[str | None]]) -> dict[str, str | None]:
        """The values by name. Raises MalformedMessageError for what is no answer to the query."""
        if len(rows) != 1 or len(rows[0]) != len(self._parts):
            raise MalformedMessageError("the server's answer has not the columns asked for")
        return dict(zip(self._parts, rows[0], strict=True))

    def _expression(self, name: str) -> str:
        chosen, forms = self._chosen[name], self._parts[name]
        return forms[chosen] if chosen < len(forms) else "NULL"


@dataclass(slots=True)
class Lag:
    """How far a standby is behind, which it cannot say itself.

    While it streams and has replayed all that it received, it is not. From then on it is behind by
    no more than the time since: a writer that is dead has nothing that could be missing. Nor by
    more than the age of the last commit that it has replayed, which with a writer at rest says
    little.
    """

    _caught_up_at: float | None = field(default=None)

    def take(self, is_caught_up: bool | None, replayed_age_s: float | None, now: float) -> float:
        """Seconds; infinity if it is not known. ``now``: a steady clock."""
        if is_caught_up:
            self._caught_up_at = now
            return 0.0
        since = float("inf") if self._caught_up_at is None else now - self._caught_up_at
        return min(since, float("inf") if replayed_age_s is None else replayed_age_s)


def report(
    once: Mapping[str, str | None], each: Mapping[str, str | None], lag: Lag, now: float
) -> Report:
    """Of what a server has answered. Raises MalformedMessageError for values of no sense."""
    in_recovery = _bool(each["in_recovery"])
    if in_recovery is None:
        raise MalformedMessageError("the server does not say whether it is in recovery")
    reserved = [_number(once[name]) for name in _RESERVED]
    lag_s = lag.take(_bool(each["is_caught_up"]), _age(each["replayed_age_s"]), now)
    return Report(
        in_recovery=in_recovery,
        timeline=_timeline(each["timeline"]),
        system_id=str(_number(once["system_id"]) or ""),
        is_read_only=_bool(each["is_read_only"]) or False,
        started_at=_float(once["started_at"]) or 0.0,
        max_connections=_number(once["max_connections"]),
        reserved_connections=sum(reserved),
        lag_s=None if not in_recovery or lag_s == float("inf") else lag_s,
    )


def _bool(text: str | None) -> bool | None:
    match text:
        case None:
            return None
        case "t" | "f":
            return text == "t"
    raise MalformedMessageError("the server answers neither true nor false")


def _number(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise MalformedMessageError("the server answers with something that is no number")
    return int(text)


def _float(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e12:  # nor is it NaN
        raise MalformedMessageError("the server answers with something that is no number")
    return value


def _age(text: str | None) -> float | None:
    """Clocks of two machines are compared: it may come out below zero."""
    value = _float(text)
    return None if value is None else max(0.0, value)


def _timeline(text: str | None) -> int:
    if text is None:
        return 0
    try:
        if len(text) == 8 and text.isascii() and text.isalnum():
            return int(text, 16)
    except ValueError:
        pass
    raise MalformedMessageError("the server answers with something that is no timeline")
