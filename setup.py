"""Builds the compiled folder, ``forebay.worker.relay``; everything else is in pyproject.toml."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

RELAY = Path("src/forebay/worker/relay")
# A .py beside a .pxd is Cython's pure-Python mode: the same source runs interpreted in tests.
SOURCES = sorted(RELAY.glob("*.pyx")) + sorted(
    source.with_suffix(".py")
    for source in RELAY.glob("*.pxd")
    if source.with_suffix(".py").exists()
)

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"forebay.worker.relay.{source.stem}",
                [str(source)],
                extra_compile_args=["-O2", "-fno-strict-aliasing"],
            )
            for source in SOURCES
        ],
        # Nothing here can be pickled in earnest: connections, and the books about them.
        compiler_directives={"language_level": 3, "auto_pickle": False},
    )
)
