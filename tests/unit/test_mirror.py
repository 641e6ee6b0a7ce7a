"""Each source file has a file of unit tests that mirrors its name."""

from pathlib import Path

import pytest

import forebay

ROOT = Path(forebay.__file__).parent
HERE = Path(__file__).parent
FOLDERS = sorted(
    each.name for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith("__")
)
SUFFIXES = {".py", ".pyx"}
# Files without one, and what tests them instead.
ELSEWHERE = {
    "cli/serve.py": "integration/test_node_serve.py",  # a process with its signals
    "cli/plan_sample.py": "integration/test_plan.py",  # asks a database
    "demo/clients.py": "integration/test_demo.py",  # a process full of clients
    "demo/failover/act.py": "integration/test_demo.py",  # all of it together
    "demo/failover/operator.py": "integration/test_demo.py",  # kills a server, promotes another
    "demo/sampling.py": "integration/test_demo.py",  # asks a database
    "demo/tour.py": "integration/test_demo.py",  # all of it together
    "node/observer.py": "integration/test_observer.py",  # asks a worker
    "worker/figures.py": "integration/test_observer.py",
    "worker/views.py": "integration/test_observer.py",
    "node/node.py": "integration/test_node.py",  # workers' lives
    "node/reconciler.py": "integration/test_node.py",
    "node/supervisor.py": "integration/test_node.py",
    "sql/own_functions.py": "integration/test_own_functions.py",  # asks a database for its own
}
NOTHING_IN_IT = {
    *("channel/envelopes.py", "dashboard/watched.py", "embedded/errors.py"),
    *("node/errors.py", "topology/sources/source.py", "worker/asking.py"),
}


def sources(folder: str) -> list[str]:
    """Python's and Cython's source files."""
    return sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES and path.name != "__init__.py"
    )


def mirror_of(name: str) -> Path:
    """The file of unit tests of a source file."""
    return (HERE / name).with_name(f"test_{Path(name).stem}.py")


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_source_file_has_unit_tests(folder: str) -> None:
    assert sources(folder)
    missing = [name for name in sources(folder) if not mirror_of(name).exists()]
    assert set(missing) <= ELSEWHERE.keys() | NOTHING_IN_IT


def test_exceptions_are_needed_and_tested_elsewhere() -> None:
    for name in (*ELSEWHERE, *NOTHING_IN_IT):
        assert (ROOT / name).exists()
        assert not mirror_of(name).exists()
    assert all((HERE.parent / where).exists() for where in ELSEWHERE.values())
