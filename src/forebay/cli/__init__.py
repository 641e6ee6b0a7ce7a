"""The ``forebay`` command. Exit codes: 0 fine, 1 it failed, 2 wrong use."""

import os
import sys
from collections.abc import Sequence

import cyclopts

from forebay import __version__
from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, INTERRUPTED

app = cyclopts.App(
    name="forebay",
    help="One pool of database connections in front of PostgreSQL, like Amazon RDS Proxy.",
    version=f"forebay {__version__}",
    help_epilogue=(
        "Exit codes: 0 fine, 1 it failed, 2 wrong use (the command line or the configuration)."
    ),
)
# Each command is imported when it runs or its help is asked for: --version loads none of them.
app.command("forebay.cli.serve:serve", name="serve", help="Run the proxy.")
app.command(
    "forebay.cli.check:check",
    name="check",
    help="Try a configuration: log in, show the limits, warn about what will bite.",
)
app.command(
    "forebay.cli.status:status",
    name="status",
    help="Tell whether a running Forebay serves, and what it does now.",
)
app.command(
    "forebay.cli.top:top",
    name="top",
    help="Show who holds connections, who waits and what pins, live.",
)
app.command(
    "forebay.cli.clients:clients",
    name="clients",
    help="List the clients of a running Forebay, and what each does.",
)
app.command(
    "forebay.cli.pools:pools",
    name="pools",
    help="List clients and connections of each database and user.",
)
app.command(
    "forebay.cli.pins:pins",
    name="pins",
    help="Tell who is pinned, why, and what helps.",
)
app.command(
    "forebay.cli.reload:reload",
    name="reload",
    help="Let a running Forebay read its configuration again.",
)
app.command(
    "forebay.cli.pooling:pause",
    name="pause",
    help="Close database connections as they come free, and let clients wait.",
)
app.command(
    "forebay.cli.pooling:resume",
    name="resume",
    help="End what pause or kill has begun.",
)
app.command(
    "forebay.cli.pooling:reconnect",
    name="reconnect",
    help="Let database connections be made anew as they come free.",
)
app.command(
    "forebay.cli.pooling:kill",
    name="kill",
    help="End clients and database connections at once, and let new clients wait.",
)
app.command(
    "forebay.cli.patroni:patroni_callback",
    name="patroni-callback",
    help="Tell a running Forebay that Patroni changes a server's role.",
)
app.command(
    "forebay.cli.stop:stop",
    name="stop",
    help="Let a running Forebay finish its transactions and end.",
)
app.command(
    "forebay.cli.explain:explain",
    name="explain",
    help="Tell what statements do to the session, and whether they pin.",
)
app.command(
    "forebay.cli.plan:plan",
    name="plan",
    help="Tell how many database connections clients need, and how long they wait.",
)
app.command(
    "forebay.cli.token:token",
    name="token",
    help="Print an IAM token, for development and CI.",
)
app.command(
    "forebay.cli.demo:demo",
    name="demo",
    help="Show 300 clients at work on a database that allows 45 connections.",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command. Returns the exit code."""
    try:
        code = app(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except cyclopts.CycloptsError as error:
        text = _without_urls(str(error), arguments)
        sys.stderr.write(f"forebay: {text}\nforebay --help tells how it is used.\n")
        return EXIT_WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # … | head
        _drop_the_rest()
        return EXIT_FAILED
    if not _is_written():
        return EXIT_FAILED
    return code if isinstance(code, int) else EXIT_FINE


def _without_urls(text: str, arguments: Sequence[str]) -> str:
    """What cannot be understood is not repeated if there may be a password in it."""
    from forebay.config.url import is_url  # --version loads nothing

    for each in arguments:
        value = each.partition("=")[2] if each.startswith("--") else each
        if is_url(value):
            text = text.replace(value, "…")
    return text


def _is_written() -> bool:
    """Whether what was printed has got out: Python would only find out when it ends."""
    if sys.stdout is None:
        return True
    try:
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"forebay: the answer can't be written: {error.strerror}\n")
        _drop_the_rest()
        return False
    return True


def _drop_the_rest() -> None:
    """Let Python, when it ends, write what nobody takes to where it does no harm."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
