"""Applications at work as processes of their own, and what has become of their writes."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.harness.waiting import eventually
from tests.nemesis.account import Op, Outcome, outcome_of_statement

WRITERS = 4
RESTING = 4
SHARE = 100  # numbers of writers that each application has for itself
START_TIMEOUT_S = 90.0
END_TIMEOUT_S = 60.0
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an application connects to."""

    port: int
    user: str
    password: str
    database: str
    host: str = "127.0.0.1"


@dataclass(slots=True)
class Running:
    """``with Running("django", command, place, 1, directory) as it:``: it has started, as number 1
    of all, which says how its writers are numbered."""

    driver: str
    command: Sequence[str]
    place: Place
    number: int
    directory: Path
    ops: list[Op] = field(default_factory=list)
    rests: list[list[Record]] = field(default_factory=list)
    errors: list[Record] = field(default_factory=list)
    has_ended: bool = False
    _process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None

    @property
    def log(self) -> Path:
        return self.directory / f"application-{self.number}.log"

    def __enter__(self) -> Self:
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        given = asdict(self.place)
        given |= {"first": SHARE * self.number, "writers": WRITERS, "resting": RESTING}
        self._tell(json.dumps(given))
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.kill()
        process.wait()
        if self._reader is not None:
            self._reader.join()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            record = json.loads(line)
            if "rest" in record:
                self.rests.append(record["rest"])
            elif "end" in record:
                self.has_ended = True
            else:
                self.ops.append(op_of(record))
                if record["at"]:
                    self.errors.append(record)

    def _said(self) -> str:
        return f"{self.driver}: {self.log.read_text(errors='replace')[-2000:]}"

    def _wait(self, look: Any, what: str, timeout_s: float) -> None:
        process = self._process
        assert process is not None

        def looked() -> bool:
            if process.poll() is not None and self._reader is not None:
                self._reader.join()  # what it has said before it went is known
                assert look(), f"it has gone: {self._said()}"
            return bool(look())

        try:
            eventually(looked, what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._said()} {self.errors[-3:]}") from None

    # -- what a test asks --------------------------------------------------------------------------

    def wait_for_writes(self, since_s: float, each: int = 3, timeout_s: float = 30.0) -> None:
        """Until every writer has had so many writes acknowledged that began later than this."""

        def look() -> bool:
            found = Counter(
                op.client for op in list(self.ops) if op.outcome == "ok" and op.began_s >= since_s
            )
            return len(found) == WRITERS and min(found.values()) >= each

        self._wait(look, f"each writer of {self.driver} writes", timeout_s)

    def wait_for_start(self) -> None:
        self._wait(lambda: self.rests, f"{self.driver} is ready", START_TIMEOUT_S)
        self.wait_for_writes(0.0, timeout_s=START_TIMEOUT_S)

    def rest(self) -> list[Record]:
        """What it finds when it uses its resting connections now."""
        before = len(self.rests)
        self._tell("rest")
        self._wait(lambda: len(self.rests) > before, f"{self.driver} is back from its rest", 30.0)
        return self.rests[-1]

    def end(self) -> None:
        self._tell("end")
        self._wait(lambda: self.has_ended, f"{self.driver} has ended", END_TIMEOUT_S)

    def told(self) -> Counter[str]:
        """What its errors were, and at which steps."""
        return Counter(
            f"{each['at']}: {each['class']} {each['sqlstate'] or '–'}" for each in self.errors
        )


def op_of(record: Record) -> Op:
    """A write as the application tells of it, as it comes in."""
    now_s = time.monotonic()
    code, at = record.get("sqlstate") or "", record["at"]
    parts = 1 if record["kind"] == "autocommit" else 2
    return Op(
        client=record["client"],
        seq=record["seq"],
        kind=record["kind"],
        outcome=outcome_of(record["kind"], at, code),
        began_s=now_s - record["took_s"],
        ended_s=now_s,
        parts=parts,
        sqlstate=code or ("none" if at else ""),
        text=record.get("message", ""),
    )


def outcome_of(kind: str, at: str, code: str) -> Outcome:
    """What an application may believe of its write that has failed at this step."""
    if not at:
        return "ok"
    if at == ("statement" if kind == "autocommit" else "commit"):
        return outcome_of_statement(code, lost=not code) if code else "info"
    return "fail"  # it was not sent, or COMMIT was not
