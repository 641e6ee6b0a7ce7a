"""What a node answers those who look at it: what may be long in parts of a bounded size."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol, TypeVar

from forebay.channel import ClientRow, ProxyView
from forebay.control.messages import (
    ClientsAnswer,
    ClientsRequest,
    EventsAnswer,
    EventsRequest,
    FiguresAnswer,
    FiguresRequest,
    LookAnswer,
    LookRequest,
    PoolsAnswer,
    PoolsRequest,
    ViewAnswer,
    ViewRequest,
)
from forebay.node.events import Events
from forebay.node.processes import NodeFigures

T = TypeVar("T")

# Rows in one answer; the longest has a few hundred bytes.
ROWS_AT_ONCE = 500


class Observed(Protocol):
    """What is asked (`forebay.node.observer.Observer`). Raises WorkerUnavailableError."""

    events: Events

    async def figures(self, *, pools: bool = False) -> NodeFigures:
        """What has been counted."""

    async def view(self) -> Mapping[str, ProxyView]:
        """Who holds, who waits, what pins."""

    def clients(self, proxy: str) -> AsyncIterator[ClientRow]:
        """The clients of one proxy."""


def named(proxies: Sequence[str], name: str) -> list[str]:
    """The proxies that a request is about: the one that it names, or all. Raises ValueError."""
    if not name:
        return list(proxies)
    if name not in proxies:
        raise ValueError(f"there is no proxy {name!r}: there is {in_words(proxies)}")
    return [name]


def in_words(proxies: Sequence[str]) -> str:
    """Names, as part of a sentence."""
    return ", ".join(sorted(proxies)) or "none"


async def look(
    observed: Observed, proxies: Sequence[str], request: LookRequest
) -> AsyncIterator[LookAnswer]:
    """The answers to a request. ``proxies``: those of the node. Raises ValueError for a proxy that
    is none of them, and WorkerUnavailableError."""
    match request:
        case FiguresRequest(id=number):
            yield FiguresAnswer(id=number, figures=await observed.figures())
        case ViewRequest(id=number, proxy=proxy):
            found = await observed.view()
            names = [each for each in named(proxies, proxy) if each in found]
            for name in names[:-1]:
                yield ViewAnswer(id=number, views={name: found[name]}, more=True)
            yield ViewAnswer(id=number, views={name: found[name] for name in names[-1:]})
        case PoolsRequest(id=number, proxy=proxy):
            counted = (await observed.figures(pools=True)).counted.proxies
            for name in named(proxies, proxy):
                pools = counted[name].pools if name in counted else []
                for part in parts(pools):
                    yield PoolsAnswer(id=number, proxy=name, pools=part, more=True)
            yield PoolsAnswer(id=number, proxy="", pools=[])
        case ClientsRequest(id=number, proxy=proxy):
            for name in named(proxies, proxy):
                async for rows in gathered(observed.clients(name)):
                    yield ClientsAnswer(id=number, proxy=name, clients=rows, more=True)
            yield ClientsAnswer(id=number, proxy="", clients=[])
        case EventsRequest(id=number, after=after):
            yield EventsAnswer(id=number, events=observed.events.since(after))


def parts(rows: Sequence[T]) -> list[list[T]]:
    """The same rows, so many at once as one answer takes."""
    return [list(rows[start : start + ROWS_AT_ONCE]) for start in range(0, len(rows), ROWS_AT_ONCE)]


async def gathered(rows: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    """The same rows, so many at once as one answer takes."""
    part: list[T] = []
    async for row in rows:
        part.append(row)
        if len(part) == ROWS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part
