import io

from rich.console import Console
from rich.text import Text

from forebay.demo.reports import Report
from forebay.demo.result import Result
from forebay.demo.view import ConsoleView, Meter, Moment, View, summary


def shown(is_terminal: bool) -> str:
    """What two moments of one stage look like."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=is_terminal, width=80, legacy_windows=False)
    view = ConsoleView(console)
    meter = Meter()
    view.act("Of pools", "Many come, and few are there.")
    view.stage("through Forebay")
    report = Report(connected=300, refused=255, transactions=99_999)
    view.show(meter.line(Moment.of(Report(connected=1), 1, 0)))
    view.show(meter.line(Moment.of(report, 40, 260)))
    view.close()
    view.close()
    return screen.getvalue()


def test_a_file_gets_one_line_a_stage_that_fits() -> None:
    lines = shown(is_terminal=False).splitlines()
    _, act, story, title, line = lines
    assert act.startswith("Of pools ━")
    assert all(len(each) <= 80 for each in lines)
    assert story == "Many come, and few are there."
    assert title == "through Forebay"
    assert "300 clients, 255 refused │ 40 connections, 260 waiting │ 99999 done" in line


def test_a_terminal_gets_a_moving_line() -> None:
    text = shown(is_terminal=True)
    assert "1 clients" in text
    assert "300 clients" in text
    assert text.endswith("\x1b[?25h")  # the cursor is there again


def test_the_silent_view_is_silent() -> None:
    view = View()
    view.act("x", "x")
    view.stage("x")
    view.show(Text("x"))
    view.close()


def test_the_table() -> None:
    screen = io.StringIO()
    result = Result(
        clients=300,
        database_connection_limit=45,
        pool_connection_limit=40,
        direct_connected=44,
        direct_refused=256,
        added_latency_us_p50=17.6,
    )
    Console(file=screen, width=80).print(summary(result))
    lines = {line.split("│")[1].strip(): line for line in screen.getvalue().splitlines()[4:-1]}
    assert "256" in lines["clients refused"]
    assert "+18 µs" in lines["latency of a statement, median"]
    assert all(len(line) <= 80 for line in lines.values())
