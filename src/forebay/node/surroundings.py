"""What a worker inherits of the node's environment."""

from collections.abc import Mapping

# Whatever else is in a node's environment may be a secret: /proc/PID/environ shows it to everybody
# who may look at the process, and to all that it starts.
NAMES = frozenset(
    {
        *("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"),
        "TEST_RUN_OF_FOREBAY",  # by which a run of the tests finds all that it has started
    }
)
PREFIXES = (
    *("COVERAGE_", "COV_CORE_", "DYLD_", "FOREBAY_LOG", "FOREBAY_TEST_", "LC_", "LD_", "MALLOC_"),
    *("OPENSSL_", "PYTHON", "SSL_CERT_", "GLIBC_"),
)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a Python process needs, or that tell it how to log."""
    return {
        name: text for name, text in environ.items() if name in NAMES or name.startswith(PREFIXES)
    }
