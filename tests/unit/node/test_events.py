"""The latest events."""

from forebay.node.events import TEXT_CHARACTERS, Events


def test_the_newest_are_kept_and_numbered() -> None:
    events = Events(kept=3)
    for number in range(5):
        events.add("INFO", f"event {number}", "app")
    assert [each.text for each in events.since()] == ["event 2", "event 3", "event 4"]
    assert [each.number for each in events.since(4)] == [5]
    assert events.since(5) == []
    assert events.since()[0].proxy == "app"
    assert events.since()[0].at <= events.since()[-1].at


def test_a_long_one_is_cut() -> None:
    events = Events()
    events.add("ERROR", "x" * 100_000)
    assert events.since()[0].text == "x" * TEXT_CHARACTERS
