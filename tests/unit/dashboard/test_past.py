from forebay.dashboard.past import events_of, past_of
from forebay.node.events import Events
from tests.unit.dashboard.fakes import moment


def test_columns() -> None:
    samples = [moment(1, queries_s=10), moment(2, "other"), moment(3, queries_s=1 / 3, clients=7)]
    past = past_of("app", samples)
    assert past.at == [1, 3]
    assert past.columns["queries_s"] == [10, 0.3333]
    assert past.columns["clients"] == [0, 7]
    assert {len(column) for column in past.columns.values()} == {2}


def test_nothing_yet() -> None:
    past = past_of("app", [])
    assert (past.at, past.columns) == ([], {})


def test_events() -> None:
    events = Events()
    for text in ("one", "two", "three"):
        events.add("INFO", text)
    assert [each.text for each in events_of(events.since(1)).events] == ["two", "three"]
