"""A process of clients of its own kind: how it is started, stopped, and ended with its demo."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

PROGRAM = """
import asyncio
import msgspec
from forebay.demo.client_process import serve

class Report(msgspec.Struct):
    said: list[str]

class Clients:
    def __init__(self, order):
        self.said, self.news = [order.decode().strip()], asyncio.Queue()
    async def run(self):
        while (word := await self.news.get()) != "enough":
            self.said.append(word)
    def start(self): self.news.put_nowait("go")
    def stop(self): self.news.put_nowait("enough")
    def interim(self): return Report(self.said)
    def final(self): return Report([*self.said, "done"])

asyncio.run(serve(Clients))
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def said(line: bytes) -> list[str]:
    report: dict[str, list[str]] = msgspec.json.decode(line)
    return report["said"]


def test_from_the_order_to_what_came_out(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"order\n")
    process.stdin.flush()
    assert said(process.stdout.readline()) == ["order"]
    process.stdin.write(b"go\nenough\n")
    process.stdin.flush()
    *_, last = process.stdout.readlines()
    assert said(last) == ["order", "go", "done"]
    assert process.wait(30) == 0


def test_it_ends_with_its_input_and_says_nothing_came_out(
    process: subprocess.Popen[bytes],
) -> None:
    out, _ = process.communicate(b"order\ngo\n", timeout=30)
    assert process.returncode == 0
    assert all("done" not in said(line) for line in out.splitlines())
