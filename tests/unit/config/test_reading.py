"""Plain values into settings, every problem told."""

import math
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from forebay.config.reading import Reading, allowed, dotted, leaves, read_struct, struct_in


class Leaf(msgspec.Struct, kw_only=True):
    size: Annotated[int, Meta(ge=1, le=9)] = 5
    secret: str = ""


class Tree(msgspec.Struct, kw_only=True):
    name: str
    leaf: Leaf = msgspec.field(default_factory=Leaf)
    several: list[Leaf] = []
    words: dict[str, Literal["A", "B"]] = {}
    perhaps: Leaf | None = None
    named: dict[str, Leaf] = {}


def read(raw: object) -> tuple[Tree | None, list[str]]:
    reading = Reading("a.toml")
    found = read_struct(Tree, raw, ("tree",), reading)
    return found, [f"{each.key} {each.text}" for each in reading.problems]


def test_what_is_right() -> None:
    raw = {"name": "x", "leaf": {"size": 1}, "several": [{"size": 2}], "words": {"a.b": "A"}}
    tree, problems = read(raw)
    assert not problems
    assert tree == Tree(name="x", leaf=Leaf(size=1), several=[Leaf(size=2)], words={"a.b": "A"})


def test_everything_wrong_is_told_at_once() -> None:
    raw = {"nam": "x", "leaf": {"size": 10, "secret": 1}, "several": [{"size": "x"}, 3]}
    _, problems = read(raw)
    assert problems == [
        "tree.nam is not a known key; did you mean name?",
        "tree.name is missing; it must be a string",
        "tree.leaf.size is 10; it must be a whole number from 1 to 9",
        "tree.leaf.secret is a value of type int (not shown); it must be a string",
        'tree.several[0].size is "x"; it must be a whole number from 1 to 9',
        "tree.several[1] is 3; it must be a table",
    ]


def test_names_that_are_free() -> None:
    _, problems = read({"name": "x", "words": {"f": "C", "s": {"g": "A"}}})
    assert problems[0] == 'tree.words.f is "C"; it must be one of "A", "B"'
    assert "a name with a dot in it is quoted" in problems[1]


def test_tables_whose_names_are_free() -> None:
    tree, problems = read({"name": "x", "named": {"a.b": {"size": 3}, "c": {"size": 10}, "d": 1}})
    assert tree is not None
    assert tree.named == {"a.b": Leaf(size=3), "c": Leaf()}
    assert problems == [
        "tree.named.c.size is 10; it must be a whole number from 1 to 9",
        "tree.named.d is 1; it must be a table",
    ]
    assert read({"name": "x", "named": []})[1] == [
        "tree.named is []; it must be a table of tables: [tree.named.NAMED]"
    ]


def test_a_table_that_may_be_absent() -> None:
    tree, problems = read({"name": "x", "perhaps": {"size": 3}})
    assert not problems
    assert tree is not None
    assert tree.perhaps == Leaf(size=3)
    assert read({"name": "x"})[0] == Tree(name="x")
    assert read({"name": "x", "perhaps": {"size": 10}})[1] == [
        "tree.perhaps.size is 10; it must be a whole number from 1 to 9"
    ]
    assert read({"name": "x", "perhaps": 3})[1] == ["tree.perhaps is 3; it must be a table"]


def test_no_table_at_all() -> None:
    assert read(3) == (None, ["tree is 3; it must be a table"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_are_finite(value: float) -> None:
    class Time(msgspec.Struct):
        seconds: float = 1.0

    reading = Reading("a.toml")
    assert read_struct(Time, {"seconds": value}, (), reading) == Time()
    assert len(reading.problems) == 1


def test_a_check_says_nothing_of_keys_that_are_wrong_already() -> None:
    def check(leaf: Leaf) -> list[tuple[tuple[str | int, ...], str]]:
        return [(("size",), "is too small"), (("secret",), "is too short")]

    reading = Reading("a.toml", {Leaf: check})
    read_struct(Leaf, {"size": 10}, ("leaf",), reading)
    assert [each.key for each in reading.problems] == ["leaf.size", "leaf.secret"]
    assert "too small" not in str(reading.problems[0])


def test_paths() -> None:
    assert dotted(("proxies", "a.b", "auth", 0, "secret")) == 'proxies."a.b".auth[0].secret'
    assert ("several", 0, "size") in dict(leaves(Tree))
    assert ("named", "NAMED", "size") in dict(leaves(Tree))
    assert struct_in(list[Leaf]) is struct_in(dict[str, Leaf]) is Leaf
    assert struct_in(dict[str, str]) is None


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "true or false"),
        (int, "a whole number"),
        (Annotated[float, Meta(gt=0, le=300)], "a number above 0 up to 300"),
        (Annotated[float, Meta(ge=1)], "a number from 1"),
        (str | None, "a string"),
        (Annotated[str, Meta(max_length=5)], "a string of at most 5 characters"),
        (str | list[str], "a string or a list, each item a string"),
        (dict[str, Literal["A"]], 'a table of names, each with one of "A"'),
    ],
)
def test_what_is_allowed_in_words(annotation: object, words: str) -> None:
    assert allowed(annotation) == words
