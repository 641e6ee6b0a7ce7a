import os
import stat
from pathlib import Path

import pytest

from forebay.control import places
from forebay.control.places import Place, distrust, prepare, sockets, too_long


@pytest.fixture(autouse=True)
def elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's directories, in a directory of the test's own."""
    for name in ("run", "tmp"):
        (place / name).mkdir()
    monkeypatch.setattr(places, "SYSTEM", place / "run")
    monkeypatch.setattr(places, "TEMPORARY", place / "tmp")
    return place


def test_in_which_order(place: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert [str(each.path) for each in places.places(environ)] == [
        "/run/a",
        "/run/b",
        "/run/user/1000/forebay",
        f"{place}/run/forebay",
        f"{place}/tmp/forebay-{os.geteuid()}",
    ]
    # What is not absolute is to be ignored.
    assert len(places.places({"RUNTIME_DIRECTORY": "a", "XDG_RUNTIME_DIR": "b"})) == 2


def test_directories_are_made_for_their_owner_alone(place: Path) -> None:
    (user, system, own) = places.places({"XDG_RUNTIME_DIR": str(place)})
    for each, mode in ((user, 0o700), (system, 0o755), (own, 0o700)):
        assert prepare(each) is None
        assert prepare(each) is None  # it may be there
        assert stat.S_IMODE(each.path.stat().st_mode) & ~mode == 0


def test_one_that_cannot_be_made(place: Path) -> None:
    assert prepare(Place(place / "absent" / "forebay", 0o700)) == (
        "can't be made: No such file or directory"
    )
    assert prepare(Place(place / "absent", None)) == "can't be read: No such file or directory"


def test_one_where_everybody_may_write(place: Path) -> None:
    place.chmod(0o777)
    assert prepare(Place(place, None)) == "can be written by every user"


def test_a_private_one_that_is_open_to_others(place: Path) -> None:
    private = Place(place, 0o700, is_private=True)
    assert distrust(private) is None
    place.chmod(0o755)
    assert distrust(private) == "is open to other users (its mode must be 0700)"


def test_a_private_one_of_another(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = Place(place, 0o700, is_private=True)
    monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1)
    assert str(distrust(private)).startswith("belongs to ")


def test_a_private_one_that_leads_elsewhere(place: Path) -> None:
    link = place / "link"
    link.symlink_to(place / "run")
    assert distrust(Place(link, 0o700, is_private=True)) == "is no directory"


def test_all_sockets(place: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(place)}
    for each in places.places(environ):
        prepare(each)
    (place / "run" / "forebay-blue").mkdir()  # a unit's with RuntimeDirectory=forebay-blue
    names = ("forebay/node-1.sock", "run/forebay/node-2.sock", "run/forebay-blue/node-3.sock")
    for name in names:
        (place / name).touch()
    (place / "forebay" / "other").touch()
    found, sought = sockets(environ)
    assert found == [place / name for name in names]
    assert f"{place}/run/forebay-blue" in sought


def test_what_is_not_to_be_trusted_is_not_searched(place: Path) -> None:
    own = places.places({})[-1]
    own.path.mkdir(0o755)
    (own.path / "node-1.sock").touch()
    found, sought = sockets({})
    assert found == []
    assert f"{own.path} (not used: it is open to other users (its mode must be 0700))" in sought


def test_the_longest_path() -> None:
    assert too_long("/" + 106 * "a") is None
    assert too_long("/" + 107 * "a") == (
        f"/{107 * 'a'}: has 108 bytes; a Unix socket's path has at most 107"
    )
    assert too_long("/" + 53 * "ä" + "a") == (
        f"/{53 * 'ä'}a: has 108 bytes; a Unix socket's path has at most 107"
    )
