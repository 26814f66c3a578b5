"""A post-quantum preshared key, mixed into the keys beside any proof of identity (RFC 8784)."""

from __future__ import annotations

from dataclasses import field

from hushwire.records import dataclass


@dataclass(frozen=True, slots=True)
class Ppk:
    """`id` is what both hosts call it. `required`: without it there is no tunnel."""

    secret: bytes = field(repr=False)
    id: str
    required: bool = True
