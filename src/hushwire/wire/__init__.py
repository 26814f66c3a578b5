"""Bytes to frozen dataclasses and back. Knows every format, decides nothing, imports nothing of ours."""
