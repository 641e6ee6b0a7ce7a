import os

import pytest

from bench.proc import (
    Usage,
    descendants,
    memory_bytes,
    parse_memory,
    parse_model,
    parse_stat,
    tree,
    usage,
)

STAT = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 250 750 3 4 20 0 1 0 100 0 0"


def test_stat_of_a_command_with_brackets_and_blanks() -> None:
    stat = parse_stat(STAT)
    assert (stat.parent, stat.user_ticks, stat.system_ticks) == (7, 250, 750)


def test_memory_lines() -> None:
    text = "Name:\tpgbouncer\nVmRSS:\t     100 kB\nRssAnon:\t      64 kB\nRssFile:\t 36 kB\n"
    assert parse_memory(text, "RssAnon") == 64 * 1024
    with pytest.raises(KeyError):
        parse_memory(text, "Pss")


def test_processor_name() -> None:
    assert parse_model("processor\t: 0\nmodel name\t: Some CPU: fast\n") == "Some CPU: fast"
    assert parse_model("") == "unknown"


def test_descendants_of_descendants() -> None:
    assert descendants({1: 0, 2: 1, 3: 2, 4: 1, 9: 8}, 1) == [1, 2, 3, 4]
    assert descendants({}, 5) == [5]


def test_usage_is_a_difference() -> None:
    used = Usage(900, 30, 50).since(Usage(400, 10, 10))
    assert used == Usage(500, 20, 40)
    assert used.user_share == pytest.approx(1 / 3)
    assert Usage(5, 0, 0).user_share == 0


def test_this_process_is_seen() -> None:
    pid = os.getpid()
    assert pid in tree(os.getppid())
    assert usage([pid]).cpu_ns > 0
    assert memory_bytes([pid]) > 0
