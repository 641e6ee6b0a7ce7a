"""Builds the compiled folder, ``forebay.relay``; everything else is in pyproject.toml.

``CFLAGS`` come last: ``CFLAGS=-O0`` builds in a third of the time what need not be fast.
``FOREBAY_TRACE=1`` builds what tells coverage which lines it runs (see tools/measure_coverage.py).
"""

import os
import shlex
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

RELAY = Path("src/forebay/relay")
# A .py beside a .pxd is Cython's pure-Python mode: the same source runs interpreted in tests.
SOURCES = sorted(RELAY.rglob("*.pyx")) + sorted(
    source.with_suffix(".py")
    for source in RELAY.rglob("*.pxd")
    if source.with_suffix(".py").exists()
)

TRACED = os.environ.get("FOREBAY_TRACE") == "1"


def module_of(source: Path) -> str:
    """The full name of the module that a source is."""
    return ".".join(source.relative_to("src").with_suffix("").parts)


def processors() -> int:
    """How many this process may use: in a container fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ParallelBuild(build_ext):
    """Translates to C only where something is compiled, and does both on all processors.

    So an sdist holds the sources as they were written.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or processors()

    def build_extensions(self) -> None:
        translated = cythonize(
            self.extensions,
            nthreads=self.parallel if self.parallel > 1 else 0,
            # Nothing here can be pickled in earnest: connections, and the books about them.
            compiler_directives={"language_level": 3, "auto_pickle": False, "linetrace": TRACED},
        )
        sources = {each.name: each.sources for each in translated}
        for each in self.extensions:  # setuptools has noted things on these
            each.sources = sources[each.name]
        super().build_extensions()


setup(
    ext_modules=[
        Extension(
            module_of(source),
            [str(source)],
            # -g0: nobody debugs the C that Cython writes, and describing it takes time.
            define_macros=[("CYTHON_TRACE_NOGIL", "1")] if TRACED else [],
            extra_compile_args=[
                *("-O2", "-fno-strict-aliasing", "-g0"),
                *shlex.split(os.environ.get("CFLAGS", "")),
            ],
        )
        for source in SOURCES
    ],
    cmdclass={"build_ext": ParallelBuild},
)
