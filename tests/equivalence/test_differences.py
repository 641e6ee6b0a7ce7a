"""What may differ is told from what may not."""

import pytest

from tests.equivalence.differences import are_same

FAILED = "E b'SERROR'"
DESCRIBED = ["1 b''", "t b'23'", FAILED, "Z b'I'"]


def test_a_describe_that_fails_may_fail_before_its_parameters() -> None:
    assert are_same(DESCRIBED, DESCRIBED)
    assert are_same(DESCRIBED, ["1 b''", FAILED, "Z b'I'"])
    other = "E b'another'"
    twice = [*DESCRIBED, "t b'23'", "T b'n'", "t b'23'", other, "Z b'I'"]
    rest = ["t b'23'", "T b'n'", other, "Z b'I'"]
    assert are_same(twice, ["1 b''", FAILED, "Z b'I'", *rest])
    assert are_same(twice, [*DESCRIBED, *rest])


def test_what_is_gone_may_fail_by_what_it_had_become() -> None:
    gone = "E b'SERROR\\x00C42P01\\x00Mrelation \"shape\" does not exist'"
    changed = "E b'SERROR\\x00C0A000\\x00Mcached plan must not change result type'"
    assert are_same([gone, "Z b'I'"], [changed, "Z b'I'"])
    assert not are_same([changed, "Z b'I'"], [gone, "Z b'I'"])
    assert not are_same([gone, "Z b'I'"], [FAILED, "Z b'I'"])


@pytest.mark.parametrize(
    ("direct", "shared"),
    [
        (["1 b''", FAILED, "Z b'I'"], DESCRIBED),
        (DESCRIBED, ["1 b''", "t b'25'", FAILED, "Z b'I'"]),
        (DESCRIBED, ["1 b''", "E b'another'", "Z b'I'"]),
        (["t b'23'", "T b'n'", "Z b'I'"], ["T b'n'", "Z b'I'"]),
        (["t b'23'", "T b'n'", FAILED], [FAILED]),
        (["t b'23'", "T b'n'", "t b'23'", FAILED], ["T b'n'", "t b'23'", FAILED]),
        (["t b'23'", FAILED], ["t b'23'"]),
        (["t b'23'"], []),
        ([], ["Z b'I'"]),
    ],
)
def test_anything_else_is_a_difference(direct: list[str], shared: list[str]) -> None:
    assert not are_same(direct, shared)
