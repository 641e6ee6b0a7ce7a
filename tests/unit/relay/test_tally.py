"""What a micro-pool has counted."""

from forebay.relay import Tally

NAMES = [name for name in dir(Tally()) if not name.startswith("_") and name != "add"]


def test_it_begins_with_nothing() -> None:
    assert {getattr(Tally(), name) for name in NAMES} == {0}


def test_all_of_another_one_is_counted_in() -> None:
    one, other = Tally(), Tally()
    for number, name in enumerate(NAMES, 1):
        setattr(one, name, 100)
        setattr(other, name, number)
    one.add(other)
    assert [getattr(one, name) for name in NAMES] == [100 + n for n, _ in enumerate(NAMES, 1)]
    assert [getattr(other, name) for name in NAMES] == [n for n, _ in enumerate(NAMES, 1)]
