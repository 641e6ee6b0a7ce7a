"""Settings and statements with every trick of quoting and encoding mean what they mean directly.

Each client is moved to another connection after every step, unless it is pinned.
"""

import contextlib
import itertools
from collections.abc import Sequence

import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.messages import message, sync
from tests.differential.conversations import comparable
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import Message, RawClient, bind, close, describe, execute

Said = list[tuple[str, bytes]]
serials = itertools.count()
PLAIN = {"require_tls": False}


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with two connections; who waits for one in vain gives up after a second."""
    pool = connections(2, connection_borrow_timeout=1)
    return start_forebay(postgres.port, database, proxy=PLAIN, pool=pool)


class Moves:
    """Two other clients who see to it that the next statement runs on another connection."""

    def __init__(self, forebay: Forebay, stack: contextlib.ExitStack) -> None:
        self._holding, self._next = (
            stack.enter_context(RawClient(forebay.port, forebay.database)) for _ in range(2)
        )
        self._holding.query("BEGIN")
        self._given_up = False

    def move(self) -> None:
        """Whoever is next takes the connection that was used last, and sets the other free."""
        if self._given_up:
            return
        try:
            self._next.query("BEGIN")
        except PgError:
            self._given_up = True  # the client keeps its connection
            return
        self._holding.query("ROLLBACK")
        self._holding, self._next = self._next, self._holding


def assert_same(
    forebay: Forebay,
    postgres: Postgres,
    steps: Sequence[bytes],
    settings: dict[str, str] | None = None,
    moving: bool = True,
) -> None:
    """Every answer is what PostgreSQL itself says, and nobody else meets the settings.

    Instead of my.own each call has a setting of its own: where one was set before, it is known.
    """
    database = forebay.database
    own = f"my.o{next(serials) % 100:02}"
    steps = [step.replace(b"my.own", own.encode()) for step in steps]
    settings = {name.replace("my.own", own): value for name, value in (settings or {}).items()}
    with RawClient(postgres.port, database, settings) as direct:
        expected = [told(direct.ask(step)) for step in steps]
    with contextlib.ExitStack() as stack:
        moves = Moves(forebay, stack)
        client = stack.enter_context(RawClient(forebay.port, database, settings))
        status = b"I"
        for step, answer in zip(steps, expected, strict=True):
            if moving and status == b"I":
                moves.move()
            said = client.ask(step)
            assert told(said) == answer, (step, steps)
            status = said[-1].body
        client.leave()
        moves.move()
        with RawClient(forebay.port, database) as other:
            assert other.query(STATE) == [DEFAULTS]


def told(messages: Sequence[Message]) -> Said:
    """What was said, but for what differs: the order of parameters that are reported together, and
    the case in which SHOW writes a name."""
    said = [
        (each.kind, comparable(each).lower() if each.kind == "T" else comparable(each))
        for each in messages
    ]
    reported = sorted(each for each in said if each[0] == "S")
    return [each for each in said if each[0] != "S"] + reported


def query(text: str, encoding: str = "utf-8") -> bytes:
    return message(b"Q", text.encode(encoding) + b"\0")


STATE = """SELECT current_setting('application_name'), current_setting('search_path'),
    current_setting('client_encoding'), current_setting('standard_conforming_strings'),
    coalesce(current_setting('my.own', true), ''), current_user = session_user"""
DEFAULTS = ["", '"$user", public', "UTF8", "on", "", "t"]

LITERALS = [
    "'it''s'",
    "'back\\slash'",
    "E'back\\\\slash, \\'quote\\', tab\\t, octal \\101, hex \\x41, unicode \\u0041\\U0000005a'",
    "U&'\\0041\\+00005a and ''quote'' and \\\\'",
    "U&'!0041' UESCAPE '!'",
    "'in ' 'one line'",
    "'in '\n'two lines'",
    "'a comment' -- with a ' quote",
    "/* /* 'nested' */ */ 'a comment'",
    "$$dollar 'quoted' \\ text$$",
    "$tag$with $$ within$tag$",
    '"an identifier"',
    '"two "" quotes"',
    "An_Identifier",
    "'ä, 名 and 😀'",
    "E'\\u540d'",
    "U&'\\540D\\+01F600'",
    "12",
    "-12.5",
    "on",
    "'a', 'b'",
    "DEFAULT",
    "''",
    f"'{'x' * 63}'",
    f"'{'x' * 70}'",
    f"'{'x' * 62}ä'",
    "'new\nline and \ttab'",
    "E'\\001\\x7f'",
    "'$1 %s %% {} {0}'",
    "'\\'; SELECT 1 --'",
    "'U&''\\0041'''",
    "$1",
    "'unterminated",
    "E'\\xff'",
    "E'\\ud800'",
    "N'national'",
    "B'101'",
]


@pytest.mark.parametrize("strings", ["on", "off"])
def test_values(forebay: Forebay, postgres: Postgres, strings: str) -> None:
    for literal in LITERALS:
        assert_same(forebay, postgres, _setting(literal, strings))


def _setting(literal: str, strings: str) -> list[bytes]:
    """Set a setting of PostgreSQL's and one of the client's own, in each way there is."""
    steps = [f"SET standard_conforming_strings = {strings}"]
    # An empty setting with a dot in its name is not carried.
    names = ["application_name", *(["my.own"] if literal not in ("''", "DEFAULT") else [])]
    for name in names:
        steps += [f"SET {name} TO {literal}", f"SHOW {name}", "SELECT 1", f"SHOW {name}"]
    steps += ["BEGIN", f"SET application_name = {literal}", "ROLLBACK", "SHOW application_name"]
    if not literal.startswith(("$1", "DEFAULT", "An_", '"')) and literal != "''":
        steps += [f"SELECT set_config('my.own', {literal}, false)", "SHOW my.own"]
    steps += ["SHOW standard_conforming_strings", "RESET ALL", "SHOW application_name"]
    return [query(step) for step in steps]


PATHS = [
    '"Quoted.Name", "two "" quotes", pg_catalog',
    "'Quoted.Name', 'it''s', public",
    "\"$user\", '$user', public",
    "'\"in\" quotes'",
    "''",
    'ä, "名", U&"\\540D"',
    f'"{"x" * 70}"',
    "UPPER, \"UPPER\", 'UPPER'",
    "pg_catalog, pg_temp",
]


def test_search_paths(forebay: Forebay, postgres: Postgres) -> None:
    for path in PATHS:
        steps = [f"SET search_path = {path}", "SHOW search_path", "SELECT current_schema()"]
        assert_same(
            forebay, postgres, [query(step) for step in [*steps, steps[1], "RESET search_path"]]
        )


NAMES = [
    "my.own",
    "MY.Own",
    '"my"."own"',
    '"my.own"',
    '"My"."Own"',
    "my.own.own",
    '"my own"',
    '"my"."it\'s"',
    '"my"."a "" quote"',
    '"my"."ä"',
    'my."own.dotted"',
    f"my.{'x' * 70}",
    f"{'y' * 70}.own",
    '"application_name"',
    '"Application_Name"',
    '"application name"',
    'U&"\\006dy".own',
    '""',
    '"."',
    '"my."',
    "$1",
    "my.1",
    "SESSION my.own",
    "LOCAL work_mem",
]


def test_names(forebay: Forebay, postgres: Postgres) -> None:
    for name in NAMES:
        plain = name.split()[-1] if name.startswith(("SESSION", "LOCAL")) else name
        unquoted = plain.replace('"', "").replace("'", "''")
        value = "7MB" if "work_mem" in name else "one"
        steps = [f"SET {name} = '{value}'", f"SHOW {plain}", "SELECT 1", f"SHOW {plain}"]
        steps += [f"SELECT set_config('{unquoted}', 'two', false)", f"SHOW {plain}"]
        steps += [
            f"SELECT current_setting('{unquoted}', true)",
            f"SET {name} TO DEFAULT",
            "RESET ALL",
        ]
        assert_same(forebay, postgres, [query(step) for step in steps])


ZONES = [
    "'Asia/Tokyo'",
    "-3.5",
    "INTERVAL '-08:30' HOUR TO MINUTE",
    "'<+0530>-05:30'",
    "LOCAL",
    "DEFAULT",
    '"Asia/Tokyo"',
    "'no/such/zone'",
]


def test_time_zones(forebay: Forebay, postgres: Postgres) -> None:
    for zone in ZONES:
        steps = [
            f"SET TIME ZONE {zone}",
            "SHOW TimeZone",
            "SELECT '2026-01-02 03:04+00'::timestamptz",
        ]
        assert_same(
            forebay, postgres, [query(step) for step in [*steps, *steps[1:], "RESET TimeZone"]]
        )


OTHERS = [
    ["SET DateStyle = 'SQL, DMY'", "SHOW DateStyle", "SELECT '2026-01-02'::date"],
    ["SET datestyle TO postgres, dmy", "SHOW DateStyle", "SELECT '2026-01-02'::date"],
    ["SET work_mem = '1 GB'", "SHOW work_mem", "SET work_mem = 65536", "SHOW work_mem"],
    ["SET work_mem = '1.5MB'", "SHOW work_mem", "SET work_mem = '0x1000'", "SHOW work_mem"],
    ["SET statement_timeout = '1min'", "SHOW statement_timeout", "SET statement_timeout TO 90061"],
    ["SET extra_float_digits = -3", "SELECT 1::float8 / 3", "SHOW extra_float_digits"],
    ["SET geqo TO off", "SHOW geqo", "SET geqo = 'tru'", "SHOW geqo", "SET geqo = maybe"],
    ["SET bytea_output = 'escape'", r"SELECT '\xde00ad'::bytea", "SHOW bytea_output"],
    ["SET backslash_quote = on", "SET standard_conforming_strings = off", r"SELECT 'a\'b'"],
    ["SET escape_string_warning = off", "SET standard_conforming_strings = off", r"SELECT 'a\\b'"],
    ["SET quote_all_identifiers = on", "SELECT quote_ident('a')", "SHOW quote_all_identifiers"],
    [
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
        "SHOW transaction_isolation",
        "SHOW default_transaction_read_only",
        "SELECT 1",
    ],
    ["SET XML OPTION DOCUMENT", "SHOW xmloption", "RESET xmloption"],
    ["SET SCHEMA 'pg_catalog'", "SHOW search_path", "RESET search_path"],
    ["SET NAMES", "SHOW client_encoding", "SET NAMES 'UTF8'", "SHOW client_encoding"],
    ["SET SEED TO 0.5", "SELECT 1"],
    ["SET SESSION ROLE NONE", "SHOW role", "SET ROLE 'none'", "SELECT current_user = session_user"],
]


def test_other_settings(forebay: Forebay, postgres: Postgres) -> None:
    for texts in OTHERS:
        steps = [*texts, *(text for text in texts if not text.startswith("SET")), "RESET ALL"]
        assert_same(forebay, postgres, [query(text) for text in steps])


ROLE = "we\"\"ird \\ röle.{} 'x'"


def test_a_role_whose_name_has_everything(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    role = ROLE.format(database.name)
    postgres.sql(f'CREATE ROLE "{role}"; GRANT "{role}" TO "{database.user}"')
    try:
        literal = role.replace('""', '"').replace("'", "''")
        steps = ["SELECT current_user", "SHOW role"]
        for change in (
            f'SET ROLE "{role}"',
            f"SET ROLE '{literal}'",
            f"SELECT set_config('role', '{literal}', false)",
        ):
            steps = [*steps, change, *steps[:2], "RESET ROLE"]
        assert_same(forebay, postgres, [query(text) for text in steps])
    finally:
        forebay.stop()
        postgres.sql(f'DROP ROLE "{role}"')


# In SJIS the second byte of 表 is a backslash, in BIG5 that of 功.
ENCODED = [
    ("LATIN1", "latin-1", "é ÿ"),
    ("WIN1252", "cp1252", "€ é"),
    ("SJIS", "shift_jis", "表 ソ"),
    ("BIG5", "big5", "功 許"),
    ("GBK", "gbk", "誠 襖"),
    ("EUC_JP", "euc_jp", "表"),
]


@pytest.mark.parametrize(("name", "codec", "text"), ENCODED)
def test_encodings(forebay: Forebay, postgres: Postgres, name: str, codec: str, text: str) -> None:
    steps = [query(each, codec) for each in _with(text)]
    for first in (f"SET client_encoding = '{name}'", f"SET NAMES {name}"):
        assert_same(forebay, postgres, [query(first), *steps])
    assert_same(forebay, postgres, steps, {"client_encoding": name})


def _with(text: str) -> list[str]:
    """Statements in which a text stands wherever it may."""
    return [
        "SHOW client_encoding", f"SELECT '{text}', length('{text}')",
        f"SET my.own = '{text}'", "SHOW my.own", f"SELECT current_setting('my.own') = '{text}'",
        f"SET application_name = '{text}'", "SHOW application_name",
        f"SET search_path = \"{text}\", public", "SHOW search_path", f"SELECT 1 AS \"{text}\"",
        f"SELECT set_config('my.own', '{text}{text}', false)", "SHOW my.own",
        f"SELECT E'{text}'", f"SELECT '{text}", f"SELECT no_such_function('{text}')",
        "SELECT 1", "SHOW my.own",
    ]  # fmt: skip


STATEMENT_NAMES = [
    'a"b',
    "a'b",
    "a\\b",
    "a b",
    " ",
    "a.b",
    '"quoted"',
    "Upper",
    "ä",
    "名",
    "x" * 63,
    "a;b",
    "_forebay_1",
    "_forebay_0",
    "$1",
    "%s",
    "a\nb",
    "SELECT",
    "' DROP TABLE t --",
]


def named(text: str, name: str) -> bytes:
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0" + bytes(2))


def test_names_of_statements(forebay: Forebay, postgres: Postgres) -> None:
    for name in STATEMENT_NAMES:
        identifier = '"' + name.replace('"', '""') + '"'
        run = bind(name=name) + execute() + sync()
        steps = [
            run,
            named("SELECT 'by protocol'", name) + sync(),
            run,
            named("SELECT 2", name) + sync(),
            describe("S", name) + sync(),
            named("SELEC", "2" + name) + sync(),
            bind(name="2" + name) + execute() + sync(),
            query(f"DEALLOCATE {identifier}"),
            run,
        ]
        assert_same(forebay, postgres, steps)
        steps = [
            query(f"PREPARE {identifier} AS SELECT 'by SQL'"),
            query(f"EXECUTE {identifier}"),
            query(f"PREPARE {identifier} AS SELECT 3"),
            query(f"DEALLOCATE PREPARE {identifier}"),
            query(f"EXECUTE {identifier}"),
        ]
        assert_same(forebay, postgres, steps, moving=False)


def test_only_the_beginning_of_a_statements_name_counts(
    forebay: Forebay, postgres: Postgres
) -> None:
    long, longer = "x" * 63, "x" * 64
    run = bind(name=longer) + execute() + sync()
    steps = [
        named("SELECT 1", longer) + sync(),
        bind(name=long) + execute() + sync(),
        named("SELECT 2", longer + "y") + sync(),
        describe("S", long) + sync(),
        run,
        close("S", longer + "z") + sync(),
        run,
    ]
    assert_same(forebay, postgres, steps)


STARTUP = [
    {"application_name": 'it\'s "quoted" \\ and ä 名'},
    {"my.own": 'it\'s "quoted" \\ and ä 名'},
    {"my.own": "", "application_name": ""},
    {"MY.Own": "one", "TIMEZONE": "Asia/Tokyo"},
    {"search_path": '"Quoted.Name", "two "" quotes", pg_catalog'},
    {"options": r"-c my.own=a\ b\\c'd\"e -c search_path=\"$user\",public"},
    {"options": "-c my.own=ä名 --application-name=dashed"},
    {"standard_conforming_strings": "off", "my.own": "back\\slash"},
    {"client_encoding": "LATIN1", "my.own": "plain"},
    {"client_encoding": "'utf-8'"},
    {"client_encoding": "  UTF8  "},
    {"my.1": "x"},
    {"my.it's": "x"},
    {'my."own"': "x"},
    {"my own": "x"},
]


def test_start_up_parameters(forebay: Forebay, postgres: Postgres, database: TestDatabase) -> None:
    shown = ["application_name", "search_path", "client_encoding", "TimeZone"]
    steps = [query(f"SHOW {name}") for name in shown]
    steps += [query("SELECT current_setting('my.own', true)"), query("SELECT 'a\\\\b'")]
    for settings in STARTUP:
        direct = _refusal(postgres.port, database, settings)
        assert _refusal(forebay.port, database, settings) == direct, settings
        if direct is None:
            assert_same(forebay, postgres, steps, settings)


def _refusal(
    port: int, database: TestDatabase, settings: dict[str, str]
) -> tuple[str, str, str] | None:
    """What the database says to these settings, if it refuses them."""
    try:
        RawClient(port, database, settings).leave()
    except PgError as error:
        return error.severity, error.sqlstate, error.message
    return None
