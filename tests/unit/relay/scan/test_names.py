"""Looking for the names of listed functions in a text."""

import pytest

from forebay.relay.scan.names import FunctionNames, NamesInPieces

NAMES = FunctionNames([b"take_lock", b"f", b"Upper$1", b"x" * 63])


@pytest.mark.parametrize(
    "text",
    [
        *("take_lock", "SELECT app.TAKE_LOCK()", 'select "take_lock"()', "f", "a.f(", "'f'", "--f"),
        *("upper$1()", "é.f()", '"éf"', "x" * 63, "x" * 200, "f\n", "1,f"),
    ],
)
def test_named(text: str) -> None:
    assert NAMES.named_in(text.encode())


@pytest.mark.parametrize(
    "text",
    ["", "take_locks", "my_take_lock", "take lock", "ff", "f1", "1f", "f_", "f$", "x" * 62, "\0"],
)
def test_not_named(text: str) -> None:
    assert not NAMES.named_in(text.encode())


def test_pieces() -> None:
    pieces = NamesInPieces(NAMES)
    assert not pieces.feed(b"select app.take")
    assert not pieces.feed(b"_")
    assert not pieces.feed(b"lock")  # it may go on
    assert pieces.feed(b"\0")
    assert not NamesInPieces(NAMES).feed(b"a take_lock")


def test_many_names() -> None:
    many = [b"name_%d" % number for number in range(1000)]
    names = FunctionNames(many)
    assert all(names.named_in(b"SELECT %b()" % name) for name in many)
    assert not names.named_in(b"SELECT name_1000(), name_(), name_01()")
