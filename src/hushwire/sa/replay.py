"""The anti-replay window with 64-bit sequence numbers (RFC 4303 §3.4.3 and Appendix A2)."""

from __future__ import annotations

SMALLEST_WINDOW = 32
"""RFC 4303 §3.4.3: a window of 32 packets MUST be supported."""

_SUBSPACE = 1 << 32


class ReplayWindow:
    """The newest `size` sequence numbers of one inbound SA, each seen or not.

    `top` is T, the highest number authenticated so far; bit n of the mask stands for T - n.
    Raises `ValueError` for a size outside 32 to 2^32 - 1 (Appendix A2.1).
    """

    __slots__ = ("_esn", "_limit", "_mask", "_seen", "_size", "_top")

    def __init__(self, size: int, esn: bool) -> None:
        if not SMALLEST_WINDOW <= size < _SUBSPACE:
            raise ValueError(f"replay window {size}: not in {SMALLEST_WINDOW} to 2^32 - 1")
        self._size = size
        self._mask = (1 << size) - 1
        self._esn = esn
        self._limit = (1 << 64) - 1 if esn else _SUBSPACE - 1
        self._top = 0
        self._seen = 0

    @property
    def top(self) -> int:
        """The highest sequence number committed, 0 before the first packet."""
        return self._top

    def recover(self, low32: int) -> int:
        """The full number for the 32 bits that a packet shows (Appendix A2.2).

        Without ESN they are the number. With ESN it is a guess: a packet older than the window is
        taken for one far ahead. The ICV, computed over the guess, decides; `check` refuses one
        above 2^64 - 1.
        """
        if not self._esn:
            return low32
        top_high, top_low = divmod(self._top, _SUBSPACE)
        bottom_low = (top_low - self._size + 1) % _SUBSPACE
        if top_low >= self._size - 1:  # Case A: the window lies in one subspace
            high = top_high if low32 >= bottom_low else top_high + 1
        elif top_high == 0:  # Case B, but no subspace lies before the first
            high = 0
        else:  # Case B: the window began in the subspace before
            high = top_high - 1 if low32 >= bottom_low else top_high
        return high * _SUBSPACE + low32

    def check(self, sequence: int) -> bool:
        """Whether a packet with this full number may be new. Changes nothing.

        §3.4.3: done before the costly ICV, whose result alone may move the window.
        """
        if not 0 < sequence <= self._limit:
            # §3.3.3: the first packet has 1 and the counter never cycles, so 0 is nobody's.
            return False
        age = self._top - sequence
        return age < 0 or (age < self._size and not self._seen >> age & 1)

    def commit(self, sequence: int) -> bool:
        """Note an authenticated packet. False, and no change, if it has been seen meanwhile."""
        if not self.check(sequence):
            return False
        ahead = sequence - self._top
        if ahead > 0:
            # A jump of more than the window leaves nothing of it, however far (no huge shifts).
            kept = self._seen << ahead & self._mask if ahead < self._size else 0
            self._seen = kept | 1
            self._top = sequence
        else:
            self._seen |= 1 << -ahead
        return True
