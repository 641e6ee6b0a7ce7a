"""Who may log in, and how wrong passwords are slowed."""

import tracemalloc

from forebay.net.credentials import Credentials, Throttle
from forebay.protocol import md5, scram


async def test_verifiers_are_derived_once() -> None:
    first = await Credentials.derive([("app", "secret", "scram-sha-256"), ("old", "x", "md5")])
    app, old = first.get("app"), first.get("old")
    assert app is not None
    assert old is not None
    verifier = app.verifiers[0]
    assert verifier == scram.make_verifier("secret", verifier.salt)
    assert old.md5_hashes == (md5.stored_hash("old", "x"),)
    assert first.get("other") is None
    second = await Credentials.derive(
        [("app", "secret", "scram-sha-256"), ("old", "y", "md5")], previous=first
    )
    assert second.get("app") is app
    assert second.get("old") is not old


async def test_several_passwords_share_a_salt() -> None:
    table = await Credentials.derive(
        [("app", "new", "scram-sha-256"), ("app", "old", "scram-sha-256")]
    )
    app = table.get("app")
    assert app is not None
    assert app.passwords == ("new", "old")
    assert len({verifier.salt for verifier in app.verifiers}) == 1


async def test_secrets_are_not_printed() -> None:
    table = await Credentials.derive([("app", "s3cret", "scram-sha-256"), ("old", "s3cret", "md5")])
    assert "s3cret" not in repr(table)
    assert md5.stored_hash("old", "s3cret") not in repr(table)


def test_delays_grow_up_to_a_bound() -> None:
    throttle = Throttle(first_delay_s=1, max_delay_s=5, forget_s=60)
    assert [throttle.failed("u", "a", now_s=0) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert throttle.failed("u", "b", now_s=0) == 1
    assert throttle.failed("v", "a", now_s=0) == 1
    assert throttle.wrong_passwords == 7
    for _ in range(2000):
        assert throttle.failed("u", "a", now_s=0) == 5


def test_delays_are_forgotten() -> None:
    throttle = Throttle(first_delay_s=1, max_delay_s=5, forget_s=60)
    assert [throttle.failed("u", "a", now_s=t) for t in (0, 60, 120.5)] == [1, 2, 1]
    throttle.failed("u", "a", now_s=121)
    throttle.succeeded("u", "a")
    assert throttle.failed("u", "a", now_s=121) == 1
    throttle.succeeded("never", "seen")


def test_the_table_is_bounded() -> None:
    throttle = Throttle(max_entries=3)
    for number in range(10):
        throttle.failed(f"user{number}", "a", now_s=0)
    assert len(throttle) == 3
    assert throttle.failed("user9", "a", now_s=0) > throttle.failed("user0", "a", now_s=0)


def test_names_that_nobody_has_do_not_fill_the_memory() -> None:
    """A startup packet has room for a name of ten thousand characters."""
    throttle = Throttle()
    tracemalloc.start()
    try:
        for number in range(1000):
            name = f"{number:010}" * 1000
            assert throttle.failed(name, "a", now_s=0) < throttle.failed(name, "a", now_s=0)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(throttle) == 1000
    assert kept < 1_000_000
    throttle.succeeded(name, "a")
    assert len(throttle) == 999
