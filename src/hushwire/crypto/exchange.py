"""Key exchange methods: X25519 (RFC 8031), ECP (RFC 5903), MODP (RFC 3526) and ML-KEM (FIPS 203).

The initiator makes an offer and finishes it with the answer; the responder answers in one step.
For Diffie-Hellman both do the same sums, but a KEM encapsulates to the offer, so the two sides
are kept apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import field

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519

from hushwire.crypto import modp
from hushwire.crypto.errors import BadPublicValueError
from hushwire.records import dataclass
from hushwire.wire.registry import KeyExchangeId

Rng = Callable[[int], bytes]
"""Gives that many octets of cryptographic randomness: `os.urandom`, or a test's own."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The initiator's half of a key exchange: what to send, and the secret that stays here.

    Use it for one exchange only: reuse weakens forward secrecy (RFC 7296 §2.12).
    """

    public: bytes
    _finish: Callable[[bytes], bytes] = field(repr=False, compare=False)

    def finish(self, peer_public: bytes) -> bytes:
        """The shared secret. Raises `BadPublicValueError`."""
        return self._finish(peer_public)


@dataclass(frozen=True)
class KeyExchange(ABC):
    """One key exchange method. `public_octets` is the length of the Key Exchange Data.

    A responder's may have another length, `answer_octets`.
    """

    method: KeyExchangeId
    name: str
    public_octets: int

    @property
    def answer_octets(self) -> int:
        """The length of the Key Exchange Data in an answer."""
        return self.public_octets

    @property
    def is_kem(self) -> bool:
        """Of use as an additional exchange only (RFC 9370): it comes beside a Diffie-Hellman."""
        return False

    @abstractmethod
    def offer(self, rng: Rng) -> Offer:
        """A new private value from `rng`, with its public value."""

    def answer(self, peer_public: bytes, rng: Rng) -> tuple[bytes, bytes]:
        """Our public value and the shared secret. Raises `BadPublicValueError`."""
        self._check_length(peer_public)
        offer = self.offer(rng)
        return offer.public, offer.finish(peer_public)

    def _check_length(self, peer_public: bytes) -> None:
        if len(peer_public) != self.public_octets:
            raise BadPublicValueError(
                f"a public value of {self.name} has {self.public_octets} octets, "
                f"not {len(peer_public)}"
            )


class _X25519(KeyExchange):
    def offer(self, rng: Rng) -> Offer:
        private = x25519.X25519PrivateKey.from_private_bytes(rng(32))

        def finish(peer_public: bytes) -> bytes:
            self._check_length(peer_public)
            peer = x25519.X25519PublicKey.from_public_bytes(peer_public)
            try:
                return private.exchange(peer)
            except ValueError:
                # The library refuses the all-zero result, which only a point of small order
                # gives and which would not depend on our private value (RFC 7748 §6.1).
                raise BadPublicValueError(
                    "the public value is a point of small order: the secret would be zero"
                ) from None

        return Offer(private.public_key().public_bytes_raw(), finish)


@dataclass(frozen=True)
class _Ecp(KeyExchange):
    curve: ec.EllipticCurve = field(repr=False, compare=False)

    def offer(self, rng: Rng) -> Offer:
        private = random_ecp_key(self.curve, rng)
        numbers = private.public_key().public_numbers()
        size = self.public_octets // 2

        def finish(peer_public: bytes) -> bytes:
            self._check_length(peer_public)
            try:
                # RFC 6989 §2.3: x and y below the field prime and on the curve, all of which the
                # library checks. The point at infinity has no such encoding, and the cofactor is
                # 1, so no small subgroups are left.
                peer = ec.EllipticCurvePublicKey.from_encoded_point(
                    self.curve, b"\x04" + peer_public
                )
            except ValueError:
                raise BadPublicValueError(
                    f"the public value is not a point of {self.name}"
                ) from None
            return private.exchange(ec.ECDH(), peer)  # its x coordinate alone: RFC 5903 §7

        public = numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
        return Offer(public, finish)


def random_ecp_key(curve: ec.EllipticCurve, rng: Rng) -> ec.EllipticCurvePrivateKey:
    """A private key from `rng`, the same one for the same octets.

    64 bits more than the order has keep the bias of the remainder negligible (FIPS 186-5 A.2.1).
    """
    octets = rng((curve.key_size + 7) // 8 + 8)
    scalar = int.from_bytes(octets, "big") % (curve.group_order - 1) + 1
    return ec.derive_private_key(scalar, curve)


class _Modp(KeyExchange):
    @property
    def _bits(self) -> int:
        return self.public_octets * 8

    def offer(self, rng: Rng) -> Offer:
        group = modp.group(self._bits)
        private = int.from_bytes(rng(group.exponent_octets), "big")

        def finish(peer_public: bytes) -> bytes:
            self._check_length(peer_public)
            try:
                return group.shared(private, peer_public)
            except ValueError as error:
                raise BadPublicValueError(f"the public value of {self.name} {error}") from None

        return Offer(group.public(private), finish)


_MlKemPrivate = type[mlkem.MLKEM768PrivateKey] | type[mlkem.MLKEM1024PrivateKey]
_MlKemPublic = type[mlkem.MLKEM768PublicKey] | type[mlkem.MLKEM1024PublicKey]


@dataclass(frozen=True)
class _MlKem(KeyExchange):
    """FIPS 203: the offer is an encapsulation key, the answer a ciphertext."""

    ciphertext_octets: int
    private: _MlKemPrivate = field(repr=False, compare=False)
    public: _MlKemPublic = field(repr=False, compare=False)

    @property
    def answer_octets(self) -> int:
        return self.ciphertext_octets

    @property
    def is_kem(self) -> bool:
        return True

    def offer(self, rng: Rng) -> Offer:
        private = self.private.from_seed_bytes(rng(64))  # d | z (FIPS 203 §7.1)

        def finish(peer_public: bytes) -> bytes:
            if len(peer_public) != self.answer_octets:
                raise BadPublicValueError(
                    f"a ciphertext of {self.name} has {self.answer_octets} octets, "
                    f"not {len(peer_public)}"
                )
            # Another ciphertext of this length gives another secret, no error (FIPS 203 §6.3).
            return private.decapsulate(peer_public)

        return Offer(private.public_key().public_bytes_raw(), finish)

    def answer(self, peer_public: bytes, rng: Rng) -> tuple[bytes, bytes]:
        """As in `KeyExchange`; but the library draws the randomness itself."""
        del rng  # it takes none
        self._check_length(peer_public)
        try:
            key = self.public.from_public_bytes(peer_public)
            shared, ciphertext = key.encapsulate()
        except ValueError:
            # FIPS 203 §7.2: each coefficient has to be below the modulus.
            raise BadPublicValueError(f"the public value is no key of {self.name}") from None
        return ciphertext, shared


EXCHANGES: tuple[KeyExchange, ...] = (
    _X25519(KeyExchangeId.X25519, "x25519", 32),
    _Ecp(KeyExchangeId.ECP_384, "ecp384", 96, ec.SECP384R1()),
    _Ecp(KeyExchangeId.ECP_256, "ecp256", 64, ec.SECP256R1()),
    _Ecp(KeyExchangeId.ECP_521, "ecp521", 132, ec.SECP521R1()),
    _Modp(KeyExchangeId.MODP_4096, "modp4096", 512),
    _Modp(KeyExchangeId.MODP_3072, "modp3072", 384),
    _Modp(KeyExchangeId.MODP_2048, "modp2048", 256),
    _Modp(KeyExchangeId.MODP_6144, "modp6144", 768),
    _Modp(KeyExchangeId.MODP_8192, "modp8192", 1024),
    _MlKem(
        KeyExchangeId.ML_KEM_768,
        "mlkem768",
        1184,
        1088,
        mlkem.MLKEM768PrivateKey,
        mlkem.MLKEM768PublicKey,
    ),
    _MlKem(
        KeyExchangeId.ML_KEM_1024,
        "mlkem1024",
        1568,
        1568,
        mlkem.MLKEM1024PrivateKey,
        mlkem.MLKEM1024PublicKey,
    ),
)
"""Every key exchange method here, in order of preference."""


def exchange(method: int) -> KeyExchange | None:
    """The method with this transform ID, None when it is not here."""
    return next((e for e in EXCHANGES if e.method == method), None)
