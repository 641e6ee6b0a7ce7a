"""What is remembered of tokens, and for how long."""

from forebay.identity.remembered import Remembered


def test_until_its_end() -> None:
    remembered: Remembered[str] = Remembered()
    digest = remembered.digest(b"token")
    assert remembered.get(digest, 5) is None
    remembered.put(digest, "value", 3, 10)
    assert remembered.get(remembered.digest(b"token"), 9.9) == "value"
    assert remembered.get(remembered.digest(b"Token"), 5) is None
    assert remembered.get(digest, 10) is None
    assert len(remembered) == 0
    remembered.put(digest, "value", 3, 10)
    assert remembered.get(digest, 2) is None  # the clock was set back


def test_no_text_and_no_hash_that_others_could_make() -> None:
    one, other = Remembered[int](), Remembered[int]()
    assert one.digest(b"token") != other.digest(b"token")
    assert one.digest(b"ab", b"c") != one.digest(b"a", b"bc")
    one.put(one.digest(b"hunter2"), 1, 0, 1)
    assert "hunter2" not in repr(vars(one))


def test_the_least_recently_used_are_forgotten() -> None:
    remembered: Remembered[int] = Remembered(2)
    digests = [remembered.digest(bytes([number])) for number in range(3)]
    for number in (0, 1):
        remembered.put(digests[number], number, 0, 10)
    assert remembered.get(digests[0], 1) == 0
    remembered.put(digests[2], 2, 0, 10)
    assert [remembered.get(digest, 1) for digest in digests] == [0, None, 2]
    remembered.forget(digests[0])
    remembered.forget(digests[1])
    assert len(remembered) == 1
