"""What a verb can say no to, before it has begun."""

from __future__ import annotations


class UsageError(Exception):
    """The command cannot be done as it was typed. The text says why, and what to type."""
