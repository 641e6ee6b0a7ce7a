"""Which prepared statements an effect ends."""

import pytest

from forebay.session.deallocation import drops_all, drops_ours
from forebay.sql.effects import effects


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DEALLOCATE ALL", True),
        ("DEALLOCATE PREPARE ALL", True),
        ("DISCARD ALL", True),
        ("DISCARD PLANS", False),
        ("DEALLOCATE p", False),
        ('DEALLOCATE "all"', False),
        ("SET a.b = 1", False),
        ("DECLARE c CURSOR FOR SELECT 1", False),
    ],
)
def test_all(text: str, found: bool) -> None:
    assert [drops_all(effect) for effect in effects(text)] == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DEALLOCATE _forebay_1", True),
        ('DEALLOCATE "_forebay_22"', True),
        ("DEALLOCATE _other", False),
        ("DEALLOCATE ALL", False),
        ("PREPARE _forebay_1 AS SELECT 1", False),
        ("SET a.b = 1", False),
    ],
)
def test_those_of_forebay(text: str, found: bool) -> None:
    assert [drops_ours(effect, b"_forebay_") for effect in effects(text)] == [found]
