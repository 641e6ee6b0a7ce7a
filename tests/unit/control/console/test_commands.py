"""The table, command by command: who may give which."""

import pytest

from forebay.config.settings import ProxySettings, TargetSettings
from forebay.control.console.commands import COMMANDS, HELP, NOT_HERE, entry_for, role_of
from forebay.control.console.grammar import PARAMETERS, Command, CommandError, parse
from forebay.control.console.tables import COLUMNS

SETTINGS = ProxySettings(
    target=TargetSettings(hosts=["db"]), admin_users=["ops"], stats_users=["metrics", "ops"]
)
CHANGE = {"KILL", "PAUSE", "RECONNECT", "RELOAD", "RESUME"}


def test_roles() -> None:
    roles = {user: role_of(SETTINGS, user) for user in ("ops", "metrics", "app", "")}
    assert roles == {"ops": "admin", "metrics": "stats", "app": None, "": None}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command(name: str) -> None:
    command = Command(name)
    with pytest.raises(CommandError, match="not allowed") as caught:
        entry_for(command, None, name)
    assert caught.value.sqlstate == "42501"
    assert entry_for(command, "admin", name) is COMMANDS[name]
    assert (COMMANDS[name].role == "admin") == (name in CHANGE)
    if name in CHANGE:
        with pytest.raises(CommandError, match="admin access needed") as caught:
            entry_for(command, "stats", name)
        assert caught.value.sqlstate == "42501"
    else:
        assert entry_for(command, "stats", name) is COMMANDS[name]


def test_only_some_take_a_name() -> None:
    for name, entry in COMMANDS.items():
        command = Command(name, "x")
        if entry.takes_name:
            assert entry_for(command, "admin", name) is entry
        else:
            with pytest.raises(CommandError, match="invalid command 'as typed'"):
                entry_for(command, "admin", "as typed")


def test_what_there_is_not() -> None:
    for name in NOT_HERE:
        with pytest.raises(CommandError, match=f"Forebay has no {name}: ") as caught:
            entry_for(Command(name), "admin", name)
        assert caught.value.sqlstate == "0A000"
    with pytest.raises(CommandError, match="invalid command 'SHOW FDS'"):
        entry_for(parse("SHOW FDS"), "admin", "SHOW FDS")


def test_everything_that_is_shown_has_columns_and_stands_in_the_help() -> None:
    shown = {name.removeprefix("SHOW ") for name in COMMANDS if name.startswith("SHOW ")}
    assert shown == COLUMNS.keys()
    assert all(each in HELP for each in (shown | CHANGE) - PARAMETERS.keys())
