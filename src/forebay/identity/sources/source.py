"""What every source of secrets looks like, and what it hands over.

A source is written as a text: ``file:PATH`` (JSON, or a directory with the files ``username`` and
``password``), ``env:NAME``, ``given:NAME`` (handed over by a URL or a program), ``userlist:PATH``
(PgBouncer's), the ARN of a secret in AWS Secrets Manager, or ``secretsmanager:NAME``.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Protocol

MAX_SECRET_BYTES: Final = 65_536
"""Secrets Manager's own limit for one secret."""
MAX_USERLIST_BYTES: Final = 8 * 1024 * 1024
"""Some 40,000 users with SCRAM secrets."""

_FORMS: Final = ("file:", "env:", "given:", "userlist:", "secretsmanager:", "arn:")


@dataclass(frozen=True, slots=True)
class Versions:
    """What a source holds, by staging label (AWSCURRENT, AWSPREVIOUS, AWSPENDING); bytes as they
    were read. Its repr shows none of them.

    ``pending`` is None unless a rotation is under way. ``version_id`` is the current one's, ""
    where the source has none; such a source has no labels either, so both others are None.
    ``age_s``: for how many seconds the current version has been the current one, as far as the
    source can tell, else None.
    """

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)
    pending: bytes | None = field(default=None, repr=False)
    version_id: str = ""
    age_s: float | None = None


class SourceError(Exception):
    """A source can't be read. ``sentence`` says why and what to do, without the source's name and
    nothing of what it holds. ``transient``: it may well work later, with nobody doing anything."""

    def __init__(self, sentence: str, *, transient: bool = False) -> None:
        self.sentence = sentence
        self.transient = transient
        super().__init__(sentence)


class Source(Protocol):
    """One place that a secret is read from."""

    @property
    def source(self) -> str:
        """The text that names it."""

    @property
    def is_remote(self) -> bool:
        """Whether reading it costs a request to another machine, so that it is not to be done each
        second."""

    async def fetch(self) -> Versions:
        """Reads what it holds now. Raises SourceError."""

    def fingerprint(self) -> Hashable:
        """Another value when a file may have changed since; None where that can't be told.

        It may block as `stat` does."""


def shown(source: str) -> str:
    """The source as it may be printed: what has none of the known forms may be a secret itself."""
    return source if source.startswith(_FORMS) else "a secret"
