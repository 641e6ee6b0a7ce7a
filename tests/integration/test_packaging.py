"""What is released: the sdist, and the wheel that is built of nothing but the sdist, as pip does it
where there is no wheel. Installed into an empty environment, it is all there, and runs."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from forebay.dashboard import files as page_files
from forebay.embedded.binaries import ENVIRONMENT_NAME
from forebay.embedded.postgres import Postgres
from forebay.embedded.surroundings import clean_environment

ROOT = Path(__file__).parents[2]
RELAY = ROOT / "src" / "forebay" / "relay"
TIMEOUT_S = 500.0
UNREACHABLE = re.compile(r"NewConnectionError|NameResolution|Failed to connect|ConnectTimeout")
UNTOUCHED = shutil.ignore_patterns("__pycache__")

# All that does not need an extra: metrics.otel is what forebay[otel] is for.
IMPORT_ALL = """
import importlib, json, pkgutil, forebay
names = [each.name for each in pkgutil.walk_packages(forebay.__path__, "forebay.")]
names.remove("forebay.metrics.otel")
files = {name: importlib.import_module(name).__file__ for name in names if "__main__" not in name}
print(json.dumps(files))
"""


def run(*command: str | Path, environ: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Runs a program to its end; what it printed. Skips where that needs PyPI and it is away."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=clean_environment() | dict(environ or {}),
        cwd=cwd,
    )
    if done.returncode != 0 and UNREACHABLE.search(done.stdout + done.stderr):
        pytest.skip("PyPI does not answer")
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_of_the_sources(folder: Path) -> Path:
    """With what an earlier build has left beside them, which must not get into this one."""
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=UNTOUCHED)
    return folder


def relay_sources() -> list[Path]:
    """What is compiled, and what that needs."""
    return [path for path in RELAY.rglob("*.*") if path.suffix in (".pyx", ".pxd", ".py", ".pyi")]


def compiled_modules() -> set[str]:
    sources = {path.with_suffix("") for path in RELAY.rglob("*.pyx")}
    declared = {path.with_suffix("") for path in RELAY.rglob("*.pxd")}
    sources |= declared & {path.with_suffix("") for path in RELAY.rglob("*.py")}
    return {".".join(path.relative_to(ROOT / "src").parts) for path in sources}


@pytest.mark.slow
@pytest.mark.timeout(2 * TIMEOUT_S)
def test_sdist_and_wheel_install_and_run(tmp_path: Path, postgres: Postgres) -> None:
    source, dist = tmp_path / "source", tmp_path / "dist"
    source.mkdir()
    # The wheel is built from the sdist. It is to be seen that it works, not how fast it is.
    run(
        *(sys.executable, "-m", "build", "--outdir", dist, copy_of_the_sources(source)),
        environ={"CFLAGS": "-O0"},
    )
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    with tarfile.open(sdist) as archive:
        packed = {
            member.name.partition("/src/")[2]
            for member in archive
            if member.isfile() and "/relay/" in member.name
        }
    sources = {str(path.relative_to(ROOT / "src")) for path in relay_sources()}
    assert packed == sources  # and no C of an earlier build
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert sum(name.endswith(".so") for name in names) == len(compiled_modules())
    assert not [name for name in names if name.endswith((".c", ".pyx"))]
    pages = {f"forebay/dashboard/page/{name}" for name in page_files.names()}
    assert pages <= set(names)

    empty = tmp_path / "empty"
    run(sys.executable, "-m", "venv", "--without-pip", empty)
    python = empty / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel)
    files = json.loads(run(python, "-I", "-c", IMPORT_ALL, cwd=tmp_path))
    assert all(path.startswith(str(empty)) for path in files.values())
    assert {name for name, path in files.items() if path.endswith(".so")} == compiled_modules()

    forebay = empty / "bin" / "forebay"
    assert run(forebay, "--version", cwd=tmp_path).startswith("forebay ")
    programs = {ENVIRONMENT_NAME: str(postgres.binaries.bin_dir)}  # of the extra "demo"
    options = ("--json", "--seconds", "1", "--port", "0")
    result = json.loads(run(forebay, "demo", *options, environ=programs, cwd=tmp_path))
    assert result["clients"] == 300
    assert result["transactions"] > 0
