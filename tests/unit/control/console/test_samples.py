from forebay.channel import PoolFigures
from forebay.control.console.samples import Samples
from forebay.node import WorkerUnavailableError
from tests.unit.control.fakes import FakeObserver


def counted(count: int) -> dict[str, list[PoolFigures]]:
    return {"app": [PoolFigures(database="d", user="u", queries=count)]}


async def test_averages_begin_with_the_last_but_one() -> None:
    observer = FakeObserver()
    samples = Samples(observer, lambda: ["app", "other"])

    def begins_with() -> float | None:
        found = samples.before("app")
        return None if found is None else found.databases["d"]["queries"]

    assert begins_with() is None
    for count, expected in ((1, 1), (2, 1), (3, 2)):
        observer.pools = counted(count)
        await samples.take()
        assert begins_with() == expected
    assert samples.before("other") is None


async def test_nobody_asks_or_nobody_answers() -> None:
    observer = FakeObserver()
    observer.failure = AssertionError("asked for nothing")
    await Samples(observer, list).take()
    observer.failure = WorkerUnavailableError("gone")
    samples = Samples(observer, lambda: ["app"])
    await samples.take()
    assert samples.before("app") is None
