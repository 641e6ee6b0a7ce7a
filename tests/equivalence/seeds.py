"""Which random programs run.

FOREBAY_TEST_SEQUENCES=3000 tries so many sequences of each variant that nobody has tried before.
FOREBAY_TEST_SEED=dense:1234 is one program of one variant again, as a failure says it.
"""

import os

import pytest

VARIANTS = "sparse", "dense", "tenants"
SEQUENCES, SEED = "FOREBAY_TEST_SEQUENCES", "FOREBAY_TEST_SEED"
NEW_SEQUENCES = int(os.environ.get(SEQUENCES, "0"))


def again(variant: str, seed: int) -> str:
    """What is to be set to run the program again."""
    return f"{SEED}={variant}:{seed}"


def given(variant: str) -> int | None:
    """Returns the seed that is to be run again, None if none is."""
    chosen = _chosen()
    return chosen[1] if chosen is not None and chosen[0] == variant else None


def is_left_out(variant: str) -> bool:
    """Whether a program of another variant is to be run again."""
    chosen = _chosen()
    return chosen is not None and chosen[0] != variant


def _chosen() -> tuple[str, int] | None:
    text = os.environ.get(SEED)
    if not text:
        return None
    variant, _, seed = text.partition(":")
    if variant not in VARIANTS or not seed.isdecimal():
        raise pytest.UsageError(f"{SEED} is one of {', '.join(VARIANTS)}, a colon and a number")
    return variant, int(seed)
