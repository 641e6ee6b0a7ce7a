"""Secrets in AWS Secrets Manager, with their versions.

DescribeSecret says which version has which staging label, and so whether anything has changed;
a version's value never changes, so each is fetched once. A role that may only GetSecretValue, as
RDS Proxy's own, is served by asking for each label.

Labels that mean no rotation is under way: AWSPENDING on the current version (AWS's rotation
functions leave it there at the end), on the previous one (a later change was made by hand), or on
one older than the current one.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from forebay.identity.sources.aws import DeniedError, MissingError, SecretsManager
from forebay.identity.sources.source import SourceError, Versions

CURRENT: Final = "AWSCURRENT"
PREVIOUS: Final = "AWSPREVIOUS"
PENDING: Final = "AWSPENDING"
DENIED_FOR_S: Final = 3600.0
"""After DescribeSecret was denied it is tried again: each try is an event in CloudTrail."""

_ARN: Final = re.compile(
    r"arn:aws[a-z-]{0,16}:secretsmanager:([a-z0-9-]{1,32}):[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}"
)
_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_NO_VALUE: Final = "has no current value: give it one"
_NOT_AWS: Final = "what answered is not Secrets Manager: see AWS_ENDPOINT_URL"


@dataclass(frozen=True, slots=True)
class _Version:
    """One version's value. Times are seconds since 1970."""

    version_id: str
    content: bytes = field(repr=False)
    created_at_s: float | None


class AwsSource:
    """``arn:aws…:secretsmanager:…`` and ``secretsmanager:NAME``."""

    is_remote = True

    def __init__(
        self,
        source: str,
        manager: SecretsManager,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises SourceError if it is no name of a secret."""
        self.source = source
        self._secret_id, self._region = secret_id(source)
        self._manager = manager
        self._wall_clock = wall_clock
        self._clock = clock
        self._known: dict[str, _Version] = {}  # by version id: what the last fetch handed over
        self._describe_from_s = -float("inf")

    async def fetch(self) -> Versions:
        """Raises SourceError."""
        described = await self._describe()
        if described is None:
            found, changed_at_s = await self._by_label(), None
        else:
            found, changed_at_s = await self._by_id(described)
        current = found[CURRENT]
        if current is None:
            raise MissingError(_NO_VALUE)
        self._known = {each.version_id: each for each in found.values() if each is not None}
        pending = found[PENDING]
        if pending is not None and _is_over(pending, current, found[PREVIOUS]):
            pending = None
        changed_at_s = current.created_at_s if changed_at_s is None else changed_at_s
        return Versions(
            current.content,
            _content(found[PREVIOUS]),
            _content(pending),
            current.version_id,
            None if changed_at_s is None else max(0.0, self._wall_clock() - changed_at_s),
        )

    def fingerprint(self) -> None:
        return None

    async def _describe(self) -> Mapping[str, Any] | None:
        """DescribeSecret's answer; None if the role may not ask. Raises SourceError."""
        if self._clock() < self._describe_from_s:
            return None
        try:
            answer = await self._manager.call(
                self._region, "describe_secret", SecretId=self._secret_id
            )
        except DeniedError:
            self._describe_from_s = self._clock() + DENIED_FOR_S
            return None
        if answer.get("DeletedDate") is not None:
            raise SourceError(
                "is deleted, or will be: bring it back with aws secretsmanager restore-secret"
            )
        return answer

    async def _by_id(
        self, described: Mapping[str, Any]
    ) -> tuple[dict[str, _Version | None], float | None]:
        """The versions, and when the secret was changed last. Raises SourceError."""
        stages = described.get("VersionIdsToStages")
        if not isinstance(stages, dict):
            if described.get("ARN"):
                raise MissingError(_NO_VALUE)
            raise SourceError(_NOT_AWS, transient=True)
        ids = {stage: version_id for version_id, each in stages.items() for stage in each}
        wanted = [ids.get(stage) for stage in (CURRENT, PREVIOUS, PENDING)]
        current, previous, pending = await asyncio.gather(
            *(self._version(version_id) for version_id in wanted)
        )
        if current is None and wanted[0] is not None:  # it was moved or removed in between
            raise MissingError(_NO_VALUE, transient=True)
        found = {CURRENT: current, PREVIOUS: previous, PENDING: pending}
        return found, _seconds(described.get("LastChangedDate"))

    async def _version(self, version_id: str | None) -> _Version | None:
        """None if it is not there (the label of a rotation can come before its value)."""
        if version_id is None:
            return None
        if version_id in self._known:
            return self._known[version_id]
        try:
            return await self._get(VersionId=version_id)
        except MissingError:
            return None

    async def _by_label(self) -> dict[str, _Version | None]:
        """The versions, asked for by label: for a role that may not DescribeSecret."""
        current = await self._get(VersionStage=CURRENT)
        others: list[_Version | None] = []
        for stage in (PREVIOUS, PENDING):
            try:
                others.append(await self._get(VersionStage=stage))
            except MissingError:
                others.append(None)
        return {CURRENT: current, PREVIOUS: others[0], PENDING: others[1]}

    async def _get(self, **which: str) -> _Version:
        answer = await self._manager.call(
            self._region, "get_secret_value", SecretId=self._secret_id, **which
        )
        text, binary = answer.get("SecretString"), answer.get("SecretBinary")
        if isinstance(text, str):
            content = text.encode(errors="surrogatepass")
        elif isinstance(binary, bytes):
            content = binary
        elif answer.get("ARN"):
            raise MissingError(_NO_VALUE)
        else:
            raise SourceError(_NOT_AWS, transient=True)
        return _Version(
            str(answer.get("VersionId", "")), content, _seconds(answer.get("CreatedDate"))
        )


def secret_id(source: str) -> tuple[str, str | None]:
    """What AWS is asked for, and in which region (None: the usual one). Raises SourceError."""
    if source.startswith("arn:"):
        arn = _ARN.fullmatch(source)
        if arn is None:
            raise SourceError(
                "is no ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME, without"
                " a key of its JSON or a version behind it"
            )
        return source, arn[1]
    name = source.removeprefix("secretsmanager:")
    if not _NAME.fullmatch(name):
        raise SourceError("is no name of a secret: letters, digits and /_+=.@- only")
    return name, None


def _is_over(pending: _Version, current: _Version, previous: _Version | None) -> bool:
    """Whether a version that is AWSPENDING is left over from a rotation that has ended."""
    if pending.version_id == current.version_id:
        return True
    if previous is not None and pending.version_id == previous.version_id:
        return True
    if pending.created_at_s is None or current.created_at_s is None:
        return False
    return pending.created_at_s < current.created_at_s


def _content(version: _Version | None) -> bytes | None:
    return None if version is None else version.content


def _seconds(date: object) -> float | None:
    return date.timestamp() if isinstance(date, datetime) else None
