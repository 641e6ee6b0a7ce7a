"""Makes sources of their texts."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from forebay.config.settings import Hidden
from forebay.identity.sources.aws import SecretsManager
from forebay.identity.sources.local import FileSource, FixedSource
from forebay.identity.sources.secrets_manager import AwsSource
from forebay.identity.sources.source import Source, SourceError
from forebay.identity.threads import Threads

FILES_AT_ONCE: Final = 2
FORMS: Final = (
    "file:PATH, env:NAME, userlist:PATH, secretsmanager:NAME or the ARN of a Secrets Manager secret"
)


class Sources:
    """Makes sources, and has the threads and connections that they share.

    ``environ`` and ``given`` are looked into at each fetch, so that they may change.
    """

    def __init__(self, environ: Mapping[str, str], given: Mapping[str, Hidden]) -> None:
        self._environ = environ
        self._given = given
        self._files = Threads("secret-files", most=FILES_AT_ONCE)
        self._manager = SecretsManager(environ)

    def make(self, source: str) -> Source:
        """The source that is named so. Raises SourceError if there is no such kind."""
        kind, _, name = source.partition(":")
        if not name or "\0" in name:
            raise SourceError(f"must be {FORMS}")
        if kind in ("file", "userlist"):
            return FileSource(source, self._files)
        if kind in ("env", "given"):
            return FixedSource(source, self._environ, self._given)
        if kind in ("arn", "secretsmanager"):
            return AwsSource(source, self._manager)
        raise SourceError(f"must be {FORMS}")

    async def fingerprints(self, sources: Sequence[Source]) -> list[Hashable]:
        """What can be seen of each without reading it, in the same order."""
        return await self._files.run(lambda: [each.fingerprint() for each in sources])

    def close(self) -> None:
        """Ends threads and connections; nothing can be fetched any more."""
        self._files.close()
        self._manager.close()
