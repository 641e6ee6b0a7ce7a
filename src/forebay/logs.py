"""Logging for node and worker: lines for people on a terminal, JSON otherwise.

Writing a log must never hold up or end the data plane: a record is formatted by its caller and put
in a bounded queue; a thread writes it. Lines that don't fit, or that can't be written (stderr
closed, disk full), are dropped and counted; the next line that can be written says how many.

Structured fields go in ``extra={"fields": {"proxy": "app", "clients": 3}}``.
"""

import atexit
import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

LogFormat = Literal["human", "json"]

ENV_FORMAT = "FOREBAY_LOG_FORMAT"
ENV_LEVEL = "FOREBAY_LOG_LEVEL"
LEVELS = ("debug", "info", "warning", "error")

QUEUE_LINES = 10_000
FLUSH_TIMEOUT_S = 2.0

_OWN_KEYS = ("ts", "level", "logger", "msg", "exc")
# What a log line must not hold: a client's name with a line feed in it would forge a line.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m", "DEBUG": "\x1b[2m"}
_RESET = "\x1b[0m"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


class JsonFormatter(logging.Formatter):
    """One JSON object on one line: ts (ISO 8601, UTC), level, logger, msg, the fields, exc."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        for key, value in _fields(record).items():
            line[f"{key}_" if key in _OWN_KEYS else str(key)] = value
        if record.exc_info:
            line["exc"] = self.formatException(record.exc_info)
        line = {key: _encodable(value) for key, value in line.items()}
        return msgspec.json.encode(line, enc_hook=str).decode()


def _encodable(value: Any) -> Any:
    """A client's names may not be UTF-8: what is not stands as its surrogates, escaped."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list) else value


class HumanFormatter(logging.Formatter):
    """``12:34:56.789 INFO    node: message key=value``; a traceback follows, indented."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone()
        name = record.name.removeprefix("forebay.")
        level = f"{record.levelname:<7}"
        if self._colour and record.levelname in _COLOURS:
            level = f"{_COLOURS[record.levelname]}{level}{_RESET}"
        parts = [f"{time:%H:%M:%S}.{int(record.msecs):03d} {level} {name}:"]
        parts.append(record.getMessage().translate(_CONTROL))
        # Tables are for programs: the sentence says the same.
        fields = {k: v for k, v in _fields(record).items() if not isinstance(v, dict | list)}
        parts += (f"{key}={_plain(value)}" for key, value in fields.items())
        line = " ".join(parts)
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n    {each.translate(_CONTROL)}" for each in trace)
        return line


def _plain(value: Any) -> str:
    text = str(value)
    if not text or " " in text or '"' in text:
        text = '"{}"'.format(text.replace("\\", r"\\").replace('"', r"\""))
    return text.translate(_CONTROL)


class QueuedHandler(logging.Handler):
    """Writes lines to a descriptor from a thread of its own. Never blocks or raises in `emit`.

    ``dropped`` counts the lines that were lost, for good.
    """

    def __init__(self, descriptor: int, *, queue_lines: int = QUEUE_LINES) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._untold = 0
        self._torn = False  # the last line that got out did not get out whole
        self._count_lock = threading.Lock()
        self._queue: queue.Queue[bytes | None] = queue.Queue(queue_lines)
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._queue.put_nowait(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 - a record that can't be formatted must not end its caller
            self._drop()

    def _drop(self) -> None:
        with self._count_lock:
            self.dropped += 1
            self._untold += 1

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            if untold := self._untold:
                self._tell(untold)
            if not self._write(line):
                self._drop()

    def _tell(self, untold: int) -> None:
        text = "%d log lines were dropped"
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, text, (untold,), None)
        if self._write(f"{self.format(record)}\n".encode()):
            with self._count_lock:
                self._untold -= untold

    def _write(self, line: bytes) -> bool:
        left = line = b"\n" + line if self._torn else line
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            self._torn = self._torn or len(left) < len(line)
            return False
        self._torn = False
        return True

    def close(self) -> None:
        """Write what is queued, for at most FLUSH_TIMEOUT_S, and end the thread."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=FLUSH_TIMEOUT_S)
            self._thread.join(FLUSH_TIMEOUT_S)
        super().close()


class OnlookerHandler(logging.Handler):
    """Tells somebody who looks on what is logged: level and text. Of many lines within one second
    only the first ``limit_per_s`` are told."""

    def __init__(self, tell: Callable[[str, str], object], level: int, limit_per_s: int) -> None:
        super().__init__(level)
        self._tell = tell
        self._limit_per_s = limit_per_s
        self._second = 0
        self._told = 0

    def emit(self, record: logging.LogRecord) -> None:
        if int(record.created) != self._second:
            self._second, self._told = int(record.created), 0
        if self._told < self._limit_per_s:
            self._told += 1
            try:
                self._tell(record.levelname, record.getMessage())
            except Exception:  # noqa: BLE001 - who looks on must not end who is looked at
                self.handleError(record)


def choose_format(environ: Mapping[str, str], *, is_terminal: bool) -> LogFormat:
    """FOREBAY_LOG_FORMAT if it says human or json, else human on a terminal and JSON elsewhere."""
    wanted = environ.get(ENV_FORMAT, "").casefold()
    if wanted == "human" or (wanted != "json" and is_terminal):
        return "human"
    return "json"


def choose_level(environ: Mapping[str, str]) -> int:
    """FOREBAY_LOG_LEVEL (debug, info, warning, error), else info."""
    wanted = environ.get(ENV_LEVEL, "").casefold()
    return int(getattr(logging, wanted.upper())) if wanted in LEVELS else logging.INFO


def level_name(level: int) -> str:
    """The word for FOREBAY_LOG_LEVEL that lets this level through, and nothing below."""
    return next((w for w in LEVELS if getattr(logging, w.upper()) >= level), LEVELS[-1])


def set_up(
    *,
    log_format: LogFormat | None = None,
    level: int | None = None,
    descriptor: int = 2,
    environ: Mapping[str, str] | None = None,
) -> QueuedHandler:
    """Send every logger's records to ``descriptor`` (stderr). Replaces what was set up before.

    ``log_format`` and ``level`` go before the environment's. Nothing is raised, even if the
    descriptor is closed. The queue is flushed when the process exits.
    """
    environ = os.environ if environ is None else environ
    try:
        is_terminal = os.isatty(descriptor)
    except OSError:
        is_terminal = False
    log_format = log_format or choose_format(environ, is_terminal=is_terminal)
    handler = QueuedHandler(descriptor)
    colour = is_terminal and not environ.get("NO_COLOR")
    handler.setFormatter(JsonFormatter() if log_format == "json" else HumanFormatter(colour=colour))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, QueuedHandler):
            root.removeHandler(old)
            old.close()
    root.addHandler(handler)
    root.setLevel(choose_level(environ) if level is None else level)
    logging.captureWarnings(True)
    # asyncio tells every slow callback and selector at debug: that is noise even for debugging.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    atexit.register(handler.close)
    return handler


def log_uncaught() -> None:
    """Let an error that ends the process be logged in the chosen form, not as a bare traceback."""
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("forebay").critical("uncaught error", exc_info=(kind, error, trace))
