"""Torch modules as spaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

import torch
from archloom.space import Graph, Shape, Space
from archloom.space.language.tree import KINDS
from torch import Tensor, nn

from archloom_evaluators.build.network import build_module, layer_key
from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.patching import Patch, read_patch
from archloom_evaluators.port.regions import regions_of
from archloom_evaluators.port.shaping import Shaper
from archloom_evaluators.port.traced import Layer
from archloom_evaluators.port.tracing import example, trace

TOLERANCE = 1e-4
"""Largest difference between a module's outputs and the imported network's, relative to the outputs' size."""


class Imported:
    """A module that was read: spaces of it, and its weights for their networks.

    opaque: name of a module -> operation of a plugin that it is, taken as a whole.
    Raises ImportFailed where the module is none that a space can say, or computes something else than what
    was read.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Mapping[str, Shape | str],
        name: str = "",
        opaque: Mapping[str, str] | None = None,
    ) -> None:
        shapes = {key: shape_of(value) if isinstance(value, str) else value for key, value in inputs.items()}
        if not shapes:
            raise ImportFailed("describe the inputs of forward, such as {'x': 'image:3x32x32'}")
        self.name = name or type(module).__name__
        self.origin = f"{type(module).__module__}.{type(module).__qualname__}"
        self.traced = trace(module, shapes, opaque or {})
        self.root = regions_of(self.traced)
        self._compare(module)

    def space(self, patch: object = None) -> Space:
        """The space of one architecture; with a patch (see ``patching``), of those that it leaves open.

        Raises ImportFailed where the patch does not fit the module, SpaceError where what it says makes no
        space.
        """
        return Space.from_dict(self._written(patch)[0])

    def state_dict(self, graph: Graph, patch: object = None) -> dict[str, Tensor]:
        """The module's weights for ``build_module(graph)``, where graph is of ``space(patch)``: those of all
        layers that have the same place and the same shapes. Without a patch that is all.
        """
        places = self._written(patch)[1]
        shapes = {name: tensor.shape for name, tensor in build_module(graph).state_dict().items()}
        found = {}
        for node in graph.nodes:
            layer = places.get(node.path)
            if layer is None or layer.operation != node.op or not layer.weights:
                continue
            key = f"layers.{layer_key(node.weights_key)}"
            named = {f"{key}.{name}": tensor for name, tensor in layer.weights.items()}
            if all(shapes.get(name) == tensor.shape for name, tensor in named.items()):
                found.update({name: tensor.clone() for name, tensor in named.items()})
        return found

    def _written(self, data: object) -> tuple[dict[str, Any], dict[str, Layer]]:
        patch = Patch() if data is None else read_patch(data, self.traced, self.root)
        shaper = Shaper(self.traced, patch.parameters, patch.replaced, patch.depths)
        body = shaper.body(self.root)
        space: dict[str, Any] = {
            "name": self.name,
            "description": f"Imported from {self.origin}.",
            **{key: patch.top[key] for key in ("name", "description", "let") if key in patch.top},
            "input": {
                name: {"kind": shape.kind, "shape": list(shape.dims)}
                for name, shape in self.traced.inputs.items()
            },
            "body": body,
            **{key: patch.top[key] for key in ("recipe", "constraints") if key in patch.top},
        }
        if list(self.traced.outputs) != ["features"]:
            space["output"] = list(self.traced.outputs)
        return space, shaper.places

    def _compare(self, module: nn.Module) -> None:
        """Build the network that was read, with the module's weights, and see that it does the same."""
        space = self.space()
        graph = space.graph(space.sample(Random(0)))
        if any(node.operation.opaque for node in graph.nodes):
            return
        network = build_module(graph).eval()
        network.load_state_dict(self.state_dict(graph))
        training = module.training
        tensors = [example(shape) for shape in self.traced.inputs.values()]
        with torch.no_grad():
            expected = _listed(module.eval()(*tensors))
            found = _listed(network(*tensors))
        module.train(training)
        for one, other in zip(expected, found, strict=True):
            if tuple(one.shape) != tuple(other.shape):
                one = one.movedim(-1, 1)
            gap = float((one.reshape(other.shape) - other).abs().max())
            if not gap <= TOLERANCE * max(1.0, float(one.abs().max())):
                raise ImportFailed(
                    f"what was read of {self.origin} yields other values than the module, by {gap:.2g}: see "
                    "whether a norm has another eps than torch's default, or an attention is an unusual one"
                )


def import_module(
    module: nn.Module,
    inputs: Mapping[str, Shape | str],
    name: str = "",
    patch: object = None,
    opaque: Mapping[str, str] | None = None,
) -> Space:
    """A module as a space: see ``Imported``. ``inputs``: name -> shape, such as "image:3x32x32"."""
    return Imported(module, inputs, name, opaque).space(patch)


def shape_of(text: str) -> Shape:
    """An input's shape: image:3x32x32 (channels, height, width), seq:64x100 (channels, length), tokens:128 or
    vector:10. Raises ImportFailed.
    """
    kind, _, sizes = text.partition(":")
    if kind in KINDS and re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*)*", sizes):
        dims = tuple(map(int, sizes.split("x")))
        if len(dims) == KINDS[kind]:
            return Shape(kind, dims)
    known = "image:3x32x32, seq:64x100, tokens:128 or vector:10"
    raise ImportFailed(f"{text!r} is no shape of an input; write it as {known}")


def _listed(value: Any) -> list[Tensor]:
    """The tensors of an output, in order."""
    if isinstance(value, Tensor):
        return [value]
    return list(value.values() if isinstance(value, Mapping) else value)
