import pytest

from bench.load import Answer, copy_messages, shares


@pytest.mark.parametrize(("total", "parts"), [(10, 3), (3, 4), (5000, 4), (0, 2)])
def test_shares_add_up_and_are_even(total: int, parts: int) -> None:
    divided = shares(total, parts)
    assert len(divided) == parts
    assert sum(divided) == total
    assert max(divided) - min(divided) <= 1


def test_answers_merge() -> None:
    whole = Answer(1, 2.0, ["a"], [5])
    whole.merge(Answer(2, 1.0, ["b"], [6, 7]))
    assert whole == Answer(3, 2.0, ["a", "b"], [5, 6, 7])
    whole.merge(Answer(errors=list("cdefgh")))
    assert whole.errors == list("abcde")


def test_copy_messages_frame_whole_rows() -> None:
    text = b""
    for message in copy_messages(100):
        assert message[:1] == b"d"
        assert int.from_bytes(message[1:5], "big") == len(message) - 1
        text += message[5:]
    rows = text.decode().splitlines()
    assert [row.split("\t")[0] for row in rows] == [str(number) for number in range(1, 101)]
    assert text.endswith(b"\n")
