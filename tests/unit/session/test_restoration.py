"""What goes back to its value at login when a request takes settings back."""

import pytest

from forebay.session.restoration import Restored, follow_up, taken_back
from forebay.sql.effects import effects

STARTUP = (("role", "app"), ("search_path", 'mine, "Odd One"'), ("timezone", "Asia/Tokyo"))


def inside(*texts: str) -> str:
    """What follows these statements in a transaction block."""
    restored: Restored = {}
    for text in texts:
        restored = taken_back(restored, effects(text.encode()), STARTUP)
    return follow_up(restored, STARTUP).inside[5:-1].decode()


@pytest.mark.parametrize(
    ("texts", "follows"),
    [
        (["RESET timezone"], """SET "timezone" TO 'Asia/Tokyo'"""),
        (["SET LOCAL timezone TO DEFAULT"], """SET LOCAL "timezone" TO 'Asia/Tokyo'"""),
        (["RESET search_path"], """SET "search_path" TO 'mine', 'Odd One'"""),
        (["RESET SESSION AUTHORIZATION"], """SET "role" TO 'app'"""),
        (["RESET timezone; SET timezone = 'UTC'"], ""),
        (["RESET timezone", "SELECT set_config('timezone', 'UTC', false)"], ""),
        (["SET timezone = 'UTC'; RESET timezone"], """SET "timezone" TO 'Asia/Tokyo'"""),
        (["RESET timezone; SET LOCAL timezone TO DEFAULT"], """SET "timezone" TO 'Asia/Tokyo'"""),
        (["SET LOCAL timezone TO DEFAULT; SET LOCAL timezone = 'UTC'"], ""),
        (
            ["RESET timezone", "SET LOCAL TIME ZONE INTERVAL '1' HOUR"],
            """SET "timezone" TO 'Asia/Tokyo';SET LOCAL TIME ZONE INTERVAL '1' HOUR""",
        ),
        (
            ["RESET search_path", "SELECT set_config('search_path', 'a, b', true)"],
            """SET "search_path" TO 'mine', 'Odd One';SET LOCAL "search_path" TO 'a', 'b'""",
        ),
        (["RESET work_mem"], ""),
    ],
)
def test_what_follows_in_a_transaction_block(texts: list[str], follows: str) -> None:
    assert inside(*texts) == follows


def test_outside_a_block_what_was_local_is_over() -> None:
    restored = taken_back({}, effects(b"SET LOCAL timezone TO DEFAULT"), STARTUP)
    assert follow_up(restored, STARTUP).outside == b""
    restored = taken_back({}, effects(b"DISCARD ALL; SET role = 'app'"), STARTUP)
    assert follow_up(restored, STARTUP).outside.count(b"set_config") == 2
