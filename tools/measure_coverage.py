"""Measures what the tests run of Forebay: ``measure_coverage.py [PYTEST-ARGUMENT ...]``.

Works in a copy of the tree, ``build/coverage/tree``, with a virtual environment of its own, where
the compiled folder is built so that it tells which lines it runs; the build that everything else
uses stays as fast as it is. Prints a table, and writes ``build/coverage/html``. Python's parts are
measured with branches, compiled ones by line. A Python beyond 3.12 is told of compiled lines in a
way that coverage cannot follow (sys.monitoring): there only Python's parts are measured.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "build" / "coverage"
TREE = HERE / "tree"
LEFT_OUT = {".git", "build", "dist", "results", "__pycache__", ".hypothesis", "node_modules"}
BUILT = {".c", ".so"}
TESTS = (
    *("tests/unit", "tests/properties", "tests/playbooks", "tests/simulation"),
    *("tests/drivers/test_psql.py", "tests/drivers/test_asyncpg.py"),
    *("tests/integration/test_connector.py", "tests/integration/test_login_clients.py"),
    *("tests/integration/test_check.py", "tests/integration/test_node.py"),
)
PYTEST = (
    *("-q", "--timeout=600"),
    # What is traced has frames, which keep sockets open until they are collected.
    *("-W", "ignore::ResourceWarning", "-W", "ignore::pytest.PytestUnraisableExceptionWarning"),
)
# Python 3.13 is the first for which Cython speaks to sys.monitoring.
COMPILED_TOO = sys.version_info < (3, 13)


def main(arguments: list[str]) -> int:
    copy_tree()
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    config = (TREE / "tools" / "coverage.ini").read_text()
    if COMPILED_TOO:
        config = config.replace("[run]\n", "[run]\nplugins = Cython.Coverage\n")
    else:
        sys.stderr.write(
            "make coverage: compiled parts are measured on Python 3.11 and 3.12 only, and this is"
            f" {sys.version_info.major}.{sys.version_info.minor}; the table has Python's parts\n"
        )
    (TREE / ".coveragerc").write_text(config)
    made = ("make", f"PYTHON={sys.executable}", "VENV=.venv", ".venv/.test")
    traced = {"FOREBAY_TRACE": "1", "CFLAGS": "-O0"} if COMPILED_TOO else {}
    if run(made, environment | traced) != 0:
        return 1
    pip = (".venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q")
    if COMPILED_TOO and run((*pip, *cython()), environment) != 0:
        return 1
    coverage = (".venv/bin/python", "-m", "coverage")
    run((*coverage, "erase"), environment)
    chosen = arguments or [*TESTS, "-m", "not slow"]
    status = run((*coverage, "run", "-m", "pytest", *PYTEST, *chosen), environment)
    for step in (("combine", "-q"), ("report",), ("html", "-q")):
        run((*coverage, *step), environment)
    page = HERE / "html" / "index.html"
    sys.stderr.write(f"The same line by line: {page.relative_to(ROOT)}\n")
    return status


def run(command: Sequence[str], environment: dict[str, str]) -> int:
    """Runs a command in the copy; returns its exit status."""
    return subprocess.run(command, cwd=TREE, env=environment).returncode  # noqa: S603


def cython() -> list[str]:
    """What Forebay is built with: coverage's plugin for compiled code comes with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [need for need in project["build-system"]["requires"] if need.startswith("Cython")]


def copy_tree() -> None:
    """Brings the copy up to date, and leaves alone what has not changed, so that it is not built
    again."""
    wanted = set(files())
    for name in wanted:
        source, target = ROOT / name, TREE / name
        if not target.exists() or target.stat().st_mtime != source.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for path in (TREE / "src", TREE / "tests"):
        for old in path.rglob("*"):
            gone = old.relative_to(TREE) not in wanted
            if old.is_file() and gone and old.suffix not in BUILT and old.suffix != ".pyc":
                old.unlink()


def files() -> Iterator[Path]:
    """The tree's own files, relative to it."""
    for directory, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in LEFT_OUT and not name.startswith(".venv") and not name.endswith("_cache")
        ]
        for name in set(names) - LEFT_OUT:
            path = Path(directory, name)
            if path.suffix not in BUILT and ".egg-info" not in str(path):
                yield path.relative_to(ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
