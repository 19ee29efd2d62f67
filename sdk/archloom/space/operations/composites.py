"""Layers that are made of layers, written in the language itself: their weights, shapes and hash need no
rules of their own.

A composite's parameters are variables of its body; a parameter that is a domain is a decision at
``<path>.<parameter>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from archloom.space.domains import Literal
from archloom.space.expressions import Expression, parse
from archloom.space.operations.registry import operation_specs
from archloom.space.tree import LayerNode, Node, ResidualNode, SequenceNode, Value


@dataclass(frozen=True)
class Composite:
    """``parameters`` are name -> default, None where it is required; expressions see cin, the input's
    channels.
    """

    name: str
    parameters: Mapping[str, Value | None]
    body: Node
    summary: str

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.parameters)

    def expand(self, layer: LayerNode) -> Node:
        """The node that a layer of this name stands for, but for the layer's own let and when; required
        parameters are given.
        """
        given = dict(layer.parameters)
        arguments = tuple(
            (name, given.get(name, default))
            for name, default in self.parameters.items()
            if name in given or default is not None
        )
        return replace(
            self.body,
            name=layer.name,
            let=tuple((name, value) for name, value in arguments if value is not None),
            where=layer.where,
        )


def _layer(operation: str, name: str, **parameters: Literal | Expression) -> LayerNode:
    return LayerNode(operation=operation, name=name, parameters=tuple(sorted(parameters.items())))


def _e(text: str) -> Expression:
    return parse(text)


def _composites() -> Mapping[str, Composite]:
    normed = {"norm": _e("norm"), "activation": _e("activation")}
    depthwise = _layer(
        "conv",
        "depthwise",
        k=_e("k"),
        stride=_e("stride"),
        dilation=_e("dilation"),
        groups=_e("cin"),
        **normed,
    )
    common: dict[str, Value | None] = {"k": 3, "stride": 1}
    found = (
        Composite(
            "activation",
            {"kind": None},
            SequenceNode(nodes=(_layer("identity", "fixed", activation=_e("kind")),)),
            "The activation that kind names, where that is decided elsewhere.",
        ),
        Composite(
            "depthwise",
            {**common, "dilation": 1, "norm": "none", "activation": "none"},
            SequenceNode(nodes=(depthwise,)),
            "One filter a channel.",
        ),
        Composite(
            "separable",
            {**common, "dilation": 1, "out": _e("cin"), "norm": "batch", "activation": "relu"},
            SequenceNode(nodes=(depthwise, _layer("conv", "pointwise", k=1, out=_e("out"), **normed))),
            "Depthwise, then 1x1 (Chollet 2017, as MobileNet has it: a norm and an activation after each).",
        ),
        Composite(
            "inverted_bottleneck",
            {
                **common,
                "expand": 4,
                "out": _e("cin"),
                "squeeze": False,
                "reduction": 4,
                "norm": "batch",
                "activation": "relu6",
            },
            ResidualNode(
                adapt="skip",
                body=SequenceNode(
                    nodes=(
                        replace(
                            _layer("conv", "expand", k=1, out=_e("max(1, cin * expand // 1)"), **normed),
                            when=_e("expand != 1"),
                        ),
                        replace(
                            depthwise, parameters=tuple(p for p in depthwise.parameters if p[0] != "dilation")
                        ),
                        replace(
                            _layer("squeeze_excite", "squeeze", reduction=_e("reduction")), when=_e("squeeze")
                        ),
                        _layer("conv", "project", k=1, out=_e("out"), norm=_e("norm")),
                    ),
                ),
            ),
            "1x1 up, depthwise, 1x1 down, with a shortcut where shapes agree (Sandler et al. 2018).",
        ),
    )
    return {composite.name: composite for composite in found}


COMPOSITES = _composites()


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
    parameters = tuple((key, value) for key, value in layer.parameters if key in known)
    return LayerNode(operation=name, parameters=parameters, name=layer.name, where=layer.where)
