from bench.measures.changeover import CASES, EQUAL, INCOMPARABLE, READY, TENANTS, compare, script
from bench.results import Row
from bench.sides import Side


def row(case: str) -> Row:
    return Row("change-over", case, "", "")


def test_settings_are_made_once_and_checked_each_time() -> None:
    text = script({"app.tenant": "tenant :client_id", "search_path": "x, public"})
    once, always = text.split("\\endif\n")
    assert once.splitlines() == [
        f"\\if :{READY} = 0",
        "SELECT set_config('app.tenant', 'tenant :client_id', false);",
        "SELECT set_config('search_path', 'x, public', false);",
        f"\\set {READY} 1",
    ]
    assert always.startswith("SELECT 1 / (")
    assert "current_setting('app.tenant', true) = 'tenant :client_id'" in always
    assert "current_setting('search_path', true) = 'x, public'" in always


def test_only_equal_settings_are_equal() -> None:
    for case, settings in CASES.items():
        assert any(":client_id" in value for value in settings.values()) is (case != EQUAL)
    assert {TENANTS} == INCOMPARABLE


def test_a_change_over_is_compared_with_equal_settings_of_its_round() -> None:
    own = "own application_name"
    cpu = {case: row(case) for case in CASES}
    ratios = {case: row(case) for case in (own, TENANTS)}
    for equal, other in ((10.0, 15.0), (20.0, 60.0)):
        cpu[EQUAL].add(Side.FOREBAY, equal)
        cpu[own].add(Side.FOREBAY, other)
        compare(Side.FOREBAY, cpu, ratios)
    assert ratios[own].samples == {Side.FOREBAY: [1.5, 3.0]}
    compare(Side.DIRECT, cpu, ratios)  # where no proxy's CPU is measured
    assert ratios[TENANTS].samples == {}
    assert Side.DIRECT not in ratios[own].samples
