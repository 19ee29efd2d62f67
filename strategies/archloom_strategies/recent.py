"""The networks a search saw last, in a few bytes each."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256

_LETTERS = 5


class Recent:
    """A window over the last ``size`` names of networks. Its text, 5 characters each, goes into a state.

    The characters are 30 bits of the name's digest: among 4,000 networks one in 270,000 is taken for
    another, which costs the search that proposal.
    """

    def __init__(self, text: str, size: int) -> None:
        self._size = size
        self._order = [text[place : place + _LETTERS] for place in range(0, len(text), _LETTERS)]
        self._known = set(self._order)

    def add(self, network: str) -> bool:
        """Takes it in; whether it was new."""
        letters = _letters(network)
        if letters in self._known:
            return False
        self._known.add(letters)
        self._order.append(letters)
        return True

    def __contains__(self, network: str) -> bool:
        return _letters(network) in self._known

    def text(self) -> str:
        return "".join(self._order[-self._size :])


def _letters(network: str) -> str:
    return urlsafe_b64encode(sha256(network.encode()).digest()[:6]).decode()[:_LETTERS]
