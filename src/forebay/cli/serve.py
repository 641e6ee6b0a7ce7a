"""``forebay serve``: run the proxy until it is told to end."""

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from typing import Annotated, Literal

from cyclopts import Parameter

from forebay import __version__, logs
from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, complain
from forebay.config import Config, ConfigError, NodeSettings, load_any
from forebay.control import (
    Console,
    ControlServer,
    ControlSocket,
    ControlSocketError,
    open_control_socket,
)
from forebay.dashboard import HttpListenError, HttpServer, Token, TokenError, open_http_listener
from forebay.metrics.exporters import ExporterError, Exporters
from forebay.net.tasks import spawn
from forebay.node import Node, NodeError
from forebay.node.listeners import Listener

log = logging.getLogger("forebay.node")

# Lines of the log that are told to those who look on; others are only written.
EVENTS_PER_S = 50


def serve(
    config: Annotated[str | None, Parameter(name="CONFIG")] = None,
    /,
    *,
    log_format: Literal["human", "json"] | None = None,
    log_level: Literal["debug", "info", "warning", "error"] | None = None,
) -> int:
    """Run the proxy.

    SIGTERM, Ctrl-C and forebay stop let transactions finish first (a second signal ends at once).
    SIGHUP and forebay reload read configuration, secrets and certificates again.

    Parameters
    ----------
    config
        A TOML file, or postgresql://user:password@host:port/db (put the password into PGPASSWORD to
        keep it out of the list of processes). Without it, FOREBAY_CONFIG names the file, or the
        FOREBAY_… variables say everything (FOREBAY_DATABASE_URL is enough).
    log_format
        Lines for people, or JSON. Without it FOREBAY_LOG_FORMAT; else by whether stderr is a
        terminal.
    log_level
        What is logged at least. Without it FOREBAY_LOG_LEVEL, else info.
    """
    environ = dict(os.environ)
    try:
        settings = load_any(config, environ)
    except ConfigError as error:
        complain("serve", [str(each) for each in error.problems])
        return EXIT_WRONG_USE
    # The worker reads them from its environment.
    environ |= {logs.ENV_FORMAT: log_format} if log_format else {}
    environ |= {logs.ENV_LEVEL: log_level} if log_level else {}
    logs.set_up(environ=environ)
    logs.log_uncaught()

    def read_again() -> Config:
        return load_any(config, environ)

    try:
        control = open_control_socket(settings.node.control_socket, environ)
    except ControlSocketError as error:
        if settings.node.control_socket:
            complain("serve", [f"node.control_socket: {error}"])
            return EXIT_FAILED
        log.warning("No commands reach this node, for it has no control socket: %s", error)
        control = None
    http: Listener | None = None
    try:
        http, token = _open_http(settings.node, environ)
        node = Node(settings, reload_from=read_again, environ=environ)
        exporters = Exporters(settings.node, node.observer, environ)
        page = HttpServer(node, http, token) if http is not None else None
        return asyncio.run(_serve(node, control, page, exporters))
    except (HttpListenError, TokenError, ExporterError) as error:
        complain("serve", [str(error)])
        return EXIT_FAILED
    finally:
        for each in (control, http):
            if each is not None:
                each.close()


def _open_http(
    node: NodeSettings, environ: Mapping[str, str]
) -> tuple[Listener | None, Token | None]:
    """What serves the page, and what opens it. Raises HttpListenError and TokenError.

    The address that nobody has chosen is left to the program that has it: several nodes may run on
    one machine.
    """
    token = Token(node.control_token, environ) if node.control_token else None
    try:
        return open_http_listener(node), token
    except HttpListenError as error:
        if not error.is_default:
            raise
        log.warning("There is no page and no /metrics: %s", error)
        return None, token


class _End:
    """Asked for by signals, or on the control socket; what drains the node waits for ``asked``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.asked = asyncio.Event()

    def on_signal(self) -> None:
        """The first one drains, another one ends at once."""
        if self.asked.is_set():
            log.warning("Asked to end again: ending at once")
        self.ask(at_once=self.asked.is_set())

    def ask(self, at_once: bool) -> None:
        """Drain; ``at_once`` leaves no time for it, also to a drain that is under way."""
        if at_once and self._node.state != "starting":
            spawn(self._node.drain(0), "drain at once")
        self.asked.set()


async def _serve(
    node: Node, control: ControlSocket | None, page: HttpServer | None, exporters: Exporters
) -> int:
    loop = asyncio.get_running_loop()
    end = _End(node)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.on_signal)
    loop.add_signal_handler(signal.SIGHUP, lambda: spawn(node.reload(), "reload"))
    log.debug("Forebay %s", __version__)
    # What the log is told, those are told as well who look on.
    events = logs.OnlookerHandler(node.observer.events.add, logging.INFO, EVENTS_PER_S)
    logging.getLogger("forebay").addHandler(events)
    server = ControlServer(node, end.ask)
    console = Console(node)
    node.use_console(console.answer)
    console.start()
    if control is not None:
        await server.start(control)
        log.info("Commands are taken at %s", control.path)
    if page is not None:
        page.start()
        log.info("The page is at %s", page.address)
    code = EXIT_FAILED
    try:
        code = await _run(node, exporters, end.asked)
    finally:
        exporters.stop()
        console.close()
        if page is not None:
            await page.finish()
        await server.finish(code == EXIT_FINE)
        logging.getLogger("forebay").removeHandler(events)
    return code


async def _run(node: Node, exporters: Exporters, asked: asyncio.Event) -> int:
    """Start the node, and drain it when that is asked for. Returns the exit code."""
    loop = asyncio.get_running_loop()
    starting = loop.create_task(node.start())
    asking = loop.create_task(asked.wait())
    await asyncio.wait([starting, asking], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # asked to end before it had started
        starting.cancel()
        await asyncio.wait([starting])
        return EXIT_FINE
    try:
        starting.result()
    except NodeError as error:
        complain("serve", error.problems)
        return EXIT_FAILED
    exporters.start()
    await asking
    return EXIT_FINE if await node.drain() else EXIT_FAILED
