"""``forebay explain``: what a statement does to the session, whether it pins, and what to do."""

import sys
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.hints import deed, hint, rds_hint
from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, complain, interpreter_problem
from forebay.config import ConfigError, ProxySettings, load_any
from forebay.session.causes import STATEMENT_LIMIT_BYTES, WITH_ITS_CLIENT, PinReason
from forebay.session.pins import minimal_pin
from forebay.session.rds import rds_explanation, rds_pin
from forebay.sql.digest import digest
from forebay.sql.effects import Effects
from forebay.sql.facts import facts_of, too_long
from forebay.worker.sessions.functions import NOTHING_SOUGHT, SoughtFunctions, sought_by

Mode = Literal["minimal", "rds"]

MAX_TEXT_BYTES: Final = 1 << 24
"""More is not read: a text is explained as a whole, in memory."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What one statement does. ``reason`` and ``until`` are None if it does not pin."""

    statement: str
    does: list[str]
    pins: bool
    reason: str | None = None
    why: str | None = None
    until: str | None = None
    hint: str | None = None


def explain(
    sql: Annotated[str, Parameter(name="SQL", allow_leading_hyphen=True)],
    /,
    *,
    mode: Mode | None = None,
    config: str | None = None,
    proxy: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Tell what statements do to the session, and whether they pin their client.

    Nothing is run, and no database is needed: only the text is read, as Forebay reads it. Exit
    codes: 0 it was read, 2 there is no statement in it, or the configuration can't be used.

    Parameters
    ----------
    sql
        One or more statements; - reads them from standard input.
    mode
        minimal as Forebay pins by default, rds as RDS Proxy does. Without it: what the
        configuration says, else minimal.
    config
        A TOML file, as for forebay serve: its session_functions and session_settings count.
    proxy
        The proxy in it, if there are several.
    as_json
        Print a JSON array, one object for each statement.
    """
    text = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1) if sql == "-" else _encoded(sql)
    if len(text) > MAX_TEXT_BYTES:
        complain("explain", [f"more than {MAX_TEXT_BYTES} bytes"])
        return EXIT_WRONG_USE
    if misreading := interpreter_problem():
        complain("explain", [misreading])
        return EXIT_FAILED
    listed = NOTHING_SOUGHT
    if config is not None:
        try:
            chosen = _proxy(config, proxy)
        except (ConfigError, ValueError) as error:
            complain("explain", str(error).splitlines())
            return EXIT_WRONG_USE
        mode = mode or chosen.pinning
        listed = sought_by(msgspec.structs.replace(chosen, pinning=mode))
    mode = mode or "minimal"
    found = explain_text(text, mode, listed)
    if not found:
        complain("explain", ["there is no statement in the text"])
        return EXIT_WRONG_USE
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    elif sys.stdout.isatty():
        Console().print(_table(found, mode))
    else:
        sys.stdout.write("\n".join(line for each in found for line in _lines(each)) + "\n")
    return EXIT_FINE


def _proxy(config: str, name: str | None) -> ProxySettings:
    """The proxy that is meant. Raises ConfigError, or ValueError if there is none."""
    proxies = load_any(config).proxies
    if name is None and len(proxies) == 1:
        return next(iter(proxies.values()))
    if name not in proxies:
        raise ValueError(f"which proxy? Name one with --proxy: {', '.join(proxies)}")
    return proxies[name]


def explain_text(
    text: bytes, mode: Mode, listed: SoughtFunctions = NOTHING_SOUGHT
) -> list[Explanation]:
    """One Explanation for each statement, in order; of a text that cannot be read, one.

    ``listed`` is what the operator lists for that mode.
    """
    facts = facts_of(text)
    parts = facts.statements
    if facts.effects and not parts:  # they cannot be told apart
        return [_explain(text, mode, listed)]
    whole = [_explain(text[start:end], mode, listed) for start, end in parts]
    alone = len(parts) == 1
    if len(text) > STATEMENT_LIMIT_BYTES and (
        mode == "rds" or (alone and not listed.is_certain(text))
    ):
        # What is sent in one message counts together, comments and blanks as well.
        return [_as_one(each, text, mode, alone) for each in whole]
    return whole


def _explain(text: bytes, mode: Mode, listed: SoughtFunctions) -> Explanation:
    facts = facts_of(text, functions=listed.functions)
    is_too_long = len(text) > STATEMENT_LIMIT_BYTES
    reason: PinReason | None
    if mode == "rds":
        reason = rds_pin(too_long(text) if is_too_long else facts)
    elif is_too_long and not listed.is_certain(text):
        reason = PinReason.STATEMENT_TOO_LONG
    else:
        reason = minimal_pin(facts.effects, listed)
    does = list(dict.fromkeys(deed(effect) for effect in facts.effects))
    if not does and facts.first_set is not None:
        does = ["changes a setting until the transaction ends"]  # SET TRANSACTION, SET CONSTRAINTS
    shared = Explanation(
        statement=digest(text),
        does=does or ["nothing that outlives its transaction"],
        pins=False,
    )
    return shared if reason is None else _pinned(shared, reason, mode, facts.effects)


def _as_one(each: Explanation, text: bytes, mode: Mode, alone: bool) -> Explanation:
    reason = PinReason.STATEMENT_TOO_LONG
    if each.reason == reason.value or (each.pins and not alone):
        return each
    found = _pinned(each, reason, mode)
    why = f"{found.why} (All of one message counts: {len(text)} bytes.)"
    return msgspec.structs.replace(found, why=why)


def _pinned(each: Explanation, reason: PinReason, mode: Mode, effects: Effects = ()) -> Explanation:
    rds = mode == "rds"
    return msgspec.structs.replace(
        each,
        pins=True,
        reason=reason.value,
        why=rds_explanation(reason) if rds else reason.cause.sentence,
        until=WITH_ITS_CLIENT if rds else reason.cause.ends,
        hint=rds_hint(reason) if rds else hint(reason, effects),
    )


def _lines(each: Explanation) -> list[str]:
    lines = [each.statement, *(f"  does   {what}" for what in each.does)]
    if not each.pins:
        return [*lines, "  pins   no"]
    return [
        *lines,
        f"  pins   {each.reason}, until {each.until}",
        f"  why    {each.why}",
        f"  hint   {each.hint}",
    ]


def _table(found: list[Explanation], mode: Mode) -> Table:
    table = Table(title=f'pinning = "{mode}"', title_justify="left", show_lines=True)
    for name in ("statement", "what it does to the session", "pins", "hint"):
        table.add_column(name, overflow="fold")
    for each in found:
        pins = f"{each.reason}\nuntil {each.until}" if each.pins else "no"
        row = (each.statement, "\n".join(each.does), pins, each.hint or "")
        # Brackets are SQL's, not markup.
        table.add_row(*(Text(cell) for cell in row), style="yellow" if each.pins else None)
    return table


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
