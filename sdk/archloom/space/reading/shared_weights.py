"""Whether parts that share their weights can: a scan keeps its weights to itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from archloom.space.language.tree import (
    CellNode,
    ChoiceNode,
    MapNode,
    Node,
    RepeatNode,
    ScanNode,
    SpaceTree,
    UseNode,
    children,
)

Report = Callable[[str, str], None]
_Found = dict[str, dict[int, str]]
"""Part -> the scan that a shared use stands in, 0 outside, -> the field of the use."""

_REMEDY = "a scan keeps its weights to itself: write weights: separate, or put all these uses into one scan"


def check_shared_weights(space: SpaceTree, report: Report) -> None:
    """Report (field, message) for each shared use of a part in a scan that has a shared use elsewhere too."""
    _Walk(report).node(space.body, 0)


class _Walk:
    """Walks parts at each use: a scan in a part used twice is two scans, unless these uses share weights."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.numbers = count(1)
        self.shared: dict[tuple[str, int], _Found] = {}
        self.told: set[str] = set()

    def node(self, node: Node, scan: int) -> _Found:
        """The shared uses below a node that stands in a scan, or in none."""
        if not node.shares:
            return {}
        found: _Found = {}
        if isinstance(node, UseNode) and node.weights == "shared":
            key = (node.part, scan)
            if key not in self.shared:
                self.shared[key] = self.below(node, scan)
            found = {part: dict(scans) for part, scans in self.shared[key].items()}
            self.add(found, {node.part: {scan: node.where}}, False)
            return found
        return self.below(node, next(self.numbers) if isinstance(node, ScanNode) else scan)

    def below(self, node: Node, scan: int) -> _Found:
        found: _Found = {}
        for child in children(node):
            self.add(found, self.node(child, scan), isinstance(node, ChoiceNode))
        if _again(node):
            for part, scans in found.items():
                for inner, where in scans.items():
                    if inner != scan:
                        self.fault(where, part, f"by the repetitions of a scan in {node.where}")
        return found

    def add(self, found: _Found, more: _Found, either: bool) -> None:
        """Join what was found; ``either``: only one of them is there."""
        for part, scans in more.items():
            known = found.setdefault(part, {})
            for scan, where in scans.items():
                if not either and known and known.keys() != {scan}:
                    other, there = next((s, w) for s, w in known.items() if s != scan)
                    what = "by two scans" if scan and other else "in a scan and outside of it"
                    self.fault(where, part, f"{what}, here and at {there}")
                known.setdefault(scan, where)

    def fault(self, where: str, part: str, how: str) -> None:
        if where not in self.told:
            self.told.add(where)
            self.report(f"{where}.use.weights", f"the weights of part {part!r} are shared {how}; {_REMEDY}")


def _again(node: Node) -> bool:
    """Whether what is below is there several times at once, each with weights of its own."""
    if isinstance(node, (RepeatNode, MapNode)):
        several = node.count not in (0, 1) if isinstance(node, RepeatNode) else len(node.over) > 1
        return several and node.weights != "shared"
    return isinstance(node, CellNode)
