"""The states of clients and connections: the table is whole, drawn, and the only way to move."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import forebay
from forebay.relay import states

RELAY = Path(forebay.__file__).parent / "relay"
ROOT = Path(__file__).parents[3]
NUMBERS = {state.name: number for number, state in states.TABLE.items()}
OF_CLIENTS = {"IDLE", "WORKING", "QUEUED", "HELD", "UNSETTLED", "GONE"}
OF_CONNECTIONS = {"FREE", "LENT", "SETTLING", "PARKED", "SHUT"}
_WRITES = re.compile(r"(\w+)\.state = (.*)")
# What begins has no state before.
BEGINS = {"client.pyx": ["self.state = IDLE"], "connection.pyx": ["self.state = SETTLING"]}


def after(name: str) -> set[str]:
    return {states.TABLE[to].name for to in states.TABLE[NUMBERS[name]].moves}


def reached_from(name: str) -> set[str]:
    found = {name}
    frontier = [name]
    while frontier:
        new = after(frontier.pop()) - found
        found |= new
        frontier += new
    return found


class TestMoves:
    def test_those_of_the_table_are_allowed_and_no_others(self) -> None:
        for now, state in states.TABLE.items():
            for to in states.TABLE:
                if to in state.moves:
                    assert states.check(now, to) == to
                else:
                    with pytest.raises(states.StateError, match=f"{state.name} cannot become"):
                        states.check(now, to)

    def test_each_row_says_what_it_is_and_what_leads_on(self) -> None:
        for state in states.TABLE.values():
            assert state.meaning
            assert all(state.moves.values())


class TestTable:
    def test_each_state_is_of_one_kind_and_can_be_reached(self) -> None:
        assert reached_from("IDLE") == OF_CLIENTS
        assert reached_from("SETTLING") == OF_CONNECTIONS
        assert NUMBERS.keys() == OF_CLIENTS | OF_CONNECTIONS

    def test_what_has_ended_stays_so(self) -> None:
        assert after("GONE") == after("SHUT") == set()
        for name in OF_CLIENTS:
            assert "GONE" in reached_from(name)
        for name in OF_CONNECTIONS:
            assert "SHUT" in reached_from(name)

    def test_a_connection_is_free_before_a_client_has_it_and_cleaned_behind_it(self) -> None:
        leads_to_lent = {name for name in OF_CONNECTIONS if "LENT" in after(name)}
        assert leads_to_lent == {"FREE"}
        assert after("LENT") == {"SETTLING"}

    def test_a_parked_connection_is_used_only_when_the_cancel_request_is_delivered(self) -> None:
        assert after("PARKED") == {"FREE", "SHUT"}

    def test_nothing_is_read_of_a_client_that_waits(self) -> None:
        # relay/walk.pyx: `state > WORKING`
        assert {name for name in OF_CLIENTS if NUMBERS[name] <= NUMBERS["WORKING"]} == {
            "IDLE",
            "WORKING",
        }


class TestUse:
    def test_states_change_by_the_one_function(self) -> None:
        wrong = [
            f"{path.name}: {found[0]}"
            for path in sorted(RELAY.rglob("*.pyx"))
            for found in _WRITES.finditer(path.read_text())
            if not found[2].startswith("moved(") and found[0] not in BEGINS.get(path.name, [])
        ]
        assert wrong == []

    def test_architecture_shows_the_table(self) -> None:
        command = [sys.executable, "tools/draw_states.py", "--check"]
        shown = subprocess.run(command, cwd=ROOT, check=False)
        assert shown.returncode == 0, "python tools/draw_states.py"
