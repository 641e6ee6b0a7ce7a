"""Databases that a text needs for itself, against PostgreSQL's parse tree (libpg_query)."""

from typing import Any

import postgast
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.sql import databases
from forebay.sql.databases import DatabaseUse, may_use_databases
from forebay.sql.lexer import lex
from forebay.sql.reading import Reading

from .sql_texts import BLANKS, any_text

UTF8 = Reading("UTF8", True)


def databases_used(text: bytes, reading: Reading) -> DatabaseUse:
    conforming, ambiguous = reading.standard_conforming_strings, reading.is_ambiguous
    lexed = lex(text, standard_conforming_strings=conforming, ambiguous_encoding=ambiguous)
    return databases.databases_used(lexed, reading)


NAMES = ["shop", "Shop", '"Shop"', '"a ""b"""', 'U&"sh\\006Fp"', '"büro"', "if", "template"]
PIECES = [
    *("CREATE", "DROP", "ALTER", "DATABASE", "IF EXISTS", "RENAME TO", "SET TABLESPACE", "SET"),
    *("WITH", "TEMPLATE", "=", "OWNER", "CONNECTION LIMIT", "-1", "5", "ENCODING", "'UTF8'"),
    *("E'sh\\x6Fp'", "$$shop$$", "DEFAULT", "(FORCE)", "TO", "RESET ALL", "TABLE", ";", *NAMES),
]
SHAPES = [
    "DROP DATABASE {0}",
    "DROP DATABASE IF EXISTS {0} WITH (FORCE)",
    "ALTER DATABASE {0} RENAME TO {1}",
    "ALTER DATABASE {0} SET TABLESPACE {1}",
    "ALTER DATABASE {0} OWNER TO {1}",
    "CREATE DATABASE {0}",
    "CREATE DATABASE {0} TEMPLATE {1}",
    "CREATE DATABASE {0} WITH OWNER = {1} TEMPLATE = {2} CONNECTION LIMIT -1",
    "CREATE DATABASE {0} CONNECTION LIMIT = 5 TEMPLATE {1} IS_TEMPLATE true",
    "BEGIN; ALTER DATABASE {0} RENAME TO {1}; COMMIT",
    "DROP DATABASE {0}; DROP DATABASE {1}",
]


@st.composite
def about_databases(draw: st.DrawFn) -> str:
    shape = draw(st.sampled_from(SHAPES)).format(*(draw(st.sampled_from(NAMES)) for _ in range(3)))
    return "".join(draw(st.sampled_from(BLANKS)) if each == " " else each for each in shape)


pieces = st.lists(st.sampled_from(PIECES), max_size=9).map(" ".join)


def parsed(text: str) -> DatabaseUse | None:
    """What the parse tree says; None if the text cannot be parsed."""
    try:
        found = postgast.parse(text).stmts
    except postgast.PgQueryError:
        return None
    alone: set[str] = set()
    made: set[str] = set()
    for each in found:
        kind = each.stmt.WhichOneof("node")
        statement = getattr(each.stmt, kind) if kind else None
        moves = kind == "alter_database_stmt" and _option(statement, "tablespace")
        if kind == "rename_stmt" and statement.subname and not statement.HasField("relation"):
            alone.add(statement.subname)
            made.add(statement.newname)
        elif len(found) > 1:
            continue
        elif kind == "dropdb_stmt" or moves:
            alone.add(statement.dbname)
        elif kind == "createdb_stmt":
            alone.add(_option(statement, "template") or "template1")
            made.add(statement.dbname)
    return DatabaseUse(_encoded(alone), _encoded(made))


def _option(statement: Any, name: str) -> str:
    """The value of an option that is given and no DEFAULT, else nothing."""
    values = [each.def_elem for each in statement.options if each.def_elem.defname == name]
    return str(values[-1].arg.string.sval) if values else ""


def _encoded(names: set[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


@given(st.one_of(about_databases(), pieces))
@example("CREATE DATABASE a TEMPLATE DEFAULT")
@example('CREATE DATABASE "a" TEMPLATE template TEMPLATE b')
def test_as_the_parse_tree_has_it(text: str) -> None:
    expected = parsed(text)
    if expected is not None:
        assert databases_used(text.encode(), UTF8) == expected


@given(st.one_of(about_databases(), pieces))
def test_what_is_read_looks_like_it(text: str) -> None:
    if databases_used(text.encode(), UTF8).alone:
        assert may_use_databases(text.encode())


@given(any_text, st.sampled_from(["UTF8", "LATIN1", "SJIS", "SQL_ASCII"]), st.booleans())
def test_any_text_can_be_read(text: bytes | str, encoding: str, conforming: bool) -> None:
    raw = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    databases_used(raw, Reading(encoding, conforming))
