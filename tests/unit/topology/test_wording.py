"""What is said names the server and the way out."""

from dataclasses import replace
from typing import get_args

import pytest

from forebay.topology import wording
from forebay.topology.reports import Failure, FailureKind, HintKind
from forebay.topology.writer import Past
from tests.unit.topology.drive import PRIMARY, PROMOTED, STANDBY, A, B, C


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_failures(kind: FailureKind) -> None:
    text = wording.failure_text(A, Failure(kind, "what it said."))
    assert text.startswith("a:5432 ")
    assert "(what it said)." in text
    assert text.endswith(".")
    assert "()" not in wording.failure_text(A, Failure(kind, ""))
    assert text in wording.mute_text(A, Failure(kind, "what it said."))


@pytest.mark.parametrize("kind", get_args(HintKind))
def test_hints(kind: HintKind) -> None:
    assert wording.hint_text(A, kind).startswith("a:5432 is asked whether it still writes: ")


def test_standings() -> None:
    past = Past()
    past.adopt(A, PROMOTED)
    for standing, report, words in [
        ("standby", STANDBY, "Promote it"),
        ("read_only", replace(PROMOTED, is_read_only=True), "default_transaction_read_only"),
        ("fenced", PRIMARY, "on timeline 3, which is over: 4 was seen"),
        ("foreign", replace(PROMOTED, system_id="99"), "system identifier 99, not 71"),
        ("untold", replace(PROMOTED, timeline=0), "pg_walfile_name()"),
    ]:
        assert past.standing(B, report) == standing
        text = wording.standing_text(B, report, past.standing(B, report), past)
        assert text.startswith("b:5432 ")
        assert words in text
    assert wording.standing_text(A, PROMOTED, "candidate", past) == ""


def test_different_clusters() -> None:
    text = wording.mixed_text({A: PRIMARY, B: replace(STANDBY, system_id="99")})
    assert "(a:5432: 71, b:5432: 99)" in text


def test_rivals() -> None:
    assert "and so does b:5432;" in wording.rival_text(A, [B])
    assert "and so do b:5432, c:5432;" in wording.rival_text(A, [B, C])


def test_what_servers_say_is_cut_to_a_line() -> None:
    assert wording.clipped("first\nsecond\x1b[31m.") == "first second [31m"
    assert len(wording.clipped("x" * 10_000)) == wording.MAX_FOREIGN_TEXT


def test_many_servers() -> None:
    assert wording.several(["One.", "Two."]) == "One. Two."
    assert wording.several([f"{n}." for n in range(7)]) == "0. 1. 2. 3. And 3 more."
