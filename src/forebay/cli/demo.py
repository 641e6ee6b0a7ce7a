"""``forebay demo``: 300 clients, first on few connections, then in a failover; without Forebay, and
with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.output import INTERRUPTED
from forebay.dashboard import HttpListenError, HttpServer, open_http_listener
from forebay.demo.failover import act as failover
from forebay.demo.failover.view import summary as failover_summary
from forebay.demo.result import Result
from forebay.demo.tour import DATABASE, PASSWORD, USER, Plan, Tour, fill, make_server
from forebay.demo.view import ConsoleView, View, summary
from forebay.embedded.errors import SetupError
from forebay.embedded.surroundings import HOST
from forebay.node import Node

TERMINATED = 128 + signal.SIGTERM


def demo(
    *,
    act: Literal["both", "pooling", "failover"] = "both",
    keep: bool = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    port: int | None = None,
    seconds: float = 6.0,
) -> int:
    """Show 300 clients at work on a database that allows 45 connections, and in a failover.

    PostgreSQL servers are started in temporary directories and removed afterwards.

    Parameters
    ----------
    act
        Show one alone: the pooling, or the failover.
    keep
        Leave the last act running afterwards, until Ctrl-C.
    as_json
        Print one JSON object instead of the tables.
    port
        Where Forebay listens on 127.0.0.1; 6432, or another one if that is in use. 0: any.
    seconds
        How long the clients of the first act work through Forebay.
    """
    progress = Console(stderr=True)
    if not 1 <= seconds <= 3600:
        sys.stderr.write("forebay demo: --seconds takes 1 to 3600\n")
        return 2
    try:
        view = View() if as_json and not progress.is_terminal else ConsoleView(progress)
        evening = Evening(act, keep, as_json, view)
        evening.run(_port(port), seconds)
    except SetupError as error:
        sys.stderr.write(f"forebay demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    return 0 if evening.is_good else 1


class Evening:
    """The acts that were asked for, one after the other, and what is told of them."""

    def __init__(self, act: str, keep: bool, as_json: bool, view: View) -> None:
        self.is_good = True
        self._pooling, self._failover = act != "failover", act != "pooling"
        self._keep = keep
        self._as_json = as_json
        self._view = view
        self._is_over = False
        self._figures: dict[str, Any] = {}

    def run(self, port: int | None, seconds: float) -> None:
        """All of it. Raises SetupError, and what ends it early."""
        try:
            if self._pooling:
                self._run_pooling(Plan(port=port, pooled_s=seconds))
            if self._failover:
                self._run_failover(failover.Plan(port=port))
        except (KeyboardInterrupt, asyncio.CancelledError):
            if not (self._keep and self._is_over):
                raise
        finally:
            self._view.close()

    def _run_pooling(self, plan: Plan) -> None:
        with make_server() as server:
            fill(server)
            tour = Tour(server, plan, self._view, _page)
            keep = self._keep and not self._failover
            asyncio.run(_until_terminated(tour.run(self._tell_pooling, keep)))

    def _run_failover(self, plan: failover.Plan) -> None:
        with failover.make_pair() as pair:
            failover.fill(pair)
            act = failover.Act(pair, plan, self._view, _page)
            asyncio.run(_until_terminated(act.run(self._tell_failover, self._keep)))

    def _tell_pooling(self, result: Result) -> None:
        self._figures |= msgspec.to_builtins(result)
        self._tell(summary(result), result.complaints())
        if not self._failover:
            self._end(result.port, result.page)

    def _tell_failover(self, act: failover.Act) -> None:
        self._figures |= {"port": act.port, "page": act.page}
        self._figures["failover"] = msgspec.to_builtins(act.outcome)
        self._tell(failover_summary(act.outcome), act.outcome.complaints())
        self._end(act.port, act.page)

    def _tell(self, table: Table, complaints: list[str]) -> None:
        self.is_good = self.is_good and not complaints
        if self._as_json:
            return
        console = Console()
        console.print(table)
        for complaint in complaints:
            console.print(Text(complaint, style="red"))

    def _end(self, port: int, page: str) -> None:
        self._is_over = True
        if self._as_json:
            print(msgspec.json.encode(self._figures).decode(), flush=True)
            return
        url = f"postgresql://{USER}:{PASSWORD}@{HOST}:{port}/{DATABASE}?sslmode=require"
        if self._keep:
            print("\nForebay and what is behind it keep running until Ctrl-C. Play on:")
        else:
            print("\nTo play on, let it stay until Ctrl-C (forebay demo --keep), and:")
        print(f'  psql "{url}"')
        print(f"  export DATABASE_URL='{url}'", flush=True)
        if self._keep and page:
            print(f"What goes on is to be seen at {page}", flush=True)


@contextlib.asynccontextmanager
async def _page(node: Node) -> AsyncIterator[str]:
    """The node's page, at its usual address if that can be had."""
    settings = node.config.node
    try:
        listener = open_http_listener(settings)
    except HttpListenError:
        any_port = msgspec.structs.replace(settings, control_listen=f"{HOST}:0")
        listener = open_http_listener(any_port)
    if listener is None:
        yield ""
        return
    server = HttpServer(node, listener, None)
    server.start()
    try:
        yield server.address
    finally:
        await server.finish()


async def _until_terminated(tour: Coroutine[Any, Any, None]) -> None:
    """Ends the tour in order on SIGTERM; asyncio.run does so on Ctrl-C."""
    task = asyncio.ensure_future(tour)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def _port(wanted: int | None) -> int | None:
    """The port that was asked for. Raises SetupError, before anything begins, if it is in use."""
    if not wanted:
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            raise SetupError(
                f"cannot listen on {HOST}:{wanted} ({error}): choose another with --port"
            ) from None
    return wanted
