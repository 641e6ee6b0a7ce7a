"""The applications in Python: ``python python_applications.py DRIVER``; see this package."""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))  # run as a file of its own

from tests.nemesis.applications.python_drivers import (
    APPLICATIONS,
    Application,
    Step,
    code_of,
)

PAUSE_S = 0.03
WRITING = threading.Lock()


def say(**record: Any) -> None:
    line = json.dumps(record)
    with WRITING:
        print(line, flush=True)


def write(application: Application, kind: str, client: int, ending: threading.Event) -> None:
    """One writer: whatever a write ends with, the next one follows."""
    seq = 0
    turn = application.alone if kind == "autocommit" else application.together
    while not ending.is_set():
        began_s = time.monotonic()
        step = Step("connect")
        record: dict[str, Any] = {"at": ""}
        try:
            turn(client, seq, step)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what a user sees
            name = f"{type(error).__module__.split('.')[0]}.{type(error).__name__}"
            text = str(error)[:300]
            record = {"at": step.at, "class": name, "sqlstate": code_of(error), "message": text}
        took_s = time.monotonic() - began_s
        say(client=client, seq=seq, kind=kind, took_s=took_s, **record)
        seq += 1
        ending.wait(PAUSE_S)


def rest(application: Application, count: int) -> list[dict[str, Any]]:
    try:
        return sorted(application.rest(count), key=lambda one: one["id"])
    except Exception as error:  # noqa: BLE001  # as above
        return [{"error": f"{type(error).__name__} {code_of(error)}: {error}"[:500]}]


def main(driver: str) -> None:
    given = json.loads(sys.stdin.readline())
    application = APPLICATIONS[driver](given)
    for _ in range(7):
        found = rest(application, given["resting"])
    say(rest=found)
    ending = threading.Event()
    with ThreadPoolExecutor(given["writers"]) as threads:
        lives = [
            threads.submit(write, application, kind, given["first"] + number, ending)
            for number in range(given["writers"])
            for kind in [("autocommit", "transaction")[number % 2]]
        ]
        for line in sys.stdin:
            if line.strip() == "end":
                break
            say(rest=rest(application, given["resting"]))
        ending.set()
        for life in lives:
            life.result()
    say(end=True)
    application.close()


if __name__ == "__main__":
    main(sys.argv[1])
