"""What the compiler and the builder must agree on: paths, counts, and which earlier tensors may be read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from archloom.space.language.domains import Choice, Divisors, Domain, Literal, Subset
from archloom.space.language.expressions import Expression, ExpressionError
from archloom.space.language.tree import (
    MAX_LINKED,
    MAX_REPEAT,
    CellNode,
    Links,
    Node,
    RepeatNode,
    SequenceNode,
    kind_of,
)

Known = Mapping[str, Literal]
"""Variables and their values."""


def root_path(body: Node) -> str:
    """The path of the body: empty for a sequence, whose children are named, else its name or kind."""
    return body.name or ("" if isinstance(body, SequenceNode) else kind_of(body))


def counts_of(node: RepeatNode, known: Known) -> Domain | int:
    """The count as a domain, or as a number where nothing is to be decided; raises ExpressionError."""
    if isinstance(node.count, Divisors):
        return node.count.settle(known)
    if isinstance(node.count, Domain):
        return node.count
    value = node.count.evaluate(known) if isinstance(node.count, Expression) else node.count
    most = MAX_REPEAT if node.links is None else MAX_LINKED
    if type(value) is not int or not 0 <= value <= most:
        raise ExpressionError(f"expected a count from 0 to {most}, found {value!r}")
    return value


def input_count(node: CellNode) -> int:
    """How many tensors a cell reads."""
    return node.inputs or 1


def made_by_nodes(node: CellNode) -> range:
    """The numbers of the tensors that the cell's nodes make."""
    first = input_count(node)
    return range(first, first + node.nodes)


def edge_domain(node: CellNode, tensor: int) -> Domain:
    """For sparse edges, which earlier tensors the node that makes ``tensor`` reads."""
    assert node.edges is not None
    sources = tuple(range(tensor))
    k = min(node.edges.k, tensor) if node.edges.distinct else node.edges.k
    return Subset(sources, k, k) if node.edges.distinct else Choice(sources)


def edge_count(node: CellNode, tensor: int) -> int:
    """How many edges enter the node that makes ``tensor``."""
    if node.edges is None:
        return tensor
    return min(node.edges.k, tensor) if node.edges.distinct else node.edges.k


@lru_cache(maxsize=1_000)
def link_domain(links: Links, repetition: int) -> Subset:
    """Which tensors before its own the repetition, numbered from 1 on, may read too."""
    most = repetition if links.most is None else min(links.most, repetition)
    return Subset(tuple(range(repetition)), 0, most)
