"""Who listens on an address, in a /proc that is made up."""

from pathlib import Path

import pytest

from forebay.cli import occupants
from forebay.cli.occupants import Occupant, forebay_that_listens
from forebay.config import Address

HERE = Address("127.0.0.1", 6432)
TCP = (
    "sl local_address rem_address st tx rx tr when retrnsmt uid timeout inode\n"
    "0: 0100007F:1920 00000000:0000 0A 0:0 0:0 0 0 0 4242 1\n"  # listens on 6432
    "1: 0100007F:1921 00000000:0000 01 0:0 0:0 0 0 0 4343 1\n"
)
UNIX = (
    "Num RefCount Protocol Flags Type St Inode Path\n"
    "0: 2 0 10000 1 1 5252 /run/x/.s.PGSQL.6432\n"
    "1: 2 0 10000 1 1 5353\n"
)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(occupants, "_PROC", tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP)
    (tmp_path / "net" / "unix").write_text(UNIX)
    (tmp_path / "self").mkdir()
    return tmp_path


def process(proc: Path, pid: int, words: str, inode: int, parent: int = 1) -> None:
    place = proc / str(pid)
    (place / "fd").mkdir(parents=True)
    (place / "cmdline").write_bytes(words.replace(" ", "\0").encode() + b"\0")
    (place / "stat").write_text(f"{pid} (a ) name) S {parent} 0 0")
    (place / "fd" / "3").symlink_to(f"socket:[{inode}]")


def test_nobody(proc: Path) -> None:
    process(proc, 10, "/usr/bin/nginx", 4242)
    process(proc, 11, "/usr/bin/forebay serve", 999)
    assert forebay_that_listens(HERE) is None
    assert forebay_that_listens(Address("127.0.0.1", 6433)) is None  # connected, does not listen


def test_a_node(proc: Path) -> None:
    process(proc, 10, "python /usr/bin/forebay serve", 4242)
    assert forebay_that_listens(HERE) == Occupant(10, is_orphan=False)


@pytest.mark.parametrize("module", ["forebay.worker", "forebay.demo.bound_worker"])
def test_a_worker_whose_node_has_gone(proc: Path, module: str) -> None:
    process(proc, 20, f"python -m {module} 7", 4242, parent=1)
    assert forebay_that_listens(HERE) == Occupant(20, is_orphan=True)


def test_a_worker_with_its_node(proc: Path) -> None:
    process(proc, 20, "python -m forebay.worker 7", 4242, parent=10)
    process(proc, 10, "/usr/bin/forebay serve", 4242)
    found = forebay_that_listens(HERE)
    assert found is not None
    assert not found.is_orphan


def test_a_unix_socket(proc: Path) -> None:
    process(proc, 10, "/usr/bin/forebay serve", 5252)
    assert forebay_that_listens(Address("/run/x", 6432)) == Occupant(10, is_orphan=False)


def test_where_there_is_no_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupants, "_PROC", tmp_path / "none")
    assert forebay_that_listens(HERE) is None
