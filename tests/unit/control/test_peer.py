import os
import socket

import pytest

from forebay.control.peer import Peer, may_be_believed, may_command, peer_of, remedy, user_name


def test_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getpid(), os.geteuid())


def test_a_socket_without_a_peer_of_this_kind() -> None:
    with socket.socket() as tcp:
        peer = peer_of(tcp)
    assert peer.pid == 0
    assert not may_command(peer.uid)


def test_its_own_user_and_root_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert [may_command(uid) for uid in (0, 1000, 1001)] == [True, True, False]
    assert [may_be_believed(uid) for uid in (0, 1000, 1001)] == [True, True, False]


def test_root_commands_the_nodes_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert [may_command(uid) for uid in (0, 1000)] == [True, False]
    assert [may_be_believed(uid) for uid in (0, 1000)] == [True, True]


def test_what_others_should_do() -> None:
    assert remedy(0) == "run this as root"
    assert remedy(3_999_999_999) == "run this as uid 3999999999 or as root"


def test_a_user_in_words() -> None:
    assert user_name(0) == "root"
    assert user_name(3_999_999_999) == "uid 3999999999"
