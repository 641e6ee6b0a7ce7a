from pathlib import Path

import pytest

from forebay.dashboard.token import COOKIE_AGE_S, LOOK_INTERVAL_S, Token, TokenError

TEXT = "0123456789abcdef"
OTHER = "fedcba9876543210"
NOW = 1_800_000_000.0


def test_what_fits() -> None:
    token = Token("env:T", {"T": f" {TEXT}\n"})
    assert token.fits(TEXT.encode(), 0)
    for wrong in (b"", TEXT[:-1].encode(), f"{TEXT} ".encode(), b"\xff"):
        assert not token.fits(wrong, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not set"),
        ("short", "holds 5 characters; a token has 16 to 1024"),
        ("x" * 1025, "holds 1025 characters"),
        ("hunter2 hunter2 hunter2", "holds spaces"),
        ("hunter2hunter2hunter2é", "other than plain ASCII"),
    ],
)
def test_what_is_no_token(text: str, said: str) -> None:
    with pytest.raises(TokenError, match=said) as caught:
        Token("env:T", {"T": text})
    assert "node.control_token: env:T: " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TEXT)
    token = Token(f"file:{path}", {})
    cookie = token.cookie(NOW)
    assert token.fits(TEXT.encode(), 0)
    path.write_text(f"{OTHER}\n")
    assert token.fits(TEXT.encode(), LOOK_INTERVAL_S / 2)  # not looked at yet
    assert token.fits(OTHER.encode(), LOOK_INTERVAL_S)
    assert not token.fits(TEXT.encode(), LOOK_INTERVAL_S)
    assert not token.fits_cookie(cookie, NOW, LOOK_INTERVAL_S)
    path.unlink()
    assert token.fits(OTHER.encode(), 2 * LOOK_INTERVAL_S)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="No such file"):
        Token(f"file:{tmp_path}/absent", {})
    with pytest.raises(TokenError, match="not a regular file"):
        Token(f"file:{tmp_path}", {})


def test_cookies() -> None:
    token = Token("env:T", {"T": TEXT})
    cookie = token.cookie(NOW)
    assert TEXT not in cookie
    assert token.fits_cookie(cookie, NOW + COOKIE_AGE_S - 1, 0)
    assert not token.fits_cookie(cookie, NOW + COOKIE_AGE_S, 0)
    ends, _, signature = cookie.partition(".")
    for forged in ("", ".", ends, f"{int(ends) + 1}.{signature}", f"{ends}.é", "x" * 10_000):
        assert not token.fits_cookie(forged, NOW, 0)
    assert Token("env:T", {"T": TEXT}).fits_cookie(cookie, NOW, 0)  # after a restart
    assert not Token("env:T", {"T": OTHER}).fits_cookie(cookie, NOW, 0)
