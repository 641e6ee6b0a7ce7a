"""Which databases a text needs for itself."""

import pytest

from forebay.sql import databases
from forebay.sql.databases import NO_USE, DatabaseUse, cut, may_use_databases
from forebay.sql.lexer import lex
from forebay.sql.reading import Reading

UTF8 = Reading("UTF8", True)


def databases_used(text: bytes, reading: Reading) -> DatabaseUse:
    conforming, ambiguous = reading.standard_conforming_strings, reading.is_ambiguous
    lexed = lex(text, standard_conforming_strings=conforming, ambiguous_encoding=ambiguous)
    return databases.databases_used(lexed, reading)


def used(text: str, encoding: str = "UTF8", codec: str = "utf-8") -> tuple[set[str], set[str]]:
    found = databases_used(text.encode(codec), Reading(encoding, True))
    assert found == NO_USE or may_use_databases(text.encode(codec))
    return {name.decode() for name in found.alone}, {name.decode() for name in found.made}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DROP DATABASE shop", "shop"),
        ("drop/* now */database\n-- this one\nShop;", "shop"),
        ("DROP DATABASE IF EXISTS shop;", "shop"),
        ("DROP DATABASE if", "if"),
        ("DROP DATABASE shop WITH (FORCE)", "shop"),
        ("DROP DATABASE shop (FORCE)", "shop"),
        ('DROP DATABASE "Shop ""2"""', 'Shop "2"'),
        ('DROP DATABASE U&"sh\\006Fp"', "shop"),
        ("DROP DATABASE U&\"sh!006Fp\" UESCAPE '!'", "shop"),
        ('DROP DATABASE "büro"', "büro"),
        ("DROP DATABASE BÜRO", "bÜro"),  # only ASCII is folded
        ("ALTER DATABASE shop SET TABLESPACE fast", "shop"),
    ],
)
def test_what_is_dropped_or_moved(text: str, name: str) -> None:
    assert used(text) == ({name}, set())


@pytest.mark.parametrize(
    ("text", "alone", "made"),
    [
        ("ALTER DATABASE shop RENAME TO store", "shop", "store"),
        ('ALTER DATABASE "Shop" RENAME TO U&"st\\006Fre"', "Shop", "store"),
        ("CREATE DATABASE copy TEMPLATE shop", "shop", "copy"),
        ("CREATE DATABASE copy WITH TEMPLATE = Shop", "shop", "copy"),
        ("CREATE DATABASE copy TEMPLATE 'Shop'", "Shop", "copy"),
        ("CREATE DATABASE copy OWNER template TEMPLATE shop", "shop", "copy"),
        ("CREATE DATABASE copy OWNER = template", "template1", "copy"),
        ("CREATE DATABASE copy CONNECTION LIMIT -1 TEMPLATE shop", "shop", "copy"),
        ("CREATE DATABASE copy CONNECTION LIMIT=5 TEMPLATE=shop STRATEGY wal_log", "shop", "copy"),
        ("CREATE DATABASE copy TEMPLATE DEFAULT", "template1", "copy"),
        ('CREATE DATABASE copy TEMPLATE "default"', "default", "copy"),
        ("CREATE DATABASE copy", "template1", "copy"),
    ],
)
def test_what_is_renamed_or_copied(text: str, alone: str, made: str) -> None:
    assert used(text) == ({alone}, {made})


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'DROP DATABASE shop'",
        "DROP TABLE database",
        "DROP DATABASE",
        "DROP DATABASE 5",
        "ALTER DATABASE shop OWNER TO me",
        "ALTER DATABASE shop SET tablespace TO fast",
        "ALTER DATABASE shop SET search_path TO x",
        "CREATE TABLE database (template int)",
        "GRANT CREATE ON DATABASE shop TO me",
        "COMMENT ON DATABASE shop IS 'drop it'",
        "DROP DATABASE shop; SELECT 'unfinished",
    ],
)
def test_what_needs_none(text: str) -> None:
    assert used(text) == (set(), set())


def test_several_statements() -> None:
    """PostgreSQL drops and makes databases in no text but their own, yet renames them in any."""
    assert used("SELECT 1; DROP DATABASE shop") == (set(), set())
    assert used("CREATE DATABASE a TEMPLATE b; SELECT 1") == (set(), set())
    assert used("; DROP DATABASE shop ;; ") == ({"shop"}, set())
    text = "BEGIN; ALTER DATABASE a RENAME TO b; ALTER DATABASE c RENAME TO a; COMMIT"
    assert used(text) == ({"a", "c"}, {"a", "b"})


def test_names_are_kept_in_utf8() -> None:
    assert used('DROP DATABASE "büro"', "LATIN1", "latin1") == ({"büro"}, set())
    assert used('DROP DATABASE U&"b\\00FCro"', "LATIN1", "latin1") == ({"büro"}, set())
    assert databases_used('DROP DATABASE "büro"'.encode(), Reading("SJIS", True)) == NO_USE
    assert used("DROP DATABASE shop", "EUC_JP") == ({"shop"}, set())


def test_long_names() -> None:
    assert cut(b"x" * 70) == b"x" * 63
    assert cut(b"x" * 62 + "ü".encode()) == b"x" * 62
    assert databases_used(b"DROP DATABASE " + b"x" * 70, UTF8) == DatabaseUse(
        frozenset({b"x" * 63})
    )
