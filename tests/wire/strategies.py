"""Hypothesis strategies for every payload, over all that its format can carry."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.certificate import Certificate, CertificateRequest
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.identification import IdInitiator, IdResponder
from hushwire.wire.ike.payloads.ke import KeyExchangePayload
from hushwire.wire.ike.payloads.nonce import Nonce
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.ike.payloads.sa import Proposal, SecurityAssociation, Transform
from hushwire.wire.ike.payloads.ts import IpAddress, TrafficSelector, TsInitiator, TsResponder
from hushwire.wire.ike.payloads.vendor import VendorId
from hushwire.wire.registry import IdType, ProtocolId

u8 = st.integers(0, 255)
u16 = st.integers(0, 65535)
u32 = st.integers(0, 2**32 - 1)
octets = st.binary(max_size=64)
child_spi = st.binary(min_size=4, max_size=4)

_FAMILIES: list[tuple[Callable[[int], IpAddress], int]] = [(IPv4Address, 32), (IPv6Address, 128)]

transforms = st.builds(Transform, u8, u16, st.none() | u16)


@st.composite
def security_associations(draw: st.DrawFn) -> SecurityAssociation:
    proposals = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        protocol = draw(st.sampled_from([ProtocolId.IKE, ProtocolId.AH, ProtocolId.ESP]))
        ike_spi = st.sampled_from([b"", bytes(range(8))])
        spi = draw(ike_spi if protocol == ProtocolId.IKE else child_spi)
        offered = draw(st.lists(transforms, min_size=1, max_size=4))
        proposals.append(Proposal(number, protocol, spi, tuple(offered)))
    if len(proposals) == 1:
        accepted = draw(st.integers(1, 255))
        proposals = [Proposal(accepted, protocol, spi, tuple(offered))]
    return SecurityAssociation(tuple(proposals))


@st.composite
def traffic_selectors(draw: st.DrawFn) -> TrafficSelector:
    family, bits = draw(st.sampled_from(_FAMILIES))
    address = st.integers(0, 2**bits - 1)
    start, end = sorted([draw(address), draw(address)])
    opaque = st.just((65535, 0))
    ports = draw(opaque | st.tuples(u16, u16).map(lambda pair: (min(pair), max(pair))))
    return TrafficSelector(family(start), family(end), draw(u8), *ports)


@st.composite
def notifies(draw: st.DrawFn) -> Notify:
    protocol = draw(u8)
    of_child = protocol in (ProtocolId.AH, ProtocolId.ESP)
    spi = draw(st.just(b"") | child_spi if of_child else st.binary(max_size=255))
    return Notify(draw(u16), draw(octets), protocol, spi)


identities = (
    st.tuples(st.just(int(IdType.IPV4_ADDR)), st.binary(min_size=4, max_size=4))
    | st.tuples(st.just(int(IdType.IPV6_ADDR)), st.binary(min_size=16, max_size=16))
    | st.tuples(u8.filter(lambda kind: kind not in (1, 5)), octets)
)
selector_tuples = st.lists(traffic_selectors(), min_size=1, max_size=4).map(tuple)

PAYLOAD_KINDS: dict[str, st.SearchStrategy[Payload]] = {
    "SA": security_associations(),
    "KE": st.builds(KeyExchangePayload, u16, octets),
    "IDi": identities.map(lambda pair: IdInitiator(*pair)),
    "IDr": identities.map(lambda pair: IdResponder(*pair)),
    "CERT": st.builds(Certificate, u8, octets),
    "CERTREQ": st.builds(CertificateRequest, u8, octets),
    "AUTH": st.builds(Authentication, u8, octets),
    "Nonce": st.builds(Nonce, st.binary(min_size=16, max_size=256)),
    "N": notifies(),
    "D": st.builds(
        Delete,
        st.sampled_from([ProtocolId.AH, ProtocolId.ESP]),
        st.lists(child_spi, max_size=5).map(tuple),
    )
    | st.just(Delete(ProtocolId.IKE, ())),
    "V": st.builds(VendorId, octets),
    "TSi": st.builds(TsInitiator, selector_tuples),
    "TSr": st.builds(TsResponder, selector_tuples),
}

payloads: st.SearchStrategy[Payload] = st.one_of(*PAYLOAD_KINDS.values())
chains = st.lists(payloads, max_size=6).map(tuple)

headers = st.builds(
    Header,
    st.binary(min_size=8, max_size=8).filter(any),
    st.binary(min_size=8, max_size=8),
    u8,
    u32,
    st.booleans(),
    st.booleans(),
    minor=st.integers(0, 15),
)
