"""What is known of a lost exchange."""

from forebay.relay.loss import CUT_OFF, ENDS, STAYS, STAYS_ABORTED, WAITS, Loss


def test_at_first_nothing_was_sent() -> None:
    loss = Loss()
    assert (loss.sent, loss.kinds, loss.status, loss.word) == (False, [], ord("I"), None)
    assert loss.begin is None
    assert not hasattr(loss, "__dict__")


def test_outcomes_are_told_apart() -> None:
    assert len({WAITS, STAYS, STAYS_ABORTED, ENDS, CUT_OFF}) == 5
