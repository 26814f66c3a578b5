"""Typed outcomes and the sentences that a person reads."""
