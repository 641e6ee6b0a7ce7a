import pytest

from forebay.control.console.grammar import (
    REPEATED_CHARACTERS,
    SESSION_SETTINGS,
    Command,
    CommandError,
    parse,
)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("SHOW POOLS", Command("SHOW POOLS")),
        ("  show\n pools ; ", Command("SHOW POOLS")),
        ("show Transaction Isolation Level", Command("SHOW TRANSACTION_ISOLATION")),
        ("SHOW TimeZone", Command("SHOW TIMEZONE")),
        ("PAUSE", Command("PAUSE")),
        ("pause shop;", Command("PAUSE", "shop")),
        ('KILL "Big ""Shop"""', Command("KILL", 'Big "Shop"')),
        ("RESUME my-shop.eu", Command("RESUME", "my-shop.eu")),
        ("FROBNICATE", Command("FROBNICATE")),
        ("BEGIN", Command("BEGIN")),
        ("START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY", Command("BEGIN")),
        ("begin transaction", Command("BEGIN")),
        ("COMMIT", Command("COMMIT")),
        ("end work", Command("COMMIT")),
        ("ABORT", Command("ROLLBACK")),
        ("ROLLBACK;", Command("ROLLBACK")),
        ("RESET ALL", Command("RESET ALL")),
        ("discard all", Command("DISCARD ALL")),
        ("DEALLOCATE ALL", Command("DEALLOCATE ALL", "ALL")),
        ('DEALLOCATE PREPARE "all"', Command("DEALLOCATE", "all")),
        ("DEALLOCATE _pg3_1", Command("DEALLOCATE", "_pg3_1")),
        ("SET extra_float_digits = 3", Command("SET")),
        ("set client_encoding to 'UTF8'", Command("SET")),
        ("SET TIME ZONE 'UTC'", Command("SET")),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Command("SET")),
    ],
)
def test_commands(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    "text", ["", "SHOW", "SHOW A B", "SELECT 1 + 1", "PAUSE a b", "'x'", "KILL 'shop'", "\ufffd"]
)
def test_what_is_no_command(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(text)
    assert str(caught.value) == f"invalid command '{text}', use SHOW HELP;"
    assert caught.value.sqlstate == "42601"


def test_of_a_long_text_the_beginning_is_repeated() -> None:
    with pytest.raises(CommandError) as caught:
        parse("(" * 10_000)
    assert len(str(caught.value)) < REPEATED_CHARACTERS + 50


def test_settings_of_the_pool_are_not_set_here() -> None:
    with pytest.raises(CommandError, match="max_client_conn can't be set here") as caught:
        parse("SET max_client_conn = 100")
    assert caught.value.sqlstate == "55P02"
    assert {each.lower() for each in SESSION_SETTINGS} == SESSION_SETTINGS
