"""``forebay explain``: what a statement does to the session, whether it pins, and what to do."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from forebay.cli.explain_report import Report, in_words, lines, report, table
from forebay.cli.explanation import Explanation, Mode, Reader, explain_text
from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, complain, interpreter_problem
from forebay.cli.scripts import STANDARD_INPUT, InputError, checked, explain_script, read_file
from forebay.config import ConfigError, ProxySettings, load_any
from forebay.worker.sessions.functions import NOTHING_SOUGHT, sought_by


def explain(
    *sql: Annotated[str, Parameter(name="SQL", allow_leading_hyphen=True)],
    file: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    mode: Mode | None = None,
    prepared: Annotated[bool, Parameter(negative=())] = False,
    fail_on_pin: Annotated[bool, Parameter(negative=())] = False,
    fail_on_unseen: Annotated[bool, Parameter(negative=())] = False,
    config: str | None = None,
    proxy: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Tell what statements do to the session, and whether they pin their client.

    Nothing is run, and no database is needed: only the text is read, as Forebay reads it. Exit
    codes: 0 it was read, 1 a statement pins (with --fail-on-pin) or cannot be seen (with
    --fail-on-unseen), 2 there is no statement in it, or a file or the configuration can't be used.

    Parameters
    ----------
    sql
        One or more statements, sent in one message; - reads them from standard input, like --file.
    file
        One or more files of SQL, read as psql reads them: each statement is sent by itself. - is
        standard input.
    mode
        minimal as Forebay pins by default, rds as RDS Proxy does. Without it: what the
        configuration says, else minimal.
    prepared
        The statements are run as prepared ones of the protocol that have a name.
    fail_on_pin
        End with 1 if any statement pins. Only what pins or cannot be seen is shown then.
    fail_on_unseen
        End with 1 if any statement calls a function of which nothing is known: not PostgreSQL's
        own, not listed in session_functions. Only what pins or cannot be seen is shown then.
    config
        A TOML file, as for forebay serve: its session_functions and session_settings count.
    proxy
        The proxy in it, if there are several.
    as_json
        Print one JSON object, with all statements.
    """
    if misreading := interpreter_problem():
        complain("explain", [misreading])
        return EXIT_FAILED
    try:
        reader = _reader(mode, prepared, config, proxy)
        found = _explanations(list(sql), file or [], reader)
    except (ConfigError, InputError) as error:
        complain("explain", str(error).splitlines())
        return EXIT_WRONG_USE
    told = report(found, reader)
    is_gate = fail_on_pin or fail_on_unseen
    _tell(told, reader, only_findings=is_gate, as_json=as_json)
    fails = (fail_on_pin and told.total.pin) or (fail_on_unseen and told.total.cannot_be_seen)
    return EXIT_FAILED if fails else EXIT_FINE


def _reader(mode: Mode | None, prepared: bool, config: str | None, proxy: str | None) -> Reader:
    """Raises ConfigError, or InputError if the proxy is not there."""
    if config is None:
        return Reader(mode or "minimal", NOTHING_SOUGHT, prepared)
    chosen = _proxy(config, proxy)
    mode = mode or chosen.pinning
    listed = sought_by(msgspec.structs.replace(chosen, pinning=mode))
    return Reader(mode, listed, prepared)


def _proxy(config: str, name: str | None) -> ProxySettings:
    proxies = load_any(config).proxies
    if name is None and len(proxies) == 1:
        return next(iter(proxies.values()))
    if name not in proxies:
        raise InputError(f"which proxy? Name one with --proxy: {', '.join(proxies)}")
    return proxies[name]


def _explanations(texts: list[str], paths: list[str], reader: Reader) -> list[Explanation]:
    """What all that was given does. Raises InputError, also if there is no statement in it."""
    if (*texts, *paths).count("-") > 1:
        raise InputError("standard input can be read only once")
    found: list[Explanation] = []
    empty: list[str] = []
    for text in texts:
        name, explained = _explain_argument(text, reader)
        found += explained
        empty += [] if explained else [name]
    for path in paths:
        name, script = read_file(path)
        explained = explain_script(name, script, reader)
        found += explained
        empty += [] if explained else [name]
    if not texts and not paths:
        raise InputError("nothing to read: give SQL, or --file FILE")
    if not found:
        raise InputError(f"there is no statement in {', '.join(empty)}")
    if empty:
        complain("explain", [f"note: there is no statement in {', '.join(empty)}"])
    return found


def _explain_argument(text: str, reader: Reader) -> tuple[str, list[Explanation]]:
    if text == "-":
        name, script = read_file(text)
        return name, explain_script(STANDARD_INPUT, script, reader)
    if _is_file(text):  # to take its name for SQL would find nothing
        raise InputError(f"{text}: is the name of a file, not SQL: --file {text} reads it")
    encoded = checked("the SQL", text.encode(errors="surrogateescape"))
    return "the text", explain_text(encoded, reader)


def _is_file(text: str) -> bool:
    if text.lower().endswith(".sql") and not any(map(str.isspace, text)):
        return True
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, a zero byte
        return False


def _tell(told: Report, reader: Reader, *, only_findings: bool, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        return
    shown = told.statements
    if only_findings:
        shown = [each for each in shown if each.pins or each.unseen]
    if not sys.stdout.isatty():
        said = [line for each in shown for line in lines(each)]
        sys.stdout.write("\n".join([*said, in_words(told.total)]) + "\n")
        return
    console = Console()
    if shown:
        console.print(table(shown, reader))
    console.print(in_words(told.total), markup=False, highlight=False)
