"""IKE_FOLLOWUP_KE (RFC 9370 §2.2.4) from a peer that has the keys and breaks the rules."""

from __future__ import annotations

import random
from ipaddress import ip_network

import pytest

from hushwire.crypto.exchange import exchange
from hushwire.explain.outcome import PeerMisbehaved
from hushwire.ike.inputs import Limits
from hushwire.ike.proposal import offer
from hushwire.sa.selectors import from_network
from hushwire.wire.ike.message import Payload, every, first
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.ts import TsInitiator, TsResponder
from hushwire.wire.registry import ExchangeType, KeyExchangeId, NotifyType, ProtocolId
from tests.sim.network import NETWORKS, esp
from tests.sim.stages import Scene, Stage, session_of, state_names

CREATE, FOLLOWUP = ExchangeType.CREATE_CHILD_SA, ExchangeType.IKE_FOLLOWUP_KE
SUITES = esp("aes256gcm16-x25519-ke1_mlkem768-ke2_ecp256-esn")
LOCAL, REMOTE = ((from_network(ip_network(NETWORKS[name])),) for name in ("alice", "bob"))
RNG = random.Random(1).randbytes


def key(method: int) -> KeyExchangePayload:
    found = exchange(method)
    assert found is not None
    return KeyExchangePayload(method, found.offer(RNG).public)


MLKEM, ECP = KeyExchangeId.ML_KEM_768, KeyExchangeId.ECP_256


def link(data: bytes) -> Notify:
    return Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, data)


def wish(spi: bytes) -> tuple[Payload, ...]:
    """Of a CHILD_SA with two additional key exchanges."""
    return (
        offer(SUITES, ProtocolId.ESP, spi),  # type: ignore[arg-type]
        Nonce(RNG(32)),
        key(KeyExchangeId.X25519),
        TsInitiator(LOCAL),
        TsResponder(REMOTE),
    )


class Asker:
    """Somebody with alice's keys, who asks bob."""

    def __init__(self) -> None:
        self.scene = Scene(Stage.UP, esp_proposals=SUITES)
        self.message_id = 1
        self.last = b""

    def ask(self, exchange_type: int, *payloads: Payload) -> tuple[Payload, ...]:
        """What bob answers."""
        self.message_id += 1
        header = self.scene.inside.header(exchange_type, self.message_id, initiator=True)
        self.last = self.scene.inside.seal(header, payloads)
        return self.scene.inside.open(self.scene.tell(self.scene.bob, self.last)[0])

    def begin(self, spi: bytes = b"new!") -> bytes:
        """CREATE_CHILD_SA; the link to go on with."""
        return link_of(self.ask(CREATE, *wish(spi)))

    @property
    def sas(self) -> int:
        return len(self.scene.bob.sas)


def link_of(payloads: tuple[Payload, ...]) -> bytes:
    (found,) = (
        n.data for n in every(payloads, Notify) if n.type == NotifyType.ADDITIONAL_KEY_EXCHANGE
    )
    return found


NOT_FOUND = (Notify(NotifyType.STATE_NOT_FOUND),)


def test_there_is_no_sa_before_the_last_key_exchange_and_one_after_it() -> None:
    asker = Asker()
    begun = asker.begin()
    more = link_of(asker.ask(FOLLOWUP, key(MLKEM), link(begun)))
    assert more != begun
    assert asker.sas == 1
    answer = asker.ask(FOLLOWUP, key(ECP), link(more))
    assert first(answer, KeyExchangePayload) is not None
    assert asker.sas == 2
    asker.scene.tell(asker.scene.bob, asker.last)  # once more, which is a repetition
    assert asker.ask(FOLLOWUP, key(ECP), link(more)) == NOT_FOUND  # and as another request
    assert asker.sas == 2


@pytest.mark.parametrize("told", [None, b"", b"another!", b"the one before"])
def test_another_link_leads_to_nothing_and_the_right_one_still_does(told: bytes | None) -> None:
    asker = Asker()
    begun = asker.begin()
    right = link_of(asker.ask(FOLLOWUP, key(MLKEM), link(begun)))
    wrong = begun if told == b"the one before" else told
    said = () if wrong is None else (link(wrong),)
    assert asker.ask(FOLLOWUP, key(ECP), *said) == NOT_FOUND
    assert asker.sas == 1
    asker.ask(FOLLOWUP, key(ECP), link(right))
    assert asker.sas == 2


@pytest.mark.parametrize(
    "ke",
    [
        key(ECP),
        key(KeyExchangeId.X25519),
        KeyExchangePayload(MLKEM, b""),
        KeyExchangePayload(MLKEM, bytes(1183)),
        KeyExchangePayload(MLKEM, b"\xff" * 1184),
    ],
    ids=["not its turn", "done already", "empty", "too short", "above the modulus"],
)
def test_another_key_ends_the_ike_sa(ke: KeyExchangePayload) -> None:
    asker = Asker()
    answer = asker.ask(FOLLOWUP, ke, link(asker.begin()))
    assert answer == (Notify(NotifyType.INVALID_SYNTAX),)
    assert state_names(asker.scene.bob) == ["Closed"]
    assert asker.sas == 0


def test_what_is_not_gone_on_with_is_forgotten_in_time() -> None:
    asker = Asker()
    begun = asker.begin()
    session = session_of(asker.scene.bob)
    assert session.awaited is not None
    asker.scene.network.run(Limits().followup_seconds - 1)
    assert session.awaited is not None
    asker.scene.network.run(1)
    assert session.awaited is None
    assert asker.ask(FOLLOWUP, key(MLKEM), link(begun)) == NOT_FOUND
    assert asker.sas == 1


def test_who_begins_again_and_again_has_only_the_last_one() -> None:
    asker = Asker()
    links = [asker.begin(number.to_bytes(4, "big")) for number in range(1000, 1100)]
    assert len(set(links)) == 100
    assert asker.ask(FOLLOWUP, key(MLKEM), link(links[0])) == NOT_FOUND
    more = link_of(asker.ask(FOLLOWUP, key(MLKEM), link(links[-1])))
    asker.ask(FOLLOWUP, key(ECP), link(more))
    assert [sa.outbound_spi for sa in asker.scene.bob.sas.values()][1:] == [1099]


def test_a_responder_that_leaves_out_the_link_gets_no_sa() -> None:
    scene = Scene(Stage.UP, esp_proposals=SUITES)
    scene.network.rekey(scene.alice)
    header = scene.inside.header(CREATE, 2, initiator=False, response=True)
    scene.tell(scene.alice, scene.inside.seal(header, wish(b"new!")))
    (failure,) = scene.alice.failures
    assert isinstance(failure, PeerMisbehaved)
    assert "ADDITIONAL_KEY_EXCHANGE" in failure.detail
    assert not scene.alice.sas
    assert state_names(scene.alice) == ["Closing"]
