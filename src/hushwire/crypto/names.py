"""strongSwan-style names of transforms, also of those that are not used here.

A peer's offer, or an old configuration, names algorithms that Hushwire does not use; an
explanation must be able to say which.
"""

from __future__ import annotations

import difflib
import re

from hushwire.crypto.cbc import INTEGRITIES
from hushwire.crypto.ciphers import CIPHERS
from hushwire.crypto.errors import UnknownAlgorithmError
from hushwire.crypto.exchange import EXCHANGES
from hushwire.crypto.prf import PRFS
from hushwire.records import dataclass
from hushwire.wire.ike.payloads.sa import Transform
from hushwire.wire.registry import EsnId, KeyExchangeId, TransformType

_ENCR, _PRF, _INTEG = TransformType.ENCR, TransformType.PRF, TransformType.INTEG
_KE, _ESN = TransformType.KE, TransformType.ESN

ADDITIONAL = tuple(TransformType(number) for number in range(6, 13))
"""ADDKE1 to ADDKE7: `ke1_mlkem768` and so on (RFC 9370 §2.2.1)."""

SUPPORTED: dict[str, Transform] = {
    # What goes with a cipher of another transform has a name of its own: aes256-sha256.
    **{c.name.partition("-")[0]: c.transforms[0] for c in CIPHERS},
    **{i.name: Transform(_INTEG, i.id) for i in INTEGRITIES},
    **{p.name: Transform(_PRF, p.id) for p in PRFS},
    **{e.name: Transform(_KE, e.method) for e in EXCHANGES if not e.is_kem},
    **{
        f"ke{number}_{name}": Transform(kind, method)
        for number, kind in enumerate(ADDITIONAL, start=1)
        for name, method in [*((e.name, e.method) for e in EXCHANGES), ("none", KeyExchangeId.NONE)]
    },
    "esn": Transform(_ESN, EsnId.ESN),
    "noesn": Transform(_ESN, EsnId.NO_ESN),
}
"""What a proposal string can name, by the name that `describe` gives."""

ALIASES = {
    "aes128gcm": "aes128gcm16",
    "aes128gcm128": "aes128gcm16",
    "aes256gcm": "aes256gcm16",
    "aes256gcm128": "aes256gcm16",
    "curve25519": "x25519",
    # A KEM is always an additional exchange; the first one needs no number.
    **{e.name: f"ke1_{e.name}" for e in EXCHANGES if e.is_kem},
    "sha2_256": "sha256",
    "sha2_384": "sha384",
    "sha2_512": "sha512",
}

_WEAK = "is too weak for today"
_FORBIDDEN = "must not be used any more"
_NOT_HERE = "is not built into Hushwire"


@dataclass(frozen=True, slots=True)
class _Refused:
    """An algorithm that exists: why it is not used here, and what to use instead."""

    transform: Transform | None
    reason: str
    instead: str | None


_MODP_WEAK = f"{_WEAK} (RFC 8247 §2.4)"
_MODP_FORBIDDEN = f"{_FORBIDDEN} (RFC 8247 §2.4)"
_GCM, _KEX = "aes256gcm16", "x25519"

REFUSED: dict[str, _Refused] = {
    "des": _Refused(Transform(_ENCR, 2), f"{_FORBIDDEN} (RFC 8247 §2.1, RFC 8221 §5)", _GCM),
    "3des": _Refused(Transform(_ENCR, 3), f"{_WEAK} (RFC 8221 §5)", _GCM),
    "blowfish": _Refused(Transform(_ENCR, 7), f"{_FORBIDDEN} (RFC 8221 §5)", _GCM),
    "null": _Refused(Transform(_ENCR, 11), "would leave everything readable", _GCM),
    **{
        f"aes{bits}{suffix}": _Refused(
            Transform(_ENCR, number, bits),
            _NOT_HERE,
            "aes128gcm16" if bits == 128 else _GCM,
        )
        for suffix, number in (
            ("ctr", 13),
            ("ccm8", 14),
            ("ccm12", 15),
            ("ccm16", 16),
            ("gcm8", 18),
            ("gcm12", 19),
        )
        for bits in (128, 192, 256)
    },
    "aes": _Refused(None, "does not say its key length and mode", _GCM),
    "aes192": _Refused(Transform(_ENCR, 12, 192), _NOT_HERE, "aes256"),
    "aes192gcm16": _Refused(Transform(_ENCR, 20, 192), _NOT_HERE, _GCM),
    "prfmd5": _Refused(Transform(_PRF, 1), f"{_FORBIDDEN} (RFC 8247 §2.2)", "prfsha256"),
    "prfsha1": _Refused(Transform(_PRF, 2), f"{_WEAK} (RFC 8247 §2.2)", "prfsha256"),
    "prfaesxcbc": _Refused(Transform(_PRF, 4), _NOT_HERE, "prfsha256"),
    "prfaescmac": _Refused(Transform(_PRF, 8), _NOT_HERE, "prfsha256"),
    "md5": _Refused(Transform(_INTEG, 1), f"{_FORBIDDEN} (RFC 8247 §2.3)", "sha256"),
    "sha1": _Refused(Transform(_INTEG, 2), f"{_WEAK} (RFC 8247 §2.3)", "sha256"),
    "sha": _Refused(None, f"means SHA-1, which {_WEAK} (RFC 8247 §2.3)", "sha256"),
    "aesxcbc": _Refused(Transform(_INTEG, 5), _NOT_HERE, "sha256"),
    "aescmac": _Refused(Transform(_INTEG, 8), _NOT_HERE, "sha256"),
    "modp768": _Refused(Transform(_KE, 1), _MODP_FORBIDDEN, _KEX),
    "modp1024": _Refused(Transform(_KE, 2), _MODP_WEAK, _KEX),
    "modp1536": _Refused(Transform(_KE, 5), _MODP_WEAK, _KEX),
    "modp1024s160": _Refused(Transform(_KE, 22), _MODP_FORBIDDEN, _KEX),
    "modp2048s224": _Refused(Transform(_KE, 23), _MODP_WEAK, _KEX),
    "modp2048s256": _Refused(Transform(_KE, 24), _MODP_WEAK, _KEX),
    "ecp192": _Refused(Transform(_KE, 25), _WEAK, "ecp256"),
    "ecp224": _Refused(Transform(_KE, 26), _WEAK, "ecp256"),
    "ecp256bp": _Refused(Transform(_KE, 28), _NOT_HERE, "ecp256"),
    "ecp384bp": _Refused(Transform(_KE, 29), _NOT_HERE, "ecp384"),
    "ecp512bp": _Refused(Transform(_KE, 30), _NOT_HERE, "ecp384"),
    "x448": _Refused(Transform(_KE, 32), _NOT_HERE, _KEX),
    "mlkem512": _Refused(
        Transform(_KE, 35), "is not in the cryptographic library below", "mlkem768"
    ),
}

_NAMES = {
    **{transform: name for name, transform in SUPPORTED.items()},
    **{refused.transform: name for name, refused in REFUSED.items() if refused.transform},
    **{Transform(_KE, e.method): e.name for e in EXCHANGES},
}
_ADDITIONAL_NAME = re.compile(r"(ke[1-7]_)(.+)")
_KIND_NAMES: dict[int, str] = {_ENCR: "encr", _PRF: "prf", _INTEG: "integ", _KE: "ke", _ESN: "esn"}


def named(token: str) -> Transform:
    """The transform with this name or alias. Raises `UnknownAlgorithmError`."""
    name = token.strip().lower()
    name = ALIASES.get(name, name)
    if name in SUPPORTED:
        return SUPPORTED[name]
    additional = _ADDITIONAL_NAME.fullmatch(name)
    prefix, plain = additional.groups() if additional else ("", name)
    if plain in REFUSED:
        refused = REFUSED[plain]
        instead = prefix + refused.instead if prefix and refused.instead else refused.instead
        raise UnknownAlgorithmError(token, instead, refused.reason)
    nearest = difflib.get_close_matches(name, [*SUPPORTED, *ALIASES], n=1)
    raise UnknownAlgorithmError(token, ALIASES.get(nearest[0], nearest[0]) if nearest else None)


def name_of(transform: Transform) -> str:
    """The name of a transform, or its kind and number (`encr-99`) when it has none here."""
    plain = Transform(transform.type, transform.id, transform.key_length)
    if plain in _NAMES:
        return _NAMES[plain]
    if plain.type in ADDITIONAL:
        return f"ke{plain.type - ADDITIONAL[0] + 1}_{name_of(Transform(_KE, plain.id))}"
    name = f"{_KIND_NAMES.get(transform.type, f'type{transform.type}')}-{transform.id}"
    return name if transform.key_length is None else f"{name}/{transform.key_length}"
