"""What is said about TCP that does not lead to a tunnel."""

from __future__ import annotations

from hushwire.explain.outcome import Cause, ConnectionLost, NoConnection, PeerSilent
from hushwire.explain.sentences import tell


def test_silence_in_udp_tells_what_came_of_tcp() -> None:
    silent = PeerSilent("bob", "192.0.2.2", "IKE_SA_INIT", 6, 31.5, was_up=False)
    assert "TCP" not in tell(silent)
    tried = PeerSilent(
        "bob", "192.0.2.2", "IKE_SA_INIT", 6, 31.5, was_up=False, tcp="connection refused"
    )
    assert "Inside TCP, which was tried as well: connection refused. Is hushwire" in tell(tried)
    assert tried.cause is Cause.NOT_REACHED


def test_silence_inside_tcp_does_not_blame_the_firewall_for_udp() -> None:
    silent = PeerSilent("bob", "192.0.2.2", "IKE_SA_INIT", 2, 30, was_up=False, in_tcp=True)
    assert "It does accept TCP connections" in tell(silent)
    assert "UDP" not in tell(silent)


def test_without_a_connection_port_and_reason_are_named() -> None:
    failure = NoConnection("bob", "192.0.2.2", 443, "connection refused")
    assert "no TCP connection to 192.0.2.2, port 443: connection refused." in tell(failure)
    assert failure.cause is Cause.NOT_REACHED


def test_a_lost_connection_is_not_the_end_of_the_tunnel() -> None:
    said = tell(ConnectionLost("bob", "192.0.2.2", "connection reset by peer"))
    assert "is lost (connection reset by peer); connecting again. The tunnel stays" in said
