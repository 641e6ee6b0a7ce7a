"""Process ids and cancel keys of clients."""

from itertools import islice

import pytest

from forebay.worker.sessions.cancel_keys import CLIENT_BITS, CancelKeys
from tests.harness.credentials import cancel_keys


def numbers(keys: CancelKeys, many: int) -> list[int]:
    return [keys.new_process_id(()) for _ in range(many)]


@pytest.mark.parametrize("worker", [0, 1, 1023, 1024, 70_000])
def test_a_process_id_begins_with_its_workers_number_and_is_one(worker: int) -> None:
    keys = cancel_keys(worker)
    keys._next = 2**CLIENT_BITS - 2
    found = numbers(keys, 4)
    assert {each >> CLIENT_BITS for each in found} == {worker % 1024}
    assert all(0 < each < 2**31 for each in found)
    assert len(set(found)) == 4


def test_no_process_id_is_zero_or_taken() -> None:
    keys = cancel_keys(0)
    keys._next = 0
    assert keys.new_process_id({1, 2}) == 3


def test_a_key_is_for_one_proxy_and_one_process_id_of_one_node() -> None:
    told = {
        cancel_keys(secret=secret, proxy=proxy).key(number, 2)
        for secret in (b"one", b"other")
        for proxy in ("app", "apps")
        for number in (7, 8)
    }
    assert len(told) == 8


def test_a_key_is_the_same_in_each_worker_of_a_node() -> None:
    assert cancel_keys(1).key(7, 2) == cancel_keys(2).key(7, 2)
    assert cancel_keys().key(7, 2)[:4] == cancel_keys().key(7, 0)
    assert list(islice(map(len, (cancel_keys().key(7, minor) for minor in (0, 2))), 2)) == [4, 32]
