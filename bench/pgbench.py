"""Runs pgbench and reads what it says."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.process import run_bounded
from bench.target import Target

PROCESSED = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)
RATE = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)", re.MULTILINE)
# Time beyond a run's own length that it may take to connect and to stop, before it is stopped.
GRACE_S = 30
# What a run by count may take, which has no length of its own.
COUNTED_S = 60


class PgbenchError(Exception):
    """A run went wrong: it was refused, failed, or could not be read."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What pgbench prints at its end."""

    transactions: int
    failed: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of pgbench's log: when the transaction ended and how long it took."""

    ended_us: int
    latency_us: int
    lag_us: int = 0

    @property
    def served_us(self) -> int:
        """The time from sending to the answer, without lateness of the load generator itself."""
        return self.latency_us - self.lag_us


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of pgbench is asked to do."""

    clients: int
    seconds: float | None = None
    transactions: int | None = None
    protocol: str = "simple"
    script: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    rate: float | None = None
    log: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A summary and, if a log was asked for, its lines in order of their ends."""

    summary: Summary
    log: list[Logged] = field(default_factory=list)


def parse_summary(text: str) -> Summary:
    """Read pgbench's closing lines. Raises PgbenchError when they are not there."""
    processed, rate = PROCESSED.search(text), RATE.search(text)
    if processed is not None and int(processed[1]) == 0:
        raise PgbenchError("no transaction ended in the time given, connecting included")
    if processed is None or rate is None:
        raise PgbenchError("pgbench printed no result")
    failed = FAILED.search(text)
    return Summary(int(processed[1]), int(failed[1]) if failed else 0, float(rate[1]))


def parse_log(text: str) -> list[Logged]:
    """Read ``pgbench --log`` lines, sorted by end; skipped and failed ones have no latency."""
    entries = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[2].isdigit():
            ended_us = int(fields[4]) * 1_000_000 + int(fields[5])
            lag_us = int(fields[6]) if len(fields) > 6 and fields[6].isdigit() else 0
            entries.append(Logged(ended_us, int(fields[2]), lag_us))
    return sorted(entries, key=lambda entry: entry.ended_us)


def settled(log: list[Logged], skip: float = 0.1) -> list[Logged]:
    """Leave out what ended in the first or the last ``skip`` of the time.

    Queues fill and caches warm in the one, clients are done and gone in the other.
    """
    if not log:
        return []
    begin_us, end_us = log[0].ended_us, log[-1].ended_us
    margin_us = (end_us - begin_us) * skip
    return [entry for entry in log if begin_us + margin_us <= entry.ended_us <= end_us - margin_us]


def arguments(load: Load, folder: Path) -> list[str]:
    """Build pgbench's arguments; ``folder`` takes the script and the log."""
    words = ["-n", "-c", str(load.clients), "-j", "1", "-M", load.protocol]
    if load.script is None:
        words.append("-S")
    else:
        script = folder / "script.sql"
        script.write_text(load.script)
        words += ["-f", str(script)]
    for name, value in load.variables.items():
        words += ["-D", f"{name}={value}"]
    if load.transactions is not None:
        words += ["-t", str(load.transactions)]
    elif load.seconds is not None:
        words += ["-T", str(max(1, round(load.seconds)))]
    if load.rate is not None:
        words += ["-R", f"{load.rate:g}"]
    if load.log:
        words += ["--log", "--log-prefix", str(folder / "log")]
    return words


def initialise(binary: Path, target: Target) -> None:
    """Make pgbench's tables, 100,000 accounts. Raises PgbenchError."""
    done = run_bounded(
        [str(binary), "-i", "-q", "-s", "1"],
        timeout_s=GRACE_S,
        env={**os.environ, **target.libpq_environment()},
    )
    if done.returncode != 0:
        raise PgbenchError(last_words(done.stderr) or f"pgbench -i exited {done.returncode}")


def run(binary: Path, target: Target, load: Load) -> Outcome:
    """Run pgbench against ``target``, in a session of its own. Raises PgbenchError."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        folder = Path(name)
        try:
            done = run_bounded(
                [str(binary), *arguments(load, folder)],
                timeout_s=(load.seconds or COUNTED_S) + GRACE_S,
                env={**os.environ, **target.libpq_environment()},
            )
        except subprocess.TimeoutExpired as error:
            raise PgbenchError(f"pgbench did not end within {error.timeout:g} s") from None
        if done.returncode != 0:
            raise PgbenchError(last_words(done.stderr) or f"pgbench exited {done.returncode}")
        summary = parse_summary(done.stdout)
        if summary.failed:
            raise PgbenchError(f"{summary.failed} transactions failed")
        log = "".join(path.read_text() for path in sorted(folder.glob("log.*")))
        return Outcome(summary, parse_log(log))


def last_words(text: str) -> str:
    """Give the first line that names an error, else the last line."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "FATAL" in line]
    return (errors or lines[-1:] or [""])[0].strip()
