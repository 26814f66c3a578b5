"""Keys of SAs as lines of Wireshark's tables `ikev2_decryption_table` and `esp_sa`, and back.

Reading serves `hushwire explain FILE.pcap`, with tables of ours or of anybody else's.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import field

from hushwire.crypto.cbc import INTEGRITIES
from hushwire.crypto.cipher import Cipher
from hushwire.crypto.ciphers import CIPHERS
from hushwire.records import dataclass
from hushwire.sa.association import ChildSa
from hushwire.wire.registry import EncryptionId

IKE_TABLE = "ikev2_decryption_table"
ESP_TABLE = "esp_sa"
_MOST_LINES = 10_000
_IKE_NO_INTEGRITY = "NONE [RFC4306]"
_HASHES = {"sha256": ("256", "128"), "sha384": ("384", "192"), "sha512": ("512", "256")}


@dataclass(frozen=True, slots=True)
class IkeSaKeys:
    """What protects the messages of one IKE SA: SPIs of 8 octets, SK_e and SK_a of each side."""

    spi_i: bytes
    spi_r: bytes
    cipher: Cipher
    ei: bytes = field(repr=False)
    er: bytes = field(repr=False)
    ai: bytes = field(default=b"", repr=False)
    ar: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class EspKeys:
    """What protects one direction of ESP: cipher key and salt, then the key for integrity."""

    spi: int
    cipher: Cipher
    key: bytes = field(repr=False)


def readable(cipher: Cipher) -> bool:
    """Whether Wireshark can decrypt it: not ChaCha20-Poly1305."""
    return cipher.id != EncryptionId.CHACHA20_POLY1305


def ike_line(keys: IkeSaKeys) -> str:
    """One line of `ikev2_decryption_table`; SK_e is key and salt joined."""
    encryption, integrity = _ike_names(keys.cipher)
    octets = (keys.spi_i, keys.spi_r, keys.ei, keys.er)
    mac = (keys.ai.hex(), keys.ar.hex())
    return ",".join((*(o.hex() for o in octets), f'"{encryption}"', *mac, f'"{integrity}"'))


def esp_lines(child: ChildSa) -> tuple[str, str]:
    """Two lines of `esp_sa`, for what comes in and what goes out."""
    family = f"IPv{child.path.remote.ip.version}"
    cipher = child.suite.cipher
    encryption, integrity = _esp_names(cipher)

    def line(spi: int, key: bytes) -> str:
        secret, mac = key[: cipher.encryption_octets], key[cipher.encryption_octets :]
        words = (family, "*", "*", f"0x{spi:08x}", encryption, f"0x{secret.hex()}", integrity,
                 f"0x{mac.hex()}" if mac else "")  # fmt: skip
        return ",".join(f'"{word}"' for word in words)

    return (
        line(child.inbound_spi, child.inbound_key),
        line(child.outbound_spi, child.outbound_key),
    )


def parse_ike_table(text: str) -> list[IkeSaKeys]:
    """Every line that can be read and whose cipher is known; the rest is passed over."""
    found = []
    for row in _rows(text, 8):
        cipher = next(
            (c for c in CIPHERS if readable(c) and _ike_names(c) == (row[4], row[7])), None
        )
        octets = [_octets(row[at]) for at in (0, 1, 2, 3, 5, 6)]
        if cipher is None or None in octets:
            continue
        spi_i, spi_r, ei, er, ai, ar = (value or b"" for value in octets)
        sizes = {len(ei), len(er)}, {len(ai), len(ar)}
        if sizes == ({cipher.encryption_octets}, {cipher.integrity_octets}):
            found.append(IkeSaKeys(spi_i, spi_r, cipher, ei, er, ai, ar))
    return found


def parse_esp_table(text: str) -> list[EspKeys]:
    """Likewise."""
    found = []
    for row in _rows(text, 8):
        spi, secret, mac = (_octets(row[at]) for at in (3, 5, 7))
        if not spi or len(spi) > 4 or secret is None or mac is None:
            continue
        for cipher in CIPHERS:
            sizes = (cipher.encryption_octets, cipher.integrity_octets)
            if _esp_names(cipher) == (row[4], row[6]) and sizes == (len(secret), len(mac)):
                found.append(EspKeys(int.from_bytes(spi, "big"), cipher, secret + mac))
    return found


def _ike_names(cipher: Cipher) -> tuple[str, str]:
    if cipher.id == EncryptionId.AES_GCM_16:
        return f"AES-GCM-{cipher.key_bits} with 16 octet ICV [RFC5282]", _IKE_NO_INTEGRITY
    hash_bits, icv_bits = _HASHES[_integrity(cipher)]
    mac = f"HMAC_SHA2_{hash_bits}_{icv_bits} [RFC4868]"
    return f"AES-CBC-{cipher.key_bits} [RFC3602]", mac


def _esp_names(cipher: Cipher) -> tuple[str, str]:
    if cipher.id == EncryptionId.AES_GCM_16:
        return "AES-GCM with 16 octet ICV [RFC4106]", "NULL"
    if cipher.id == EncryptionId.CHACHA20_POLY1305:
        return "ChaCha20 with Poly1305 [RFC7634]", "NULL"
    hash_bits, icv_bits = _HASHES[_integrity(cipher)]
    return "AES-CBC [RFC3602]", f"HMAC-SHA-{hash_bits}-{icv_bits} [RFC4868]"


def _integrity(cipher: Cipher) -> str:
    return next((i.name for i in INTEGRITIES if i.id == cipher.integrity), "sha256")


def _rows(text: str, columns: int) -> Iterator[list[str]]:
    lines: Iterable[str] = text.splitlines()[:_MOST_LINES]
    try:
        for row in csv.reader(line for line in lines if not line.startswith("#")):
            if len(row) >= columns:
                yield row
    except csv.Error:
        return


def _octets(text: str) -> bytes | None:
    digits = text.strip().removeprefix("0x")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None
