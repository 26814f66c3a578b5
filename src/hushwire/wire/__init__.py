"""Bytes to frozen dataclasses and back. Knows every format and decides nothing."""
