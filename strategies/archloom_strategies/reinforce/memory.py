"""The state: the policy, the trials that it learns from, and what was asked. Some 30 KB for a cell, 120 KB
for a mobile network; below 2 MiB for the largest space, so that it also fits into the state of a composite.

Its bytes: the length of the header (4 bytes, little-endian), the header (JSON), the policy's arrays (32-bit
floats, little-endian, one after the other in the order of the header's shapes), and 8 bytes for each network.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from archloom_strategies.reinforce.draws import Answer

#: Networks that are remembered, so that none is asked twice.
NETWORKS = 10_000
#: Draws, with what goes with them, of all trials in memory; and as many of all proposals under way.
DRAWS = 30_000
#: Log probabilities are kept as whole numbers of hundredths.
HUNDREDTHS = 100
#: Trials in memory.
LEAST_TRIALS, MOST_TRIALS = 8, 160

Array = NDArray[np.float32]


class Trial(BaseModel):
    """One that ended."""

    model_config = ConfigDict(frozen=True)

    answers: tuple[Answer, ...]
    logs: tuple[int, ...]
    """Log probability of each answer under the policy that proposed it, in hundredths."""
    metrics: dict[str, float]
    """Those of objectives and constraints; none that is no finite number."""
    violation: float = 0.0
    """By how much it breaks the constraints whose metrics were reported."""
    infeasible: bool = False
    failed: bool = False


class Asked(BaseModel):
    """A proposal that has not ended; ``step`` and ``ordinal`` name it."""

    model_config = ConfigDict(frozen=True)

    step: int
    ordinal: int
    answers: tuple[Answer, ...]
    logs: tuple[int, ...]


class Header(BaseModel):
    """All of the state but its arrays."""

    model_config = ConfigDict(frozen=True)

    subject: str = ""
    """The space and the objectives that the policy is of."""
    trials: tuple[Trial, ...] = ()
    """In the order in which they ended."""
    asked: tuple[Asked, ...] = ()
    ended: int = 0
    """Trials that ended, ever."""
    swept: int = 0
    """How far the space was listed when the policy drew nothing new."""
    dry: int = 0
    """Steps in a row that brought nothing new, with nothing under way."""


@dataclass(frozen=True)
class Memory:
    header: Header = field(default_factory=Header)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    networks: tuple[bytes, ...] = ()
    """The first 8 bytes of each network's digest, the last ones at the end."""

    def dumped(self) -> bytes:
        fields: dict[str, Any] = self.header.model_dump(mode="json")
        fields["arrays"] = [[name, list(array.shape)] for name, array in self.arrays.items()]
        text = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
        blocks = [np.ascontiguousarray(array, "<f4").tobytes() for array in self.arrays.values()]
        return b"".join((struct.pack("<I", len(text)), text, *blocks, *self.networks))

    @staticmethod
    def loaded(data: bytes) -> Memory:
        """Raises ValueError for bytes that ``dumped`` did not write."""
        try:
            (length,) = struct.unpack_from("<I", data)
            fields = json.loads(data[4 : 4 + length])
            place, arrays = 4 + length, {}
            for name, shape in fields.pop("arrays"):
                count = int(np.prod(shape))
                arrays[name] = np.frombuffer(data, "<f4", count, place).reshape(shape).astype(np.float32)
                place += 4 * count
            networks = tuple(data[at : at + 8] for at in range(place, len(data), 8))
            return Memory(Header.model_validate(fields), arrays, networks)
        except (struct.error, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these {len(data)} bytes are no state of 'reinforce': {error}") from None


def trials_kept(slots: int) -> int:
    """So many that their draws fit."""
    return max(LEAST_TRIALS, min(MOST_TRIALS, DRAWS // max(1, slots)))
