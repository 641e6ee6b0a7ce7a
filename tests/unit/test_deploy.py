"""What is there to deploy with Forebay: it names metrics that there are, Prometheus takes it."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from forebay.metrics import CATALOGUE, Kind
from forebay.metrics.metric import snake

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "forebay.json"

BY_KIND = {Kind.LATENCY: ("_bucket", "_sum", "_count"), Kind.MEAN: ("_sum", "_count")}
SAMPLES = {
    f"{each.prometheus}{suffix}": each
    for each in CATALOGUE
    for suffix in BY_KIND.get(each.kind, ("",))
}
NAMES = re.compile(r"\bforebay_[a-z_]+\b")
BY = re.compile(r"\bby \(([^)]*)\)")


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> list[str]:
    return [each["expr"] for panel in panels() for each in panel.get("targets", ())]


def alerts() -> list[str]:
    """The expressions of the rules."""
    return re.findall(r"expr: (?:>-\n)?(.+?)\n\s+(?:for|labels):", ALERTS.read_text(), re.DOTALL)


def promtool(*arguments: str, cwd: Path | None = None) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool (Debian's package prometheus)")
    done = subprocess.run(
        [program, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    assert len(alerts()) == ALERTS.read_text().count("- alert:")
    assert len(queries()) > 40
    for text in (*alerts(), *queries()):
        assert NAMES.findall(text) or "up{" in text
        assert set(NAMES.findall(text)) <= SAMPLES.keys(), text


def test_the_labels_that_they_group_by_are_there() -> None:
    for text in (*alerts(), *queries()):
        for name in NAMES.findall(text):
            row = SAMPLES[name]
            known = {*row.labels, "instance", "le", *([snake(row.label)] if row.label else [])}
            for labels in BY.findall(text):
                assert set(labels.replace(" ", "").split(",")) <= known, text


def test_rates_are_those_of_counters_and_gauges_have_none() -> None:
    for text in (*alerts(), *queries()):
        rated = set(re.findall(r"(?:rate|increase)\((forebay_[a-z_]+)", text))
        named = set(NAMES.findall(text))
        gauges = {name for name in named if SAMPLES[name].kind is Kind.GAUGE}
        assert rated == named - gauges, text


def test_prometheus_takes_the_alerts() -> None:
    promtool("check", "rules", str(ALERTS))


def test_prometheus_takes_the_dashboards_queries(tmp_path: Path) -> None:
    rules = [
        {"record": f"q{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_alerts_fire_when_they_should_and_not_else(tmp_path: Path) -> None:
    proxy = 'proxy="app",instance="a"'
    target = f'{proxy},target="db:5432",target_role="READ_WRITE"'

    def series(waits: str, used: str, refused: str) -> list[dict[str, str]]:
        return [
            {"series": f"forebay_clients_waiting_longest_seconds{{{proxy}}}", "values": waits},
            {
                "series": f"forebay_database_connections_currently_borrowed{{{target}}}",
                "values": used,
            },
            {"series": f"forebay_max_database_connections_allowed{{{target}}}", "values": "40x20"},
            {
                "series": f"forebay_queries_refused_total{{{proxy}}}",
                "values": refused,
            },
        ]

    names = ("ForebayClientsWait", "ForebayConnectionsNearLimit", "ForebayClientsRefused")

    def case(given: list[dict[str, str]], fire: bool) -> dict[str, Any]:
        labels = {
            "ForebayClientsWait": {"severity": "warning", "proxy": "app", "instance": "a"},
            "ForebayClientsRefused": {"severity": "critical", "proxy": "app", "instance": "a"},
            "ForebayConnectionsNearLimit": {
                "severity": "warning",
                "proxy": "app",
                "instance": "a",
                "target": "db:5432",
                "target_role": "READ_WRITE",
            },
        }
        summaries = {
            "ForebayClientsWait": {
                "summary": "Clients of app wait for 9s",
                "description": "The log says who holds the connections, and so does forebay top.",
            },
            "ForebayConnectionsNearLimit": {"summary": "app uses 97.5% of its connections"},
            "ForebayClientsRefused": {
                "summary": "app has refused clients for want of a database connection",
                "description": "forebay_clients_refused_total tells them by SQLSTATE, the log"
                " who they were.",
            },
        }
        expected = {
            name: [{"exp_labels": labels[name], "exp_annotations": summaries[name]}] if fire else []
            for name in names
        }
        return {
            "interval": "1m",
            "input_series": given,
            "alert_rule_test": [
                {"eval_time": "10m", "alertname": name, "exp_alerts": expected[name]}
                for name in names
            ],
        }

    shutil.copy(ALERTS, tmp_path / "alerts.yml")
    cases = [
        case(series("9x20", "39x20", "0+3x20"), True),
        case(series("0x20", "20x20", "7x20"), False),
    ]
    document = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "test.yml").write_text(json.dumps(document))
    promtool("test", "rules", "test.yml", cwd=tmp_path)


def test_alerts_on_database_servers(tmp_path: Path) -> None:
    proxy = 'proxy="app",instance="a"'
    names = {
        "ForebayRequestsHeld": f"forebay_target_hold_time_seconds_total{{{proxy}}}",
        "ForebayNoStandby": f"forebay_standbys{{{proxy}}}",
        "ForebayServerFenced": f"forebay_servers_fenced{{{proxy}}}",
        "ForebayReplicaLag": f'forebay_server_replica_lag_seconds{{{proxy},server="b:5432"}}',
    }

    def case(values: dict[str, str], fire: bool) -> dict[str, Any]:
        return {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values[name]} for name, series in names.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                    "eval_time": "10m",
                    "exp_samples": [{"labels": "{}", "value": int(fire)}],
                }
                for name in names
            ],
        }

    shutil.copy(ALERTS, tmp_path / "alerts.yml")
    cases = [
        case(dict(zip(names, ("0+30x20", "0x20", "1x20", "90x20"), strict=True)), True),
        case(dict(zip(names, ("0+1x20", "1x20", "0x20", "9x20"), strict=True)), False),
    ]
    document = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "test.yml").write_text(json.dumps(document))
    promtool("test", "rules", "test.yml", cwd=tmp_path)


def test_the_dashboard_has_no_panel_on_another() -> None:
    places = [(each["title"], each["gridPos"]) for each in panels()]
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one, other)
    assert all(place["x"] + place["w"] <= 24 for _, place in places)
    assert len({each["id"] for each in panels()}) == len(panels())
