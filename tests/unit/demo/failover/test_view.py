import io

from rich.console import Console

from forebay.channel.routes import Route
from forebay.demo.failover.reports import Report
from forebay.demo.failover.result import Outcome, Part
from forebay.demo.failover.view import Moment, summary

REPORT = Report(connected=300, dropped=300, writes=99_999)


def test_the_line_fits_and_says_how_forebay_holds() -> None:
    route = Route(state="SUSPECT", epoch=12, writer="127.0.0.1:5432")
    line = Moment(REPORT, 12.34, route, 299).line().plain
    assert "300 clients" in line
    assert "SUSPECT epoch 12, 299 waiting" in line
    assert line.endswith("no write for 12.3 s")
    assert len(line) <= 80


def test_without_forebay_and_without_a_pause() -> None:
    line = Moment(REPORT, 0.2).line().plain
    assert line == "  300 clients, 300 dropped │ 99999 writes"


def test_the_table() -> None:
    screen = io.StringIO()
    outcome = Outcome(
        clients=300,
        idle_clients=100,
        direct=Part(idle_clients_dropped=100, clients_dropped=300, statements_failed=201),
        forebay=Part(clients_dropped=12, writes=2001, seconds_without_a_write=1.234),
    )
    Console(file=screen, width=80).print(summary(outcome))
    lines = {line.split("│")[1].strip(): line for line in screen.getvalue().splitlines()[4:-1]}
    assert lines["idle clients dropped"].split("│")[2:4] == ["    100 ", "               0 "]
    assert lines["working clients dropped"].split("│")[2:4] == ["    200 ", "              12 "]
    assert "2001" in lines["writes acknowledged"]
    assert "1.23" in lines["time without any write"]
    assert all(len(line) <= 80 for line in lines.values())
