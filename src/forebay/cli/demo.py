"""``forebay demo``: 300 clients on 45 database connections, without Forebay and with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from forebay.cli.output import INTERRUPTED
from forebay.dashboard import HttpListenError, HttpServer, open_http_listener
from forebay.demo.result import Result
from forebay.demo.tour import DATABASE, PASSWORD, USER, Plan, Tour, fill, make_server
from forebay.demo.view import ConsoleView, View, summary
from forebay.embedded.errors import SetupError
from forebay.embedded.surroundings import HOST
from forebay.node import Node

TERMINATED = 128 + signal.SIGTERM


def demo(
    *,
    keep: bool = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    port: int | None = None,
    seconds: float = 6.0,
) -> int:
    """Show 300 clients at work on a database that allows 45 connections.

    An own PostgreSQL is started in a temporary directory and removed afterwards.

    Parameters
    ----------
    keep
        Leave everything running afterwards, until Ctrl-C.
    as_json
        Print one JSON object instead of the table.
    port
        Where Forebay listens on 127.0.0.1; 6432, or another one if that is in use. 0: any.
    seconds
        How long the clients work through Forebay.
    """
    progress = Console(stderr=True)
    if not 1 <= seconds <= 3600:
        sys.stderr.write("forebay demo: --seconds takes 1 to 3600\n")
        return 2
    try:
        plan = Plan(port=_port(port), pooled_s=seconds)
        return _run(plan, keep, as_json, progress)
    except SetupError as error:
        sys.stderr.write(f"forebay demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED


def _run(plan: Plan, keep: bool, as_json: bool, progress: Console) -> int:
    view = View() if as_json and not progress.is_terminal else ConsoleView(progress)
    told: list[Result] = []

    def tell(result: Result) -> None:
        told.append(result)
        _print(result, keep, as_json)

    with make_server() as server:
        fill(server)
        try:
            tour = Tour(server, plan, view, _page)
            asyncio.run(_until_terminated(tour.run(tell, keep)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            if not (keep and told):
                raise
        finally:
            view.close()
    return 0 if told and told[0].is_good else 1


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


def _print(result: Result, keep: bool, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(result).decode(), flush=True)
        return
    console = Console()
    console.print(summary(result))
    for complaint in result.complaints():
        console.print(Text(complaint, style="red"))
    url = f"postgresql://{USER}:{PASSWORD}@{HOST}:{result.port}/{DATABASE}?sslmode=require"
    if keep:
        print("\nForebay and its database keep running until Ctrl-C. Play on:")
    else:
        print("\nTo play on, let it stay until Ctrl-C (forebay demo --keep), and:")
    print(f'  psql "{url}"')
    print(f"  export DATABASE_URL='{url}'", flush=True)
    if keep and result.page:
        print(f"What goes on is to be seen at {result.page}", flush=True)


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
