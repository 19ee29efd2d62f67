"""Which parts of a network can be taken as one: a single tensor leaves, nothing outside stands between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class Borders:
    """``sources`` maps each layer's number to those it reads, in topological order of the numbers; what is no
    key is an input.
    """

    def __init__(self, sources: Mapping[int, tuple[int, ...]], outputs: Iterable[int]) -> None:
        self.sources = sources
        self.outputs = set(outputs)
        self.readers: dict[int, list[int]] = {number: [] for number in sources}
        for number, reads in sources.items():
            for source in reads:
                self.readers.setdefault(source, []).append(number)

    def entries(self, members: Sequence[int]) -> tuple[int, ...]:
        """What is read from outside, in order of the first reading."""
        inside = set(members)
        found: dict[int, None] = {}
        for number in members:
            found.update(dict.fromkeys(source for source in self.sources[number] if source not in inside))
        return tuple(found)

    def exits(self, members: Sequence[int]) -> list[int]:
        """What is read outside, or is an output."""
        inside = set(members)
        return [
            number
            for number in members
            if number in self.outputs or any(reader not in inside for reader in self.readers[number])
        ]

    def closed(self, members: Sequence[int]) -> bool:
        """Whether it can be called as one function of one result; members are in order."""
        if len(self.exits(members)) != 1:
            return False
        inside, first = set(members), members[0]
        stack, seen = [source for source in self.entries(members) if source > first], set[int]()
        while stack:
            number = stack.pop()
            if number in inside:
                return False
            if number not in seen:
                seen.add(number)
                stack += [source for source in self.sources.get(number, ()) if source >= first]
        return True
