"""The architectures a search saw last, in a few bytes each."""

from __future__ import annotations

from archloom.space import Architecture

_DIGITS = 8


class Recent:
    """A window over the last ``size`` architectures. Its text, 8 characters each, goes into a state.

    The digits are the beginning of the architecture's key, 32 bits: among 1,000 architectures one in four
    million is taken for another, which costs the search that proposal.
    """

    def __init__(self, text: str, size: int) -> None:
        self._size = size
        self._order = [text[place : place + _DIGITS] for place in range(0, len(text), _DIGITS)]
        self._known = set(self._order)

    def add(self, architecture: Architecture) -> bool:
        """Takes it in; whether it was new."""
        digits = architecture.key[:_DIGITS]
        if digits in self._known:
            return False
        self._known.add(digits)
        self._order.append(digits)
        return True

    def text(self) -> str:
        return "".join(self._order[-self._size :])
