import pytest

from forebay.config.errors import Problem
from forebay.identity.policy.places import MAX_VALUES, Findings, Place, PolicyError, written


def place() -> Place:
    return Place(Findings(), "app.json", "statement 2")


def test_a_place_is_told_from_the_outside_in() -> None:
    here = place().below("Condition").below("IpAddress")
    here.report("is wrong")
    assert str(here) == "app.json: statement 2: Condition.IpAddress"
    assert here.findings.problems == [
        Problem("app.json", "statement 2: Condition.IpAddress", "is wrong")
    ]
    assert str(PolicyError(here.findings.problems)) == f"{here}: is wrong"


def test_a_string_or_several() -> None:
    here = place()
    assert here.strings("a") == ["a"]
    assert here.strings(["a", "b"]) == ["a", "b"]
    assert (here.findings.values, here.findings.problems) == (3, [])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "is an empty list"),
        (5, "is 5; it must be a string or a list of strings"),
        ([None], "is null; it must be a string"),
        ("", 'is ""; it must be a string'),
        ([["a"]], 'is ["a"]; it must be a string'),
        ("a" * 601, "has a value of over 600 characters"),
        ("a\n", "must not hold control characters"),
        ("\ud800", "must not hold control characters"),
    ],
)
def test_other_values(value: object, said: str) -> None:
    here = place()
    assert here.strings(value) == []
    (problem,) = here.findings.problems
    assert said in str(problem)


def test_values_are_counted_not_kept_beyond_the_limit() -> None:
    here = place()
    assert here.strings(["a"] * (MAX_VALUES + 1)) == []
    assert here.findings.values == MAX_VALUES + 1


def test_members() -> None:
    here = place()
    assert dict(here.members({"a": 1})) == {"a": 1}
    assert not here.findings.problems
    for value in ({}, [], "a", None):
        assert not here.members(value)
    assert len(here.findings.problems) == 4


def test_keys() -> None:
    here = place()
    here.check_keys({"Efect": 1, "Sid": 1}, ("Effect", "Sid"))
    (problem,) = here.findings.problems
    assert problem.key == "statement 2: Efect"
    assert "did you mean Effect?" in problem.text


def test_problems_are_bounded() -> None:
    here = place()
    here.strings([5] * 1_000)
    assert len(here.findings.problems) == 100


def test_values_in_words() -> None:
    assert written({"a": ["ü\n"]}) == '{"a": ["\\u00fc\\n"]}'
    assert len(written("a" * 1_000)) == 301
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert written(deep) == "nested deeply"
