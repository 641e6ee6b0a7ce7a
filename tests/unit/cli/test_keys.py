import os
import pty
import signal
import termios

import pytest

from forebay.cli.keys import Keys, keys


def test_keys_come_one_by_one_and_the_terminal_is_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    try:
        with open(theirs, closefd=False) as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            before = termios.tcgetattr(theirs)
            handler = signal.getsignal(signal.SIGTERM)
            with keys() as typed:
                assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON)
                assert typed.wait(0.0) == ""
                os.write(ours, b"p\xff")
                assert typed.wait(10.0) == "p\ufffd"
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGTERM)
            assert termios.tcgetattr(theirs) == before
            assert signal.getsignal(signal.SIGTERM) == handler
    finally:
        os.close(ours)
        os.close(theirs)


def test_without_a_terminal_nothing_is_typed() -> None:
    assert Keys(None).wait(0.0) == ""


def test_a_terminal_that_is_gone_ends_it() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    try:
        with pytest.raises(KeyboardInterrupt):
            Keys(reader).wait(1.0)
    finally:
        os.close(reader)
