"""A way to one receiver, which may be away."""

import asyncio
import logging
import threading

import pytest

from forebay.metrics.lane import PATIENCE_S, WAITING, DeliveryError, Lane


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.delays: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        self.delays.append(delay_s)
        self.now += delay_s


class Receiver:
    """Takes parts, or fails with what ``failures`` has first."""

    def __init__(self, *failures: DeliveryError) -> None:
        self.failures = list(failures)
        self.taken: list[str] = []
        self.always: DeliveryError | None = None

    def deliver(self, part: str) -> None:
        if self.always is not None:
            raise self.always
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(part)


async def finished(lane: Lane[str]) -> None:
    assert lane._task is not None
    await lane._task


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lane_to(receiver: Receiver, clock: Clock) -> Lane[str]:
    return Lane("Somebody", receiver.deliver, sleep=clock.sleep, now=lambda: clock.now)


async def test_parts_are_delivered_in_their_order(clock: Clock) -> None:
    receiver = Receiver()
    lane = lane_to(receiver, clock)
    lane.offer(["a", "b"])
    lane.offer(["c"])
    await finished(lane)
    lane.offer(["d"])
    await finished(lane)
    assert receiver.taken == ["a", "b", "c", "d"]
    assert (lane.delivered, lane.dropped) == (3, 0)
    lane.close()


async def test_what_may_pass_is_tried_again_and_what_is_delivered_is_not(clock: Clock) -> None:
    receiver = Receiver()
    lane = lane_to(receiver, clock)
    lane.offer(["a"])
    await finished(lane)
    receiver.failures = [DeliveryError("throttled")] * 3
    lane.offer(["b", "c"])
    await finished(lane)
    assert receiver.taken == ["a", "b", "c"]
    assert lane.dropped == 0
    assert len(clock.delays) == 3
    assert all(
        0.5 * most <= delay <= most for delay, most in zip(clock.delays, (1, 2, 4), strict=True)
    )
    lane.close()


async def test_it_is_tried_for_less_than_a_minute_and_told_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "forebay.metrics")
    receiver = Receiver()
    receiver.always = DeliveryError("it is away")
    lane = lane_to(receiver, clock)
    for _ in range(3):
        began = clock.now
        lane.offer(["a"])
        await finished(lane)
        assert clock.now - began <= PATIENCE_S
    assert lane.dropped == 3
    assert [each.getMessage() for each in caplog.records] == [
        "Somebody does not take metrics, which are dropped until it does: it is away"
    ]
    receiver.always = None
    lane.offer(["b"])
    await finished(lane)
    assert caplog.records[-1].getMessage() == "Somebody takes metrics again"
    assert caplog.records[-1].__dict__["fields"] == {"dropped": 3}
    lane.close()


async def test_what_does_not_pass_is_not_tried_again(clock: Clock) -> None:
    receiver = Receiver(DeliveryError("denied", transient=False))
    lane = lane_to(receiver, clock)
    lane.offer(["a", "b"])
    await finished(lane)
    assert (receiver.taken, lane.dropped, clock.delays) == ([], 1, [])
    lane.close()


async def test_who_takes_for_ever_gets_no_queue_that_grows(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    taken: list[str] = []

    def deliver(part: str) -> None:
        begun.set()
        assert go_on.wait(60)
        taken.append(part)

    lane = Lane("Somebody", deliver, sleep=clock.sleep, now=lambda: clock.now)
    lane.offer(["0"])
    await asyncio.to_thread(begun.wait, 60)
    for number in range(1, 101):
        lane.offer([str(number)])
    assert lane.dropped == 100 - WAITING
    assert len(caplog.records) == 1
    go_on.set()
    await finished(lane)
    assert taken == ["0", "99", "100"]
    lane.close()


async def test_what_is_left_when_it_is_closed_is_dropped(clock: Clock) -> None:
    receiver = Receiver()
    lane = lane_to(receiver, clock)
    lane.offer(["a"])
    lane.close()
    assert lane._task is not None
    with pytest.raises(asyncio.CancelledError):
        await lane._task
    assert receiver.taken == []
