"""What a client binds in binary, and where programs end because nobody was told something."""

import struct

import pytest

from tests.equivalence.wire import CHANGED, FLOAT8, INT8, Op, Told, encoded, flights, is_answered
from tests.harness.raw import Message, bind

S: Op = ("S",)
TOLD = [
    Message("1", b""),
    Message("t", struct.pack("!hI", 1, INT8)),
    Message("n", b""),
    Message("Z", b"I"),
]
FAILED = [Message("E", b"SERROR\0C0A000\0M" + CHANGED + b"\0"), Message("Z", b"I")]


def test_values_are_of_the_types_that_were_told() -> None:
    told = Told()
    told.learn((("P", "q", "..."), ("D", "S", "q"), S), TOLD)
    ((data, _),) = flights((("B", "", "q", "42"), S), told)
    assert struct.pack("!iq", 8, 42) in data
    ((data, _),) = flights((("B", "", "q", "42"), S), None)
    assert bind("42", name="q") in data
    told.learn((("P", "q", "..."), S), [Message("1", b""), Message("Z", b"I")])
    ((data, _),) = flights((("B", "", "q", "42"), S), told)
    assert struct.pack("!i", 2) + b"42" in data


@pytest.mark.parametrize(("value", "oid"), [("x", INT8), ("x", FLOAT8), ("42", 600)])
def test_what_has_no_binary_form_stays_text(value: str, oid: int) -> None:
    assert encoded(value, oid) is None


@pytest.mark.parametrize(
    ("described", "excused"), [(("D", "S", "q"), False), (("D", "P", ""), False), (None, True)]
)
def test_only_results_that_nobody_was_told_are_excused(described: Op | None, excused: bool) -> None:
    told = Told()
    ops = [("P", "q", "..."), ("B", "", "q")]
    answer = [Message("1", b""), Message("2", b"")]
    if described is not None:
        ops.append(described)
        answer += TOLD[1:3] if described[1] == "S" else [Message("T", b"")]
    told.learn((*ops, S), [*answer, Message("Z", b"I")])
    told.learn((("B", "", "q"), ("E", "", "0"), S, ("E", "", "0"), S), FAILED * 2)
    assert told.excuses(["E"], ["2"]) is excused


def test_types_that_are_told_late_may_be_others() -> None:
    told = Told()
    told.learn((("P", "q", "..."), S), [Message("1", b""), Message("Z", b"I")])
    told.learn((("D", "S", "q"), S), TOLD[1:])
    assert told.excuses(["t 1", "n"], ["t 2", "n"])
    assert not told.excuses(["t 1", "n"], ["t 1", "T"])
    told.learn((("D", "S", "q"), S), TOLD[1:])
    assert not told.excuses(["t 1", "n"], ["t 2", "n"])


@pytest.mark.parametrize(("sqlstate", "excused"), [("42P01", True), ("22012", False)])
def test_a_description_of_what_has_lost_its_table_is_excused(sqlstate: str, excused: bool) -> None:
    direct = ["t b'\\x00\\x01'", "n b''", "Z b'I'"]
    shared = [f"E b'SERROR\\x00VERROR\\x00C{sqlstate}\\x00Mgone'", "Z b'I'"]
    assert Told().excuses(direct, shared) == excused
    assert not Told().excuses([shared[0], "Z b'I'"], ["n b''", "Z b'I'"])


@pytest.mark.parametrize(
    ("asked", "heard", "lacking"),
    [
        ("PBDES", "12TDDCZ", "Z"),
        ("PDBE", "1tT2DC", "C"),
        ("PBEBES", "1EZ", "Z"),
        ("PBE", "E", "E"),
        ("CPS" * 2, "31Z3EZ", "Z"),
        ("Q", "TDCSEZ", "Z"),
        ("PQBES", "1TDCZ2DCZ", "Z"),
        ("PQBES", "1ZEZ", "Z"),
        ("PBQBES", "1EZ", "Z"),
        ("PBQS" + "Q", "1EZ" + "EZ", "Z"),
    ],
)
def test_what_is_answered(asked: str, heard: str, lacking: str) -> None:
    assert is_answered(asked, heard)
    assert not is_answered(asked, heard[: heard.rindex(lacking)])


def test_a_query_that_was_skipped_has_no_answer_to_learn_from() -> None:
    told = Told()
    ops: list[Op] = [("B", "", "none"), ("Q", "SELECT 1"), S, ("P", "q", "..."), ("D", "S", "q"), S]
    told.learn(ops, [Message("E", b"SERROR\0"), Message("Z", b"I"), *TOLD])
    assert told.types == {"q": (INT8,)}
    ops[0] = ("P", "", "...")
    told = Told()
    told.learn(ops, [Message("1", b""), *[Message("Z", b"I")] * 2, *TOLD])
    assert told.types == {"q": (INT8,)}
