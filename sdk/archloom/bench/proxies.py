"""Training-free scores of a benchmark: columns of a table, or computed as they are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from archloom.cli.offers import offered
from archloom.errors import InvalidInput, Violation
from archloom.space import Architecture, Space
from archloom.tables import Key, Table

#: What tables call a score, where that is not what evaluators call it (NAS-Bench-Suite-Zero's names).
COLUMNS = {"naswot": "nwot", "jacob_cov": "jacov", "parameters": "params"}
#: Of ``--proxies``.
LIVE = "live"


class Scorer(Protocol):
    """Computes scores. Offered by the package of the evaluators, which knows torch, under the entry-point
    group ``archloom.scorers``; called with a space.
    """

    names: Sequence[str]

    def __call__(self, architecture: Architecture, names: Sequence[str]) -> Mapping[str, float]:
        """Those of the scores that the architecture has; always the same for one architecture."""
        ...


class ProxyColumns(Mapping[str, Mapping[Key, float]]):
    """Tables' columns by name, each gathered when it is asked for; a score also under its evaluators' name.
    Columns of ``hidden`` are none.
    """

    def __init__(self, tables: Sequence[Table], hidden: Collection[str] = ()) -> None:
        columns = [
            (name, table) for table in reversed(tables) for name in table.columns if name not in hidden
        ]
        self._holders = {name: (table, name) for name, table in columns}
        for name, column in COLUMNS.items():
            if column in self._holders:
                self._holders.setdefault(name, self._holders[column])
        self._gathered: dict[str, Mapping[Key, float]] = {}

    def __getitem__(self, name: str) -> Mapping[Key, float]:
        if name not in self._gathered:
            table, column = self._holders[name]
            self._gathered[name] = table.column(column, "--proxy-table")
        return self._gathered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._holders)

    def __len__(self) -> int:
        return len(self._holders)


def read_scorer(proxies: str, space: Space) -> Scorer | None:
    """What ``--proxies`` asks for; None when it is not given. Raises InvalidInput."""
    if not proxies:
        return None
    if proxies != LIVE:
        message = f"{proxies!r}: the only word is {LIVE!r}; a table of scores goes to --proxy-table"
        raise InvalidInput([Violation("--proxies", message)])
    try:
        scorer: Scorer = offered("archloom.scorers", LIVE)(space)
    except InvalidInput as error:
        raise InvalidInput([Violation("--proxies", fault.message) for fault in error.violations]) from None
    return scorer
