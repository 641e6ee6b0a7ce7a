"""The books find what is planted: a loss, a double, a phantom."""

from forebay.demo.failover.books import Books, check
from forebay.demo.failover.reports import Report, write_id

TOLD = Report(
    acknowledged=[write_id(1, 1), write_id(1, 2)],
    refused=[write_id(2, 1)],
    unknown=[write_id(3, 1), write_id(3, 2)],
)


def row(client: int, sequence: int) -> tuple[str, str]:
    return str(client), str(sequence)


def test_all_is_as_it_was_told() -> None:
    rows = [row(1, 1), row(1, 2), row(3, 1)]  # of the unknown, either may be so
    assert check(TOLD, rows) == Books(lost=0, twice=0, phantoms=0)


def test_a_write_that_was_acknowledged_and_is_not_there() -> None:
    assert check(TOLD, [row(1, 2)]) == Books(lost=1, twice=0, phantoms=0)
    assert check(TOLD, []).lost == 2


def test_a_write_that_is_there_twice() -> None:
    rows = [row(1, 1), row(1, 2), row(1, 2)]
    assert check(TOLD, rows) == Books(lost=0, twice=1, phantoms=0)
    assert check(TOLD, [*rows, row(3, 2), row(3, 2)]).twice == 2  # unknown does not excuse it


def test_a_write_that_was_refused_and_is_there() -> None:
    assert check(TOLD, [row(1, 1), row(1, 2), row(2, 1)]) == Books(lost=0, twice=0, phantoms=1)
