"""What a request and its answer travel in. Each end numbers the calls of its own."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True, tag="call"):
    """Answered by an Answer, or by Failed, with the same ``id``."""

    id: int
    request: T


class Answer(msgspec.Struct, Generic[T], frozen=True, kw_only=True, tag="answer"):
    """What came of a call."""

    id: int
    result: T


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """Why nothing came of a call. Holds no secret."""

    id: int
    reason: str
