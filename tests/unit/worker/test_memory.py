"""When memory is given back."""

import platform

import pytest

from forebay.worker.memory import CLIENTS_AT_LEAST, STATEMENT_BYTES_AT_LEAST, Ebb, malloc_trim


def test_most_must_have_left() -> None:
    ebb = Ebb(CLIENTS_AT_LEAST)
    assert not any(ebb.has_come(count) for count in (0, 5000, 3000, 2501))
    assert ebb.has_come(2500)
    assert not ebb.has_come(2500), "once is enough"
    assert not ebb.has_come(1251)
    assert ebb.has_come(0)
    assert not ebb.has_come(0)


def test_few_are_not_worth_it() -> None:
    ebb = Ebb(CLIENTS_AT_LEAST)
    assert not any(ebb.has_come(count) for count in (CLIENTS_AT_LEAST - 1, 0))
    assert not ebb.has_come(CLIENTS_AT_LEAST)
    assert ebb.has_come(0)


def test_glibc_can_do_it() -> None:
    trim = malloc_trim()
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    assert trim is not None
    assert trim() in (0, 1)


def test_what_few_have_prepared_is_worth_it() -> None:
    ebb = Ebb(STATEMENT_BYTES_AT_LEAST)
    sizes = [0, 48 << 20, 32 << 20]
    assert not any(map(ebb.has_come, sizes))
    assert ebb.has_come(16 << 20)
    assert ebb.has_come(0)
    assert not ebb.has_come(STATEMENT_BYTES_AT_LEAST - 1)
    assert not ebb.has_come(0)
    assert ebb.has_come(0, STATEMENT_BYTES_AT_LEAST), "it came and went between two looks"
