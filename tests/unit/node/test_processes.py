"""What the kernel says of a process."""

import os
from pathlib import Path

from forebay.node.processes import process_figures


def test_this_one() -> None:
    found = process_figures(os.getpid(), 123.0)
    assert (found.pid, found.started_at) == (os.getpid(), 123.0)
    assert found.cpu_s > 0
    assert found.resident_bytes >= found.anonymous_bytes > 1_000_000
    assert found.descriptors > 2


def test_a_name_that_looks_like_fields(tmp_path: Path) -> None:
    place = tmp_path / "7"
    (place / "fd").mkdir(parents=True)
    (place / "fd" / "0").touch()
    ticks = os.sysconf("SC_CLK_TCK")
    (place / "stat").write_text(f"7 (a) b) S {'0 ' * 10}{3 * ticks} {ticks} 0 0")
    (place / "statm").write_text("1000 50 20 1 0 30 0")
    found = process_figures(7, 0.0, tmp_path)
    page = os.sysconf("SC_PAGE_SIZE")
    assert (found.cpu_s, found.descriptors) == (4.0, 1)
    assert (found.resident_bytes, found.anonymous_bytes) == (50 * page, 30 * page)


def test_one_that_has_ended(tmp_path: Path) -> None:
    assert process_figures(7, 5.0, tmp_path).cpu_s == 0.0
