"""Two ends of one tunnel, with every value fixed: what an IKE exchange would have agreed on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.crypto.suites import EspSuite
from hushwire.sa.association import Address, ChildSa, Encapsulation, Path
from hushwire.sa.selectors import from_network

ALICE_SPI = 0xA11CE000
BOB_SPI = 0xB0B00000
ALICE_NETWORKS = ("10.0.1.1/32", "fd00::1/128")
BOB_NETWORKS = ("10.0.1.2/32", "fd00::2/128")


def keymat(cipher: Cipher, seed: int) -> bytes:
    """Different for every seed; worthless as a secret."""
    return bytes((seed * 37 + index) & 0xFF for index in range(cipher.keymat_octets))


def path(local: str, remote: str, port: int = 4500) -> Path:
    return Path(Address(ip_address(local), port), Address(ip_address(remote), port))


def pair(
    cipher: Cipher = CIPHERS[0],
    *,
    esn: bool = True,
    generation: int = 0,
    encapsulation: Encapsulation = Encapsulation.UDP,
    alice: str = "192.0.2.1",
    bob: str = "192.0.2.2",
    keepalive: bool = False,
) -> tuple[ChildSa, ChildSa]:
    """Alice's and Bob's view; another `generation` has other SPIs and keys, as after a rekeying."""
    alice_to_bob = keymat(cipher, 2 * generation + 1)
    bob_to_alice = keymat(cipher, 2 * generation + 2)
    of_alice = ChildSa(
        peer="bob",
        inbound_spi=ALICE_SPI + generation,
        outbound_spi=BOB_SPI + generation,
        suite=EspSuite(cipher, esn),
        inbound_key=bob_to_alice,
        outbound_key=alice_to_bob,
        local_selectors=tuple(from_network(ip_network(net)) for net in ALICE_NETWORKS),
        remote_selectors=tuple(from_network(ip_network(net)) for net in BOB_NETWORKS),
        encapsulation=encapsulation,
        path=path(alice, bob),
        keepalive=keepalive,
    )
    return of_alice, mirror(of_alice, "alice")


def mirror(child: ChildSa, peer: str) -> ChildSa:
    """The same SA pair from the other end."""
    return replace(
        child,
        peer=peer,
        inbound_spi=child.outbound_spi,
        outbound_spi=child.inbound_spi,
        inbound_key=child.outbound_key,
        outbound_key=child.inbound_key,
        local_selectors=child.remote_selectors,
        remote_selectors=child.local_selectors,
        path=Path(child.path.remote, child.path.local),
    )
