"""What a server's log says went wrong; and the directory, which goes when it is given up."""

import stat
import sys
from pathlib import Path

import pytest

from forebay.embedded import home, unprivileged
from forebay.embedded.binaries import Binaries
from forebay.embedded.errors import SetupError
from forebay.embedded.home import Home, explanation

PROGRAMS = Binaries(Path(sys.executable).parent, "18.0", has_tls=False)


@pytest.fixture(autouse=True)
def _as_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "account", unprivileged.Account)


def test_the_directory_goes_with_what_is_in_it() -> None:
    place = Home(PROGRAMS)
    try:
        place.write(place.data / "secret", "x", 0o600)
        assert stat.S_IMODE((place.data / "secret").stat().st_mode) == 0o600
        assert stat.S_IMODE(place.data.stat().st_mode) == 0o700
        assert stat.S_IMODE(place.directory.stat().st_mode) == 0o711
        assert place.last_words() == "it left no log"
        place.empty()
        assert stat.S_IMODE(place.data.stat().st_mode) == 0o700
        assert not list(place.data.iterdir())
    finally:
        place.give_up()
    assert not place.directory.exists()


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "FREE_DISK_BYTES", 1 << 80)
    with pytest.raises(SetupError, match="make room"):
        Home(PROGRAMS)


def test_a_start_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> Path:
        raise SetupError("no")

    monkeypatch.setattr(unprivileged, "temporary_parent", lambda _: tmp_path)
    monkeypatch.setattr(unprivileged, "reachable_programs", refuse)
    with pytest.raises(SetupError, match="no"):
        Home(PROGRAMS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "it left no log"),
        ("2026 [1] LOG:  starting\n2026 [1] LOG:  stopped\n", "2026 [1] LOG:  stopped"),
        (
            "2026 [1] LOG:  could not bind\n2026 [1] HINT:  other?\n2026 [1] FATAL:  no socket\n",
            "could not bind; no socket",
        ),
        ("2026 [1] FATAL:  long ago\n" + "2026 [1] LOG:  x\n" * 8, "2026 [1] LOG:  x"),
    ],
)
def test_what_went_wrong(log: str, said: str) -> None:
    assert explanation(log) == said
