"""Cookies (RFC 7296 §2.6): good for one stranger, and not for long."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest

from hushwire.ike.cookies import CookieJar
from hushwire.sa.association import Address

STRANGER = Address(ip_address("192.0.2.1"), 500)
NONCE, SPI = bytes(32), b"initiatr"


def jar(now: float = 0.0) -> CookieJar:
    return CookieJar(random.Random(1).randbytes, now)


def test_a_cookie_is_good_for_whom_it_was_baked() -> None:
    cookies = jar()
    cookie = cookies.bake(NONCE, STRANGER, SPI, 0.0)
    assert len(cookie) == 32  # §2.6: 1 to 64 octets
    assert cookies.good(cookie, NONCE, STRANGER, SPI, 0.0)
    assert cookies.bake(NONCE, STRANGER, SPI, 59.0) == cookie  # nothing is kept about anybody


@pytest.mark.parametrize(
    ("nonce", "address", "spi"),
    [
        (bytes(31) + b"\1", STRANGER, SPI),
        (bytes(33), STRANGER, SPI),
        (NONCE, STRANGER._replace(port=501), SPI),
        (NONCE, STRANGER._replace(ip=ip_address("192.0.2.2")), SPI),
        (NONCE, STRANGER._replace(ip=ip_address("::c000:201")), SPI),
        (NONCE, STRANGER, b"initiatR"),
    ],
    ids=["nonce", "longer nonce", "port", "address", "family", "SPI"],
)
def test_a_cookie_is_good_for_nobody_else(nonce: bytes, address: Address, spi: bytes) -> None:
    cookies = jar()
    cookie = cookies.bake(NONCE, STRANGER, SPI, 0.0)
    assert not cookies.good(cookie, nonce, address, spi, 0.0)


def test_made_up_cookies_are_not_good() -> None:
    for made_up in (b"", bytes(31), bytes(32), bytes(64)):
        assert not jar().good(made_up, NONCE, STRANGER, SPI, 0.0)


def test_another_hosts_cookies_are_not_good() -> None:
    other = CookieJar(random.Random(2).randbytes, 0.0)
    assert not jar().good(other.bake(NONCE, STRANGER, SPI, 0.0), NONCE, STRANGER, SPI, 0.0)


@pytest.mark.parametrize(
    ("baked", "shown", "good"),
    [
        (0, 59, True),
        (0, 61, True),
        (0, 119, True),
        (59, 118, True),
        (0, 120, False),
        (0, 1e6, False),
    ],
)
def test_a_cookie_is_good_for_a_minute_or_two(baked: float, shown: float, good: bool) -> None:
    cookies = jar()
    cookie = cookies.bake(NONCE, STRANGER, SPI, baked)
    assert cookies.good(cookie, NONCE, STRANGER, SPI, shown) is good


def test_baking_for_others_lets_old_cookies_expire_too() -> None:
    cookies = jar()
    cookie = cookies.bake(NONCE, STRANGER, SPI, 0.0)
    for now in (60.0, 119.0):
        cookies.bake(NONCE, STRANGER, b"somebody", now)
        assert cookies.good(cookie, NONCE, STRANGER, SPI, now)
    cookies.bake(NONCE, STRANGER, b"somebody", 120.0)
    assert not cookies.good(cookie, NONCE, STRANGER, SPI, 120.0)
