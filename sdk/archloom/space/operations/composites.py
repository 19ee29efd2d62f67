"""Layers that are made of layers, written in the language itself: their weights, shapes and hash need no
rules of their own.

A composite's parameters are variables of its body; a parameter that is a domain is a decision at
``<path>.<parameter>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from archloom.space.language.expressions import Expression, Scalar, parse
from archloom.space.language.tree import LayerNode, Node, SequenceNode
from archloom.space.operations.registry import operation_specs
from archloom.space.operations.spec import Parameter


@dataclass(frozen=True)
class Composite:
    """A default that begins with "=" is an expression; it sees ``cin``, the input's channels, and the
    parameters before it.
    """

    name: str
    parameters: tuple[Parameter, ...]
    body: Node
    summary: str
    kinds: tuple[str, ...] = ("image", "seq")  # of its input

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def defaults(self) -> Mapping[str, Scalar | Expression]:
        """Those of the parameters that have one."""
        return {each.name: value(each.default) for each in self.parameters if each.default is not None}

    def expand(self, layer: LayerNode) -> Node:
        """The node that a layer of this name stands for, but for the layer's own let and when; required
        parameters are given.
        """
        given = {**self.defaults, **{key: each for key, each in layer.parameters if key in self.by_name}}
        let = tuple((name, given[name]) for name in self.by_name if name in given)
        return replace(self.body, name=layer.name, let=let, where=layer.where)


def value(text: Scalar) -> Scalar | Expression:
    """An expression where the text begins with "=", else what was given."""
    return parse(text[1:]) if isinstance(text, str) and text.startswith("=") else text


def layer(operation: str, name: str, /, **parameters: Scalar) -> LayerNode:
    """A layer as in YAML: "=..." is an expression."""
    return LayerNode(
        operation=operation,
        name=name,
        parameters=tuple(sorted((key, value(each)) for key, each in parameters.items())),
    )


def only_if(condition: str, node: Node) -> Node:
    return replace(node, when=parse(condition))


def sequence(*nodes: Node, name: str = "") -> SequenceNode:
    return SequenceNode(nodes=nodes, name=name)


COMPOSITES: dict[str, Composite] = {}


def add(composite: Composite) -> None:
    """Make a composite known."""
    COMPOSITES[composite.name] = composite


def stands_for(layer: LayerNode, name: str) -> Node:
    """What a layer is when its operation is ``name``: a composite's body, or a layer with the parameters of
    that operation alone.

    The layer's own let and when are left to the caller.
    """
    found = layer.expansions.get(name)
    if found is None:
        found = layer.expansions[name] = _stands_for(layer, name)
    return found


def _stands_for(layer: LayerNode, name: str) -> Node:
    if name in COMPOSITES:
        return COMPOSITES[name].expand(layer)
    spec = operation_specs()[name]
    known = {*spec.by_name, *(("norm", "activation") if spec.follows else ())}
    parameters = tuple((key, each) for key, each in layer.parameters if key in known or spec.open)
    return LayerNode(operation=name, parameters=parameters, name=layer.name, where=layer.where)
