"""The keys of X.509 in the configuration, with an example each.

Apart from `config/certificates.py`, which is slow to load, and read only where one is used.
"""

from __future__ import annotations

KEYS = {
    "cert_file": '"alice.pem"',
    "ca_file": '"ca.pem"',
    "crl_file": '"ca.crl"',
    "crl_url": '"http://ca.example.org/ca.crl"',
    "crl": '"require"',
    "key_purpose": '"any"',
    "rsa": '"pkcs1"',
}
