import errno
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay import logs
from forebay.logs import HumanFormatter, JsonFormatter, QueuedHandler
from tests.harness.waiting import eventually


def record(
    message: str, *arguments: object, level: int = logging.INFO, **fields: object
) -> logging.LogRecord:
    made = logging.LogRecord("forebay.node", level, "f.py", 1, message, arguments, None)
    if fields:
        made.fields = fields
    return made


def test_json_is_one_object_on_one_line() -> None:
    text = JsonFormatter().format(record("a %s\nb", "x", proxy="app", n=3, level=logging.WARNING))
    assert "\n" not in text
    line = json.loads(text)
    assert line["ts"].endswith("+00:00")
    assert line | {"ts": ""} == {
        "ts": "",
        "level": "warning",
        "logger": "forebay.node",
        "msg": "a x\nb",
        "proxy": "app",
        "n": 3,
    }


def test_fields_do_not_replace_what_every_line_has() -> None:
    line = json.loads(JsonFormatter().format(record("real", msg="forged", odd=object())))
    assert line["msg"] == "real"
    assert line["msg_"] == "forged"
    assert line["odd"].startswith("<object")


def test_a_client_cannot_forge_a_line_for_people() -> None:
    text = HumanFormatter().format(
        record("user %s", "x\n12:00:00 ERROR forged\x1b[31m", name="a\nb", table={"not": "shown"})
    )
    assert "\n" not in text
    assert "\x1b" not in text
    assert text.endswith("INFO    node: user x\\x0a12:00:00 ERROR forged\\x1b[31m name=a\\x0ab")


@pytest.mark.parametrize("formatter", [JsonFormatter(), HumanFormatter()])
def test_a_client_cannot_stay_out_of_the_log(
    formatter: logging.Formatter, pipe: tuple[int, int]
) -> None:
    """Names that are not UTF-8 reach the log with surrogates in them."""
    handler = QueuedHandler(pipe[1])
    handler.setFormatter(formatter)
    holders = [{"application_name": "job\udcff", "held": 3}]
    handler.emit(record("no role %s", "adm\udcff", user="adm\udcff", holders=holders))
    handler.close()
    assert handler.dropped == 0
    text = os.read(pipe[0], 1000).decode()
    assert text.count("dcff") == (3 if isinstance(formatter, JsonFormatter) else 2)
    if isinstance(formatter, JsonFormatter):
        line = json.loads(text)
        assert (line["msg"], line["user"]) == ("no role adm\\udcff", "adm\\udcff")
        assert line["holders"] == [{"application_name": "job\\udcff", "held": 3}]


def test_a_client_cannot_forge_a_field_for_people() -> None:
    text = HumanFormatter().format(record("x", user='a" client="10.0.0.1', path="C:\\ d"))
    assert text.endswith(r'user="a\" client=\"10.0.0.1" path="C:\\ d"')
    text = HumanFormatter().format(record("x", user='a"'))
    assert text.endswith(r'user="a\""')


def test_tracebacks_follow() -> None:
    made = record("failed", level=logging.ERROR)
    try:
        raise ValueError("because")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert HumanFormatter().format(made).splitlines()[-1] == "    ValueError: because"
    assert "ValueError: because" in json.loads(JsonFormatter().format(made))["exc"]


def test_colour_only_when_asked_for() -> None:
    warning = record("x", level=logging.WARNING)
    assert "\x1b" in HumanFormatter(colour=True).format(warning)
    assert "\x1b" not in HumanFormatter().format(warning)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for each in (reader, writer):
        try:
            os.close(each)
        except OSError:
            continue


def read_all(reader: int) -> str:
    parts = []
    while part := os.read(reader, 65_536):
        parts.append(part)
    return b"".join(parts).decode()


def test_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    handler = QueuedHandler(pipe[1])
    for number in range(100):
        handler.emit(record("%d", number))
    handler.close()
    os.close(pipe[1])
    assert [int(line) for line in read_all(pipe[0]).split()] == list(range(100))
    assert handler.dropped == 0


def test_a_reader_that_does_not_read_holds_nobody_up(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = QueuedHandler(writer, queue_lines=10)
    long = "x" * 10_000
    for _ in range(100):  # a pipe takes 64 kB
        handler.emit(record(long))
    assert handler.dropped > 50
    os.set_blocking(reader, False)
    text = ""
    while "log lines were dropped" not in text:  # as soon as there is room again, it says so
        handler.emit(record("more"))
        try:
            text += os.read(reader, 65_536).decode()
        except BlockingIOError:
            continue
    os.close(reader)
    handler.close()


def test_what_a_full_disk_cut_off_spoils_no_line_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    room = [15]  # bytes, until there is more

    def write_what_fits(descriptor: int, line: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, line[: room[0]])
        room[0] -= written
        return written

    path = tmp_path / "log"
    with path.open("wb") as file:
        handler = QueuedHandler(file.fileno())
        monkeypatch.setattr(os, "write", write_what_fits)
        handler.emit(record("first line"))
        handler.emit(record("second line"))
        eventually(lambda: handler.dropped == 1, "there is no room left")
        room[0] = 1000
        handler.emit(record("third line"))
        handler.close()
    assert path.read_text().splitlines() == [
        "first line",
        "seco",
        "1 log lines were dropped",
        "third line",
    ]


def test_a_closed_descriptor_is_counted_not_raised(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    handler = QueuedHandler(writer)
    handler.emit(record("nobody reads this"))
    handler.close()
    assert handler.dropped == 1


def test_what_cannot_be_formatted_is_dropped(pipe: tuple[int, int]) -> None:
    handler = QueuedHandler(pipe[1])
    handler.emit(record("%d", "no number"))
    handler.close()
    assert handler.dropped == 1


def test_choices() -> None:
    assert logs.choose_format({}, is_terminal=True) == "human"
    assert logs.choose_format({}, is_terminal=False) == "json"
    assert logs.choose_format({"FOREBAY_LOG_FORMAT": "JSON"}, is_terminal=True) == "json"
    assert logs.choose_format({"FOREBAY_LOG_FORMAT": "human"}, is_terminal=False) == "human"
    assert logs.choose_format({"FOREBAY_LOG_FORMAT": "?"}, is_terminal=False) == "json"
    assert logs.choose_level({"FOREBAY_LOG_LEVEL": "Debug"}) == logging.DEBUG
    assert logs.choose_level({"FOREBAY_LOG_LEVEL": "?"}) == logging.INFO
    assert [logs.level_name(n) for n in (5, 10, 15, 20, 30, 50)] == [
        "debug",
        "debug",
        "info",
        "info",
        "warning",
        "error",
    ]
