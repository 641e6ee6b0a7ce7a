"""Asking the node, as everything in a worker does it that has a question."""

from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class AskNode(Protocol):
    """Calls of forebay.channel.Calls.ask."""

    async def __call__(self, request: Any, expected: type[T], timeout_s: float, /) -> T:
        """The answer to a request, which is of the expected type, within a time in seconds. Raises
        CallError: the node refuses, is silent or is gone."""
