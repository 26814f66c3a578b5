"""Hushwire: an IPsec for people. ESP (RFC 4303) and IKEv2 (RFC 7296), in Python first."""

__version__ = "0.1.0"
