import os
import re
import socket
import stat
from pathlib import Path

import pytest

from forebay.control import listener, places
from forebay.control.listener import ControlSocketError, obstacle, open_control_socket


def bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    return sock


@pytest.fixture(autouse=True)
def nowhere_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SYSTEM", place / "absent")
    monkeypatch.setattr(places, "TEMPORARY", place / "absent")


def test_it_is_its_owners_alone_and_comes_and_goes(place: Path) -> None:
    path = place / "control"
    before = os.umask(0)
    try:
        control = open_control_socket(str(path), {})
        assert os.umask(0) == 0  # as it was
    finally:
        os.umask(before)
    assert control is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not control.sock.get_inheritable()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    control.close()
    assert not path.exists()


def test_it_has_its_mode_from_the_first_moment(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    listen = socket.socket.listen

    def look(self: socket.socket, backlog: int) -> None:
        modes.append(stat.S_IMODE((place / "control").stat().st_mode))
        listen(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", look)
    control = open_control_socket(str(place / "control"), {})
    assert control is not None
    control.close()
    assert modes == [0o600]


def test_none_at_all(place: Path) -> None:
    assert open_control_socket("", {"XDG_RUNTIME_DIR": str(place)}) is None
    assert list(place.iterdir()) == []


def test_what_a_dead_node_left_is_replaced(place: Path) -> None:
    path = place / "control"
    bound(path).close()
    control = open_control_socket(str(path), {})
    assert control is not None
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    control.close()
    assert list(place.iterdir()) == []


def test_one_that_answers_is_named_by_its_process(place: Path) -> None:
    path = place / "control"
    with bound(path) as other:
        other.listen()
        told = re.escape(f"{path}: process {os.getpid()} listens there.")
        with pytest.raises(ControlSocketError, match=told):
            open_control_socket(str(path), {})
    assert path.exists()


def test_one_whose_queue_is_full_is_alive(place: Path) -> None:
    path = place / "control"
    with bound(path) as other:
        other.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for each in waiting:
            each.setblocking(False)
            try:
                each.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(ControlSocketError, match="another process listens there"):
            open_control_socket(str(path), {})
        for each in waiting:
            each.close()


def test_one_that_does_not_listen_yet_is_not_taken_for_dead(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "control"
    with bound(path) as other:
        monkeypatch.setattr(listener.time, "sleep", lambda _: other.listen())
        with pytest.raises(ControlSocketError, match=f"process {os.getpid()} listens"):
            open_control_socket(str(path), {})


def test_one_that_replaces_the_dead_one_meanwhile_keeps_its_place(place: Path) -> None:
    path = place / "control"
    bound(path).close()
    dead = path.stat().st_dev, path.stat().st_ino
    (place / "kept").hardlink_to(path)  # or the new one might get the number of the old
    path.unlink()
    with bound(path) as other:
        other.listen()
        listener._remove(str(path), dead)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_another_file_is_left_alone(place: Path) -> None:
    path = place / "control"
    path.write_text("mine")
    with pytest.raises(ControlSocketError, match="another file, not a socket"):
        open_control_socket(str(path), {})
    assert path.read_text() == "mine"


def test_what_another_has_put_there_is_not_removed(place: Path) -> None:
    path = place / "control"
    control = open_control_socket(str(path), {})
    assert control is not None
    path.unlink()
    path.write_text("another's")
    control.close()
    assert path.read_text() == "another's"


def test_a_directory_that_is_not_there(place: Path) -> None:
    with pytest.raises(ControlSocketError, match=f"{place}/no/control: No such file"):
        open_control_socket(f"{place}/no/control", {})


def test_a_path_that_is_too_long() -> None:
    path = "/" + 107 * "a"
    with pytest.raises(ControlSocketError, match=r"has 108 bytes; .* at most 107: set node\.c"):
        open_control_socket(path, {})


def test_by_default_each_process_has_its_own(place: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(place)}
    first = open_control_socket(None, environ)
    second = open_control_socket(None, environ)  # as of another PID namespace
    assert first is not None
    assert second is not None
    name = f"{place}/forebay/node-{os.getpid()}"
    assert (first.path, second.path) == (f"{name}.sock", f"{name}-2.sock")
    first.close()
    second.close()


def test_by_default_what_dead_nodes_left_is_swept(place: Path) -> None:
    (place / "forebay").mkdir(0o700)
    left = place / "forebay" / "node-1.sock"
    bound(left).close()
    with bound(place / "forebay" / "node-2.sock") as alive:
        alive.listen()
        control = open_control_socket(None, {"XDG_RUNTIME_DIR": str(place)})
        assert control is not None
        assert not left.exists()
        assert (place / "forebay" / "node-2.sock").exists()
        control.close()


def test_where_no_directory_will_do_all_reasons_are_told(place: Path) -> None:
    with pytest.raises(ControlSocketError) as caught:
        open_control_socket(None, {"XDG_RUNTIME_DIR": f"{place}/no"})
    assert str(caught.value).count("can't be made: No such file or directory") == 3


def test_obstacles(place: Path) -> None:
    assert obstacle(f"{place}/control") is None
    assert obstacle(f"{place}/no/control") == (
        f"{place}/no/control: there is no directory {place}/no"
    )
    (place / "file").touch()
    assert obstacle(f"{place}/file") == f"{place}/file: is another file, not a socket"
    assert "at most 107" in str(obstacle("/" + 107 * "a"))
    with bound(place / "control") as running:
        running.listen()
        assert obstacle(f"{place}/control") is None
