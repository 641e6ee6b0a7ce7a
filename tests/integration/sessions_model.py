"""What a client's session should hold: a model of PostgreSQL's rules, and random steps."""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from forebay.protocol.errors import PgError
from forebay.protocol.messages import sync
from tests.harness.raw import RawClient, bind, execute, parse, run

DEFAULTS = {
    "search_path": '"$user", public',
    "timezone": "",  # whatever the server has
    "statement_timeout": "0",
    "work_mem": "4MB",
    "app.tenant": "",
    "role": "none",
    "application_name": "",
}
VALUES = {
    "search_path": ["pg_catalog", "public", "pg_catalog, public"],
    "timezone": ["Asia/Tokyo", "America/Lima"],
    "statement_timeout": ["55s", "1min"],
    "work_mem": ["5MB", "6MB"],
    "app.tenant": ["one", "two", "it''s"],
    "application_name": ["me", "myself"],
}
LOOK = (
    "SELECT "
    + ", ".join(f"coalesce(pg_catalog.current_setting('{name}', true), '')" for name in DEFAULTS)
    + """,
    (SELECT coalesce(string_agg(objid::text, ',' ORDER BY objid), '') FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()),
    (SELECT coalesce(string_agg(relname, ',' ORDER BY relname), '') FROM pg_catalog.pg_class
        WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind = 'r'),
    (SELECT coalesce(string_agg(name, ',' ORDER BY name), '') FROM pg_catalog.pg_cursors
        WHERE name <> ''),
    (SELECT coalesce(string_agg(c, ',' ORDER BY c), '') FROM pg_catalog.pg_listening_channels() c),
    (SELECT coalesce(string_agg(name, ',' ORDER BY name), '') FROM pg_catalog.pg_prepared_statements
        WHERE from_sql)"""
)


@dataclass
class State:
    """What transactions bring back: settings, temporary tables, cursors, channels."""

    settings: dict[str, str]
    tables: set[str] = field(default_factory=set)
    cursors: dict[str, bool] = field(default_factory=dict)  # name → WITH HOLD
    channels: set[str] = field(default_factory=set)


class Session:
    """One client with its model. ``step`` does something and checks that all is as it should be."""

    def __init__(
        self, client: RawClient, rng: random.Random, number: int, start: dict[str, str], role: str
    ) -> None:
        self.client = client
        self.start = dict(DEFAULTS, timezone=client.parameters["TimeZone"]) | start
        if "timezone" not in start:
            self.start["timezone"] = client.parameters["TimeZone"]
        self._given = start
        self._rng = rng
        self._number = number
        self._role = role
        self._state = State(dict(self.start))
        self._outer: State | None = None  # at BEGIN
        self._local: dict[str, str] = {}
        self._pending: set[str] | None = None  # channels once the transaction commits
        self._locks: dict[int, int] = {}
        self._prepared: set[str] = set()
        self._named: dict[str, str] = {}
        self.history: list[str] = []
        # Every client has its own, so that none waits for another's lock.
        self._keys = range(number * 10, number * 10 + 3)

    def step(self) -> None:
        """Do one thing at random, then look. Raises PgError 08000 when no connection is free."""
        self._rng.choice(self._actions())()
        self.check()

    def check(self) -> None:
        """Raises AssertionError unless the session is as the model says."""
        (found,) = self._ask(LOOK)
        assert found == self.expected(), f"client {self._number}:\n" + "\n".join(self.history)

    def expected(self) -> list[str]:
        settings = self._state.settings | self._local
        return [
            *(settings[name] for name in DEFAULTS),
            ",".join(map(str, sorted(key for key, count in self._locks.items() if count))),
            ",".join(sorted(self._state.tables)),
            ",".join(sorted(self._state.cursors)),
            ",".join(sorted(self._state.channels)),
            ",".join(sorted(self._prepared)),
        ]

    # -- actions --------------------------------------------------------------------------------

    def _actions(self) -> list[Callable[[], None]]:
        inside = self._outer is not None
        actions = [self._set, self._set, self._set_config, self._reset, self._lock, self._prepare]
        actions += [self._named_statement, self._named_statement, self._table, self._listen]
        actions += [self._cursor, self._take_role]
        if inside:
            actions += [self._set_local] * 2 + [self._end] * 6 + [self._fail]
        else:
            actions += [self._begin] * 5 + [self._reset_all, self._unlock_all]
        return actions

    def _pick(self) -> tuple[str, str]:
        name = self._rng.choice(list(VALUES))
        return name, self._rng.choice(VALUES[name])

    def _set(self) -> None:
        name, value = self._pick()
        shown = value.replace("''", "'")
        text = value if name == "search_path" else f"'{value}'"
        self._do(f"SET {name} = {text}")
        self._state.settings[name] = shown
        self._local.pop(name, None)

    def _set_config(self) -> None:
        name, value = self._pick()
        local = self._rng.random() < 0.3 and self._outer is not None
        self._do(f"SELECT pg_catalog.set_config('{name}', '{value}', {str(local).lower()})")
        self._note(name, value.replace("''", "'"), local)

    def _set_local(self) -> None:
        name, value = self._pick()
        text = value if name == "search_path" else f"'{value}'"
        self._do(f"SET LOCAL {name} = {text}")
        self._note(name, value.replace("''", "'"), True)

    def _note(self, name: str, value: str, local: bool) -> None:
        if local:
            self._local[name] = value
        else:
            self._state.settings[name] = value
            self._local.pop(name, None)

    def _reset(self) -> None:
        name, _ = self._pick()
        if self._outer is not None and name in self._given:
            return  # until the transaction is over it has the connection's value, not the client's
        self._do(self._rng.choice([f"RESET {name}", f"SET {name} TO DEFAULT"]))
        self._note(name, self.start[name], False)

    def _reset_all(self) -> None:
        discard = self._rng.random() < 0.5
        self._do("DISCARD ALL" if discard else "RESET ALL")
        role = self.start["role"] if discard else self._state.settings["role"]
        self._state.settings = dict(self.start, role=role)
        if discard:
            self._state = State(self._state.settings)
            self._locks.clear()
            self._prepared.clear()
            self._named.clear()

    def _take_role(self) -> None:
        role = self._rng.choice([self._role, "none"])
        self._do(f"SET ROLE {role}")
        self._note("role", role, False)

    def _lock(self) -> None:
        key = self._rng.choice(self._keys)
        if self._locks.get(key) and self._rng.random() < 0.5:
            self._do(f"SELECT pg_catalog.pg_advisory_unlock({key})")
            self._locks[key] -= 1
        else:
            self._do(f"SELECT pg_catalog.pg_advisory_lock({key})")
            self._locks[key] = self._locks.get(key, 0) + 1

    def _unlock_all(self) -> None:
        self._do("SELECT pg_catalog.pg_advisory_unlock_all()")
        self._locks.clear()

    def _prepare(self) -> None:
        name = self._rng.choice(["p", "q"])
        if name not in self._prepared:
            self._do(f"PREPARE {name} AS SELECT {self._number}")
            self._prepared.add(name)
        elif self._rng.random() < 0.5:
            assert self._do(f"EXECUTE {name}") == [[str(self._number)]]
        else:
            self._do(f"DEALLOCATE {name}")
            self._prepared.discard(name)

    def _named_statement(self) -> None:
        """A statement of the protocol's: what it is called here, it may be called elsewhere too."""
        name = self._rng.choice(["s", "t"])
        value = self._rng.choice(["one", "two"])
        data = b""
        if name not in self._named:
            text = self._rng.choice(
                [
                    f"SELECT '{self._number}', $1::text",
                    "SELECT pg_catalog.set_config('app.tenant', $1, false), $1",
                ]
            )
            data = parse(text, name)
            self._named[name] = text
        self.history.append(f"{name}: {self._named[name]} ({value})")
        answer = self.client.ask(data + bind(value, name=name) + execute() + sync())
        self._raise(answer)
        rows = [message.row for message in answer if message.kind == "D"]
        if "set_config" in self._named[name]:
            assert rows == [[value, value]]
            self._note("app.tenant", value, False)
        else:
            assert rows == [[str(self._number), value]]

    def _table(self) -> None:
        if self._state.settings["role"] != "none":
            return
        if self._state.tables:
            name = self._state.tables.pop()
            self._state.tables.add(name)
            (row,) = self._do(f"SELECT n FROM pg_temp.{name}")
            assert row == [str(self._number)]
            if self._rng.random() < 0.6:
                self._do(f"DROP TABLE pg_temp.{name}")
                self._state.tables.discard(name)
        else:
            name = self._rng.choice(["one", "two"])
            self._do(f"CREATE TEMPORARY TABLE {name} AS SELECT {self._number} AS n")
            self._state.tables.add(name)

    def _listen(self) -> None:
        channel = f"channel_{self._number}"
        listening = self._rng.random() < 0.4
        self._do(f"LISTEN {channel}" if listening else "UNLISTEN *")
        channels = {channel} if listening else set()
        if self._outer is None:
            self._state.channels = channels
        else:
            self._pending = channels

    def _cursor(self) -> None:
        if "c" in self._state.cursors:
            self._do("CLOSE c")
            del self._state.cursors["c"]
        elif self._outer is not None:
            hold = self._rng.random() < 0.4
            with_hold = "WITH HOLD" if hold else ""
            self._do(f"DECLARE c CURSOR {with_hold} FOR SELECT {self._number}")
            self._state.cursors["c"] = hold

    def _begin(self) -> None:
        self._do("BEGIN")
        self._outer = copy.deepcopy(self._state)

    def _end(self) -> None:
        assert self._outer is not None
        if self._rng.random() < 0.6:
            self._do("COMMIT")
            self._state.cursors = {name: hold for name, hold in self._state.cursors.items() if hold}
            if self._pending is not None:
                self._state.channels = self._pending
        else:
            self._do("ROLLBACK")
            self._undo()
        self._outer, self._pending, self._local = None, None, {}

    def _undo(self) -> None:
        assert self._outer is not None
        closed = self._outer.cursors.keys() - self._state.cursors.keys()
        self._state = self._outer
        for name in closed:  # what is closed stays closed
            del self._state.cursors[name]

    def _fail(self) -> None:
        try:
            self._do("SELECT 1/0")
        except PgError as error:
            assert error.sqlstate == "22012"  # noqa: PT017
        self._do("ROLLBACK")
        self._undo()
        self._outer, self._pending, self._local = None, None, {}

    # -- asking ---------------------------------------------------------------------------------

    def _do(self, text: str) -> list[list[str | None]]:
        self.history.append(text)
        return self._ask(text)

    def _ask(self, text: str) -> list[list[str | None]]:
        if self._rng.random() < 0.5:
            return self.client.query(text)
        answer = self.client.ask(run(text) + sync())
        self._raise(answer)
        return [message.row for message in answer if message.kind == "D"]

    @staticmethod
    def _raise(answer: list) -> None:  # type: ignore[type-arg]
        for message in answer:
            if message.kind == "E":
                raise PgError.parse(message.body)
