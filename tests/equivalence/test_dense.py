"""The programs of ``dense`` are dense: what they are there for happens in them, again and again."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import pytest

from tests.equivalence import dense, statements
from tests.equivalence.dense import CROWDS
from tests.equivalence.lanes import Step

SEEDS = range(60)
LENGTH = 12

Program = Sequence[Step]


def _dense() -> list[list[Step]]:
    return [dense.program(seed, LENGTH) for seed in SEEDS]


def _sparse() -> list[list[Step]]:
    return [statements.program(seed, 9, 14) for seed in SEEDS]


def _share(found: Iterable[bool]) -> float:
    counted = Counter(found)
    return counted[True] / counted.total()


def _parsed(program: Program) -> list[tuple[int, str, str]]:
    """Who prepares which name, as which text."""
    return [(step.lane, *op[1:3]) for step in program for op in step.ops if op[0] == "P"]


def _names_again(program: Program) -> list[bool]:
    """Of each Parse whether the same client has prepared the same name as something else before."""
    found: list[bool] = []
    texts: dict[tuple[int, str], set[str]] = defaultdict(set)
    for lane, name, text in _parsed(program):
        found.append(bool(texts[lane, name] - {text}))
        texts[lane, name].add(text)
    return found


def _texts_shared(program: Program) -> list[bool]:
    """Of each Parse whether another client prepares the same text under the same name."""
    lanes: dict[tuple[str, str], set[int]] = defaultdict(set)
    for lane, name, text in _parsed(program):
        lanes[name, text].add(lane)
    return [len(lanes[name, text]) > 1 for _, name, text in _parsed(program)]


def _hands_changed(program: Program) -> list[bool]:
    """Of each two steps whether they are of two clients."""
    return [one.lane != other.lane for one, other in pairwise(program)]


def _long_batches(program: Program) -> list[bool]:
    """Of each batch whether it is of several Syncs."""
    batches = [step.ops for step in program if step.ops[0][0] not in ("query", "connect")]
    return [ops.count(("S",)) > 1 for ops in batches]


MEASURES: dict[Callable[[Program], list[bool]], float] = {
    _names_again: 0.7,
    _texts_shared: 0.6,
    _hands_changed: 0.5,
    _long_batches: 0.8,
}


def _measured(measure: Callable[[Program], list[bool]], programs: list[list[Step]]) -> float:
    return _share(is_so for program in programs for is_so in measure(program))


@pytest.mark.parametrize(("measure", "least"), MEASURES.items())
def test_programs_are_dense(measure: Callable[[Program], list[bool]], least: float) -> None:
    assert _measured(measure, _dense()) >= least


@pytest.mark.parametrize("measure", [_names_again, _texts_shared, _long_batches])
def test_others_would_not_pass(measure: Callable[[Program], list[bool]]) -> None:
    assert _measured(measure, _sparse()) < MEASURES[measure]


def test_each_name_is_prepared_more_than_once_by_nearly_each_client() -> None:
    counts = [Counter((lane, name) for lane, name, _ in _parsed(program)) for program in _dense()]
    assert _share(count > 1 for counted in counts for count in counted.values()) >= 0.85


def test_most_texts_of_a_program_are_prepared_by_several_clients() -> None:
    found: list[bool] = []
    for seed, program in zip(SEEDS, _dense(), strict=True):
        parsed = _parsed(program)
        for text, _ in dense.drawn(random.Random(seed)).prepared[:3]:
            found.append(len({lane for lane, _, other in parsed if other == text}) > 1)
    assert _share(found) >= 0.9


@pytest.mark.parametrize(
    ("kind", "start", "least"),
    [
        ("Q", "", 2.0),
        ("H", "", 4.0),
        ("C", "S", 10.0),
        ("D", "", 15.0),
        ("connect", "", 2.5),
        ("query", "BEGIN", 1.0),
        ("query", "SET ", 1.0),
        ("query", "SET LOCAL ", 0.2),
        ("query", "SELECT set_config(", 0.4),
        ("query", "D", 1.5),
        ("P", "SAVEPOINT", 0.3),
        ("P", "DISCARD", 0.4),
        ("P", "DEALLOCATE", 0.2),
        ("P", "ROLLBACK TO", 0.2),
    ],
)
def test_what_stands_in_a_program(kind: str, start: str, least: float) -> None:
    """So many on average: messages of the kind, and texts that begin so."""
    ops = [op for program in _dense() for step in program for op in step.ops if op[0] == kind]
    found = [op for op in ops if not start or any(word.startswith(start) for word in op[1:])]
    assert len(found) >= least * len(SEEDS)


@pytest.mark.parametrize("number", range(len(CROWDS)))
def test_there_are_more_clients_than_connections(number: int) -> None:
    crowd = dense.crowd(number)
    assert crowd.connections < crowd.lanes == len({step.lane for step in dense.program(number, 9)})
    assert crowd.together > crowd.connections
