"""The pages hold what they promise: links lead somewhere, and what they name exists."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import app
from forebay.config import Config, ProxySettings, load
from forebay.config.reading import leaves
from forebay.config.settings import NodeSettings, TargetSettings
from forebay.identity.policy import Policies
from forebay.net.tls import self_signed_certificate
from forebay.node.certificates import Certificate
from forebay.node.materials import Material
from forebay.node.standing import figures_of
from forebay.node.target_status import ServerStatus, TargetStatus, target_figures
from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity
from forebay.session.causes import WITH_ITS_CLIENT, PinReason
from forebay.session.pins import PinCounts
from forebay.worker.sessions.losses import Losses

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])

# Words with an underscore that a page about running Forebay may name though they are no key of
# ours: PostgreSQL's, its drivers' and RDS's.
FOREIGN_WORDS = frozenset(
    {
        *("application_name", "client_encoding", "default_transaction_read_only", "row_security"),
        *("max_connections", "search_path", "session_authorization", "standard_conforming_strings"),
        "generate_db_auth_token",
        *("prepare_threshold", "prepared_max", "statement_cache_size", "server_version"),
        *("pg_advisory_lock", "pg_advisory_xact_lock", "pg_try_advisory_lock"),
        *("pg_stat_activity", "pg_terminate_backend", "pg_rewind", "synchronous_standby_names"),
    }
)
# Fields of log lines.
LOG_WORDS = frozenset({"duration_s", "retry_in_s"})


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """The page's code blocks in this language ("": those that name none)."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def spans(page: Path) -> list[str]:
    """What stands between backquotes on one line."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def rows(page: Path) -> Iterator[list[str]]:
    """The cells of all table rows whose first cell is code."""
    for line in prose(page).splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.split("|")[1:-1]]


# ---- Links ---------------------------------------------------------------------------------------


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        inside = target.is_relative_to(ROOT) and target.exists()
        if not inside or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_can_be_reached() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert "docs/index.md" in (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index


def test_decisions_are_numbered_and_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for number, page in enumerate(DECISIONS, start=1):
        title = page.read_text().splitlines()[0]
        assert page.name.startswith(f"{number:04}-")
        assert title.startswith(f"# {number:04} ")
        assert f"[{number:04}]({page.name}) | {title[7:]} |" in listed


# ---- Configuration and commands ------------------------------------------------------------------


def keys() -> set[str]:
    found = {*(path for path, _ in leaves(NodeSettings)), *(p for p, _ in leaves(ProxySettings))}
    return {str(path[-1]) for path in found}


@each_page
def test_configurations_can_be_loaded(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        assert isinstance(load(file, {}), Config)


@each_page
def test_policies_can_be_read(page: Path) -> None:
    """Those of Forebay's own, which have principals; the others are attached in AWS."""
    for number, text in enumerate(blocks(page, "json")):
        if '"Principal"' in text:
            Policies.parse({f"{page.name}, {number}": text})


@each_page
def test_keys_that_are_set_exist(page: Path) -> None:
    named = {match[1] for span in spans(page) if (match := re.match(r"([a-z_]+) = ", span))}
    pgbouncers = {"pool_mode", "max_prepared_statements"}
    assert named <= keys() | (pgbouncers if page.name == "benchmarks.md" else set())


@pytest.mark.parametrize("name", ["README.md", "docs/errors.md", "docs/operations.md"])
def test_words_that_look_like_keys_exist(name: str) -> None:
    words = {span for span in spans(ROOT / name) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", span)}
    known = keys() | figures() | set(error_functions()) | FOREIGN_WORDS | LOG_WORDS
    assert words <= known


@each_page
def test_commands_exist(page: Path) -> None:
    code = "\n".join([*spans(page), *blocks(page, "")])
    named = set(re.findall(r"(?:^|bin/)forebay ([a-z]+(?:-[a-z]+)*)", code, re.MULTILINE))
    assert named <= {name for name in app if not name.startswith("-")}


@each_page
def test_make_targets_exist(page: Path) -> None:
    code = "\n".join([*spans(page), *blocks(page, "")])
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^make ([a-z]+)", code, re.MULTILINE)) <= set(" ".join(phony).split())


# ---- Errors, pins, figures -----------------------------------------------------------------------


def error_functions() -> dict[str, Callable[..., PgError]]:
    return {
        name: function
        for name, function in inspect.getmembers(errors, inspect.isfunction)
        if inspect.signature(function).return_annotation is PgError and not name.startswith("_")
    }


def placeholder(name: str) -> Any:
    """What stands on the page for an argument."""
    return {"limit": "N", "rate": "N", "major": 2, "minor": 0}.get(name, name.upper())


def example(function: Callable[..., PgError]) -> PgError:
    parameters = inspect.signature(function).parameters.values()
    return function(*(placeholder(p.name) for p in parameters if p.default is p.empty))


def documented_errors() -> dict[str, list[str]]:
    return {row[0].strip("`"): row[1:] for row in rows(ROOT / "docs" / "errors.md")}


def test_every_error_is_documented_and_no_other() -> None:
    assert documented_errors().keys() == error_functions().keys()


@pytest.mark.parametrize("name", sorted(error_functions()))
def test_an_error_is_documented_as_it_is(name: str) -> None:
    cells = documented_errors()[name]
    error = example(error_functions()[name])
    severity = cells.pop(0) if cells[0] in ("ERROR", "FATAL", "either") else "FATAL"
    assert severity == "either" or Severity(severity) is error.severity or len(cells) == 2
    assert cells[0] == error.sqlstate
    if name != "protocol_violation":  # its text is its argument
        assert cells[1] == f"`{error.message}`"
    assert len(cells) == 2 or cells[2]  # when


def test_every_pin_reason_is_documented_and_no_other() -> None:
    found = {row[0].strip("`") for row in rows(ROOT / "docs" / "sessions.md")}
    assert found == {reason.value for reason in PinReason}
    ends = {row[0].strip("`"): row[2] for row in rows(ROOT / "docs" / "sessions.md")}
    assert {reason for reason, end in ends.items() if end != "with the client"} == {
        reason.value for reason in PinReason if reason.cause.ends != WITH_ITS_CLIENT
    }


def figures() -> set[str]:
    """What a worker counts by proxy, and what the node adds."""
    return worker_figures() | node_figures()


def node_figures() -> set[str]:
    proxy = ProxySettings(target=TargetSettings(hosts=["db"]))
    certificate = Certificate(*self_signed_certificate(), self_made=True)
    standby = ServerStatus(address="b:5432", role="READ_ONLY", health="AVAILABLE", lag_s=0.5)
    numbers, parts = target_figures(TargetStatus(servers=[standby]))
    own = figures_of(proxy, Material([], [certificate]), {}, datetime.now(UTC))
    return {*own, *numbers, *parts}


def worker_figures() -> set[str]:
    """Read from their source: making a proxy needs a loop. The keys of the dicts in it, and what
    pins are counted by."""
    tree = ast.parse((ROOT / "src" / "forebay" / "worker" / "figures.py").read_text())
    keys = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    histograms = {"borrow_wait", "query", "database"}
    return (
        {str(key) for key in keys} - histograms
        | Losses().figures().keys()
        | PinCounts().figures().keys()
    )


def test_every_figure_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.split("## Figures", 1)[1].split("\n## ", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == figures()
