"""What is believed while messages are under way."""

import pytest

from tests.unit.relay.beliefs import BELIEFS, Pipeline


@pytest.fixture(params=sorted(BELIEFS))
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return Pipeline(BELIEFS[request.param])


def test_what_is_sent_is_believed_and_then_confirmed(pipeline: Pipeline) -> None:
    pipeline.send((pipeline.names, "a", 1))
    assert pipeline.names.get("a") == 1
    assert pipeline.names.confirmed == {}
    pipeline.unanswered.done()
    assert pipeline.names.confirmed == {"a": 1}
    assert not pipeline.names.is_changing()


def test_what_fails_is_not_believed_any_more(pipeline: Pipeline) -> None:
    pipeline.names.settle("a", 1)
    pipeline.send((pipeline.names, "a", None))
    pipeline.send((pipeline.names, "a", 2))
    assert pipeline.names.get("a") == 2
    pipeline.unanswered.failed(2, True, False)
    assert pipeline.names.get("a") == 1


def test_a_newer_change_of_the_same_survives_the_failure_of_an_older_one(
    pipeline: Pipeline,
) -> None:
    pipeline.send((pipeline.names, "a", 1))
    pipeline.end_batch()
    pipeline.send((pipeline.names, "a", 2))
    pipeline.unanswered.failed(1, True, False)
    assert pipeline.names.get("a") == 2
    pipeline.unanswered.done()
    assert pipeline.names.confirmed == {"a": 2}


def test_what_fails_itself_has_consequences_and_what_is_skipped_has_none(
    pipeline: Pipeline,
) -> None:
    pipeline.unnamed.settle(None, "old")
    pipeline.send((pipeline.unnamed, None, "new", None))
    assert pipeline.unnamed.now() == "new"
    pipeline.unanswered.failed(1, False, False)
    assert pipeline.unnamed.now() == "old"
    pipeline.send((pipeline.unnamed, None, "new", None))
    pipeline.unanswered.failed(1, True, False)
    assert pipeline.unnamed.now() is None


@pytest.mark.parametrize("cut_short", [False, True])
def test_a_failure_that_says_nothing_of_the_message(pipeline: Pipeline, cut_short: bool) -> None:
    pipeline.names.settle("a", 1)
    pipeline.send((pipeline.names, "a", pipeline.keep, None, True))
    assert pipeline.names.get("a") == 1
    pipeline.unanswered.failed(1, True, cut_short)
    assert pipeline.names.get("a") == (1 if cut_short else None)


def test_all_ends_and_what_is_sent_behind_begins(pipeline: Pipeline) -> None:
    pipeline.names.settle("a", 1)
    pipeline.names.settle("b", 1)
    pipeline.send((pipeline.names, pipeline.all, None))
    pipeline.send((pipeline.names, "a", 2))
    assert pipeline.names.believed() == {"a": 2}
    pipeline.unanswered.done()
    assert pipeline.names.believed() == {"a": 2}
    pipeline.unanswered.failed(1, True, False)
    assert pipeline.names.believed() == {}


def test_who_comes_in_a_later_batch_does_not_know(pipeline: Pipeline) -> None:
    batch = pipeline.unanswered.batch
    pipeline.names.settle("b", 1)
    pipeline.send((pipeline.names, "a", 1), (pipeline.unnamed, None, "new"))
    assert not pipeline.names.is_uncertain("a", batch)
    assert pipeline.names.is_uncertain("a", batch + 1)
    assert pipeline.unnamed.is_uncertain(batch + 1)
    assert not pipeline.names.is_uncertain("b", batch + 1)
    pipeline.unanswered.done()
    assert not pipeline.names.is_uncertain("a", batch + 1)
    assert not pipeline.unnamed.is_uncertain(batch + 1)


def test_what_may_end_all_is_not_believed_to_and_makes_all_uncertain(pipeline: Pipeline) -> None:
    pipeline.names.settle("a", 1)
    batch = pipeline.unanswered.batch
    pipeline.send((pipeline.names, pipeline.all, pipeline.unknown))
    assert pipeline.names.get("a") == 1
    assert pipeline.names.is_uncertain("a", batch + 1)
    assert pipeline.names.is_uncertain("b", batch + 1)
    pipeline.unanswered.done()
    assert pipeline.names.get("a") == 1
    assert not pipeline.names.is_uncertain("a", batch + 1)


def test_what_is_not_going_to_be_answered_is_forgotten(pipeline: Pipeline) -> None:
    pipeline.names.settle("a", 1)
    pipeline.send((pipeline.names, "a", 2))
    pipeline.send((pipeline.names, pipeline.all, None))
    pipeline.send((pipeline.unnamed, None, "new", None))
    pipeline.unanswered.forget()
    assert pipeline.names.believed() == {"a": 1}
    assert not pipeline.names.is_changing()
    assert pipeline.unnamed.now() is None


def test_a_long_chain_of_messages_can_be_dropped(pipeline: Pipeline) -> None:
    for number in range(100_000):
        pipeline.send((pipeline.names, number, 1))
    pipeline.unanswered.forget()
    assert pipeline.unanswered.first is None
