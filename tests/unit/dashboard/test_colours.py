"""What is written and drawn can be told from its ground, in both sets of colours (WCAG 2.2, AA)."""

import re

import pytest

from forebay.dashboard import files

TEXT = 4.5
DRAWN = 3.0
GROUNDS = ("ground", "surface")
WRITTEN = [
    *((name, ground) for name in ("text", "muted", "accent", "warn", "bad") for ground in GROUNDS),
    *(("text", ground) for ground in ("accent-soft", "warn-soft", "bad-soft")),
    ("surface", "accent"),  # the button of the login
]
DRAWINGS = [
    (name, ground)
    for name in ("accent", "second", "warn-mark", "bad", "unused", "limit", "focus")
    for ground in GROUNDS
]


def colours(theme: str) -> dict[str, str]:
    css = files.content("colours.css").decode()
    block = css.split(':root[data-theme="dark"] {' if theme == "dark" else ":root {", 1)[1]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block.split("}", 1)[0]))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_both_sets_have_the_same_names() -> None:
    assert colours("light").keys() == colours("dark").keys()
    sheets = [files.content(name).decode() for name in files.names() if name.endswith(".css")]
    used = {name for sheet in sheets for name in re.findall(r"var\(--([\w-]+)\)", sheet)}
    assert used <= colours("light").keys()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme: str) -> None:
    named = colours(theme)
    for pairs, least in ((WRITTEN, TEXT), (DRAWINGS, DRAWN)):
        weak = {
            pair: round(contrast(named[pair[0]], named[pair[1]]), 2)
            for pair in pairs
            if contrast(named[pair[0]], named[pair[1]]) < least
        }
        assert weak == {}


def test_the_measure() -> None:
    assert round(contrast("#000000", "#ffffff"), 1) == 21
    assert round(contrast("#767676", "#ffffff"), 2) == 4.54
