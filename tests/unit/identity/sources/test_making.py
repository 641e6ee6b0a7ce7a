from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.config.settings import Hidden
from forebay.identity.sources.making import Sources
from forebay.identity.sources.source import SourceError

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf"


@pytest.fixture
def sources() -> Iterator[Sources]:
    sources = Sources({"A": "one"}, {"g": Hidden("two")})
    yield sources
    sources.close()


@pytest.mark.parametrize(
    ("source", "is_remote"),
    [
        ("file:/x", False),
        ("userlist:/x", False),
        ("env:A", False),
        ("given:g", False),
        ("secretsmanager:app", True),
        (ARN, True),
    ],
)
def test_every_kind(sources: Sources, source: str, is_remote: bool) -> None:
    made = sources.make(source)
    assert (made.source, made.is_remote) == (source, is_remote)


@pytest.mark.parametrize(
    "source", ["hunter2", "", "file:", "env", "file:a\0b", "https:x", "arn:aws:s3:::x"]
)
def test_what_is_no_source(sources: Sources, source: str) -> None:
    with pytest.raises(SourceError) as caught:
        sources.make(source)
    assert "hunter2" not in str(caught.value)


async def test_reading_and_looking(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"three")
    made = [sources.make(each) for each in ("env:A", "given:g", f"file:{tmp_path}/a")]
    assert [(await each.fetch()).current for each in made] == [b"one", b"two", b"three"]
    assert await sources.fingerprints(made) == [None, None, made[2].fingerprint()]
