"""The key exchange in the programs: offers, answers, restarts, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from hushwire.classroom.exchange import Exchange, G, Kind, P, xor
from hushwire.classroom.programs import MARK_KNOCK, MARK_RESEND, Agreed, HeldFrame, Unreadable
from tests.bpf.hosts import (
    DROPPED,
    GOES_ON,
    REDIRECTED,
    SWALLOWED,
    Host,
    agree,
    assert_checksums,
    exchange_of,
    frame,
    payload_of,
)

Hosts = Callable[[], Host]
MARK_ANSWER = 0x68770003
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@VERSIONS
@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 1472])
def test_a_message_without_a_key_waits_and_an_offer_goes_instead(
    host: Hosts, version: int, size: int
) -> None:
    alice = host()
    sent = frame((bytes(range(256)) * 6)[:size], version=version)
    code, gone = alice.out(sent)
    assert code == GOES_ON
    offer = exchange_of(gone)
    (peer,) = alice.programs.peers()
    assert (offer.kind, offer.p, offer.g, offer.echo) == (Kind.OFFER, P, G, 0)
    assert offer.public == peer.our_public
    assert offer.public in {pow(G, x, P) for x in range(1, P - 1)}
    assert offer.epoch
    assert_checksums(gone)
    before, after = Ether(sent), Ether(gone)
    assert (after[UDP].sport, after[UDP].dport) == (before[UDP].sport, before[UDP].dport)
    (held,) = alice.events()
    assert isinstance(held, HeldFrame)
    assert held.offered
    assert list(held.frame.ready()) == [sent]
    assert alice.counts() == {"egress held": (1, size), "egress offer": (1, 32)}


@VERSIONS
def test_an_offer_is_answered_and_both_know_the_same(host: Hosts, version: int) -> None:
    alice, bob = host(), host()
    _, offer = alice.out(frame(b"hello", version=version))
    code, answered, mark = bob.programs.test_run("ingress", offer)
    assert (code, mark) == (REDIRECTED, MARK_ANSWER)
    assert_checksums(answered)
    there, back = Ether(offer), Ether(answered)
    ip = IP if version == 4 else IPv6
    assert (back.src, back.dst) == (there.dst, there.src)
    assert (back[ip].src, back[ip].dst) == (there[ip].dst, there[ip].src)
    assert (back[UDP].sport, back[UDP].dport) == (there[UDP].dport, there[UDP].sport)
    answer = exchange_of(answered)
    assert (answer.kind, answer.echo) == (Kind.ANSWER, exchange_of(offer).epoch)

    alice.events()
    assert alice.get(answered)[0] == DROPPED  # for the programs alone
    (news,) = alice.events()
    (peer,) = bob.programs.peers()
    assert isinstance(news, Agreed)
    assert not news.again
    assert news.secret == alice.secret(version) == peer.secret
    assert (news.our_public, news.their_public) == (peer.their_public, peer.our_public)
    (x,) = [x for x in range(1, P - 1) if pow(G, x, P) == news.our_public]
    assert news.secret == pow(news.their_public, x, P)
    assert bob.counts() == {"ingress offer": (1, 32), "egress answer": (1, 32)}


@pytest.mark.parametrize(("version", "field"), [(4, "ttl"), (6, "hlim")])
def test_an_answer_sets_out_with_a_hop_limit_of_its_own(
    host: Hosts, version: int, field: str
) -> None:
    _, offer = host().out(frame(b"", version=version))
    tired = Ether(offer)
    tired.payload.setfieldval(field, 3)
    if version == 4:
        del tired[IP].chksum
    _, answer = host().get(bytes(tired))
    assert getattr(Ether(answer).payload, field) == 64
    assert_checksums(answer)


def test_ethernet_addresses_change_places_in_an_answer(host: Hosts) -> None:
    _, offer = host().out(frame(b""))
    packet = Ether(offer)
    packet.src = "02:00:00:00:00:07"
    _, answer = host().get(bytes(packet))
    assert (Ether(answer).src, Ether(answer).dst) == ("00:00:00:00:00:00", "02:00:00:00:00:07")


def test_the_answer_leaves_untouched_and_an_application_cannot_look_like_one(host: Hosts) -> None:
    alice, bob = host(), host()
    secret = agree(alice, bob)
    _, offer = host().out(frame(b""))
    assert alice.programs.test_run("egress", offer, MARK_ANSWER) == (GOES_ON, offer, 0)
    code, sent = alice.out(offer)
    assert code == GOES_ON
    assert payload_of(sent) == xor(payload_of(offer), secret)
    assert bob.get(sent) == (GOES_ON, offer)


def test_offers_that_cross_lead_to_one_secret(host: Hosts) -> None:
    alice, bob = host(), host()
    _, from_alice = alice.out(frame(b"one"))
    _, from_bob = bob.out(frame(b"two", back=True))
    code, answer_to_bob = alice.get(from_bob)
    assert code == REDIRECTED
    code, answer_to_alice = bob.get(from_alice)
    assert code == REDIRECTED
    agreed = alice.secret()
    assert agreed == bob.secret()
    assert alice.get(answer_to_alice)[0] == bob.get(answer_to_bob)[0] == DROPPED
    assert alice.secret() == bob.secret() == agreed
    for one in (alice, bob):
        assert sum(isinstance(event, Agreed) for event in one.events()) == 1


def test_an_offer_that_comes_twice_is_answered_alike(host: Hosts) -> None:
    alice, bob = host(), host()
    _, offer = alice.out(frame(b""))
    assert bob.get(offer) == bob.get(offer)
    assert sum(isinstance(event, Agreed) for event in bob.events()) == 1


def test_who_has_begun_anew_is_met_with_a_new_private_value(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    (before,) = bob.programs.peers()
    values = {before.our_public}
    for _ in range(8):
        reborn = host()
        _, offer = reborn.out(frame(b"again"))
        _, answer = bob.get(offer)
        reborn.get(answer)
        assert reborn.secret() == bob.secret()
        (news,) = bob.events()
        assert isinstance(news, Agreed)
        assert news.again
        values.add(news.our_public)
    assert len(values) > 1  # the same one nine times: 1 in 21^8


def test_an_offer_that_two_lives_of_the_peer_answer_ends_with_the_later_one(host: Hosts) -> None:
    alice, bob, reborn = host(), host(), host()
    _, offer = alice.out(frame(b"one"))
    _, first = bob.get(offer)
    _, second = reborn.get(offer)
    alice.get(first)
    alice.get(second)
    assert alice.secret() == reborn.secret()


def test_what_a_restarted_side_cannot_read_it_never_gets(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    reborn = host()
    _, sealed = alice.out(frame(b"for the one before"))
    assert reborn.get(sealed)[0] == DROPPED
    (unreadable,) = reborn.events()
    assert isinstance(unreadable, Unreadable)
    assert reborn.counts() == {"ingress unreadable": (1, 18)}
    # What user space does then: it knocks, and of the knock the programs make an OFFER.
    knock = unreadable.frame.knock(back=True)
    assert_checksums(knock)
    code, offer, mark = reborn.programs.test_run("egress", knock, MARK_KNOCK)
    assert (code, mark) == (GOES_ON, 0)
    assert exchange_of(offer).kind is Kind.OFFER
    assert_checksums(offer)
    code, answer = alice.get(offer)
    assert code == REDIRECTED
    reborn.get(answer)
    assert reborn.secret() == alice.secret()
    _, sealed = alice.out(frame(b"for this one"))
    assert reborn.get(sealed) == (GOES_ON, frame(b"for this one"))


def test_user_space_is_not_told_of_every_unreadable_message(host: Hosts) -> None:
    bob = host()
    for _ in range(20):
        assert bob.get(frame(b"noise"))[0] == DROPPED
    assert len(bob.events()) < 20
    assert bob.counts() == {"ingress unreadable": (20, 100)}


def test_a_knock_with_a_key_is_swallowed(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    assert alice.out(frame(b""), MARK_KNOCK)[0] == SWALLOWED
    assert "egress xored" not in alice.counts()


def test_later_messages_queue_up_behind_those_that_wait(host: Hosts) -> None:
    alice, bob = host(), host()
    _, offer = alice.out(frame(b"first"))
    _, answer = bob.get(offer)
    alice.get(answer)
    first = alice.events()[0]
    code, gone = alice.out(frame(b"second"))
    assert code == GOES_ON
    assert exchange_of(gone).kind is Kind.OFFER
    (second,) = alice.events()
    secret = alice.secret()
    assert secret is not None
    for held, text in ((first, b"first"), (second, b"second")):
        assert isinstance(held, HeldFrame)
        (resent,) = held.frame.ready()
        code, sealed, mark = alice.programs.test_run("egress", resent, MARK_RESEND)
        assert (code, mark) == (GOES_ON, 0)
        assert payload_of(sealed) == xor(text, secret)
    alice.programs.done(first.pair, 1)
    assert exchange_of(alice.out(frame(b"not yet"))[1]).kind is Kind.OFFER
    alice.programs.done(first.pair, 3)
    _, sealed = alice.out(frame(b"third"))
    assert payload_of(sealed) == xor(b"third", secret)


def test_more_than_the_ring_holds_is_counted_as_lost(host: Hosts) -> None:
    alice = host()
    size = 1400
    for _ in range(1100):
        code, _ = alice.out(frame(bytes(size)))
        assert code in (GOES_ON, SWALLOWED)
    counts = alice.counts()
    held, lost = counts["egress held"][0], counts["egress lost"][0]
    assert held == len(alice.events())
    assert held + lost == 1100
    assert lost > 0


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (16, 2),  # version
        (17, 3),  # kind
        (18, 29),  # p
        (19, 2),  # g
        (22, 1),  # a public value of more than one octet
        (23, 0),  # of 0
        (23, 23),  # or not less than p
    ],
)
def test_a_wrong_key_exchange_packet_changes_nothing(host: Hosts, at: int, value: int) -> None:
    bob = host()
    octets = bytearray(Exchange(Kind.OFFER, public=5, epoch=1).payload())
    octets[at] = value
    assert bob.get(frame(bytes(octets)))[0] == DROPPED
    assert bob.counts() == {"ingress refused": (1, 32)}
    assert bob.programs.peers() == []


def test_an_epoch_of_zero_is_refused(host: Hosts) -> None:
    bob = host()
    offer = Exchange(Kind.OFFER, public=5, epoch=0).payload()
    assert bob.get(frame(offer))[0] == DROPPED
    assert bob.counts() == {"ingress refused": (1, 32)}


def test_python_and_the_programs_read_one_packet(host: Hosts) -> None:
    bob = host()
    offer = Exchange(Kind.OFFER, public=5, epoch=0x01020304)
    code, answered = bob.get(frame(offer.payload()))
    assert code == REDIRECTED
    answer = exchange_of(answered)
    assert answer.echo == 0x01020304
    (x,) = [x for x in range(1, P - 1) if pow(G, x, P) == answer.public]
    assert bob.secret() == pow(5, x, P)


def test_an_answer_that_nobody_asked_for_is_refused(host: Hosts) -> None:
    alice, bob, stranger = host(), host(), host()
    _, offer = stranger.out(frame(b""))
    _, answer = bob.get(offer)
    assert alice.get(answer)[0] == DROPPED  # alice has asked nobody
    alice.out(frame(b""))
    alice.events()
    assert alice.get(answer)[0] == DROPPED  # alice has asked, and this answers another
    assert alice.events() == []
    assert alice.secret() is None
    assert alice.counts()["ingress refused"] == (2, 64)


def test_both_families_have_secrets_of_their_own(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob, version=4)
    secret = agree(alice, bob, version=6)
    assert len(alice.programs.peers()) == len(bob.programs.peers()) == 2
    _, sealed = alice.out(frame(b"six", version=6))
    assert payload_of(sealed) == xor(b"six", secret)


def test_strangers_cannot_fill_more_than_the_table(host: Hosts) -> None:
    alice, bob = host(), host()
    agree(alice, bob)
    offer = bytearray(frame(Exchange(Kind.OFFER, public=5, epoch=1).payload()))
    for number in range(1030):
        offer[26:30] = bytes([10, 0, number >> 8, number & 255])  # the source address
        bob.get(bytes(offer))
    assert len(bob.programs.peers()) == 1024
    assert bob.counts()["ingress full"] == (7, 224)
    _, sealed = alice.out(frame(b"hello"))  # whoever was there before stays
    assert bob.get(sealed) == (GOES_ON, frame(b"hello"))
