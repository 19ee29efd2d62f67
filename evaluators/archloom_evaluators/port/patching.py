"""Patches: a short map from modules' names to what of them is searched.

    let: {w: {choice: [32, 64]}}                     # variables, as a space has them
    layer1.*.conv1: {k: {choice: [3, 5]}, out: =w}   # parameters of the operations that layers are
    layer2: {depth: {int: [1, 4]}}                   # how many blocks a chain has
    blocks.*.fc1: {ratio: {choice: [2, 4]}}          # a width as a multiple of the input's
    blocks.*.act: {layer: {choice: [relu, gelu]}}    # the operation itself
    head.act: {node: {choice: {...}}}                # any node in its place

``*`` stands for one word of a name, ``**`` for any number of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archloom.space.errors import suggest
from archloom.space.operations import find

from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.regions import Region, named_regions
from archloom_evaluators.port.shaping import Depth, Node
from archloom_evaluators.port.traced import Layer, Path, Traced
from archloom_evaluators.port.widths import RATIO_WIDTH, Widths

_TOP = ("name", "description", "let", "recipe", "constraints")


@dataclass
class Patch:
    """What the space says otherwise than the module; layers by number, regions by path."""

    top: dict[str, Any] = field(default_factory=dict)
    parameters: dict[int, dict[str, Any]] = field(default_factory=dict)
    replaced: dict[int, Node] = field(default_factory=dict)
    depths: dict[Path, Depth] = field(default_factory=dict)


def read_patch(data: object, traced: Traced, root: Region) -> Patch:
    """The patch for a module; raises ImportFailed with the name at fault, and near ones."""
    if not isinstance(data, Mapping):
        raise ImportFailed(f"a patch maps names of modules to what is searched, this is {data!r}")
    patch = Patch({key: data[key] for key in _TOP if key in data})
    layers = {layer.name: layer for layer in traced.layers}
    regions = named_regions(root)
    for pattern, fields in data.items():
        if pattern in _TOP:
            continue
        if not isinstance(pattern, str) or not isinstance(fields, Mapping):
            raise ImportFailed(
                f"{pattern!r}: expected a map such as {{k: {{choice: [3, 5]}}}}, found {fields!r}"
            )
        matches = re.compile(_expression(pattern)).fullmatch
        if "depth" in fields:
            found = [region for name, region in regions.items() if name and matches(name)]
            _depths(patch, pattern, fields, found, regions)
            continue
        chosen = [layer for name, layer in layers.items() if matches(name)]
        if not chosen:
            raise ImportFailed(_nothing(pattern, fields, layers, regions, matches))
        for layer in chosen:
            _layer(patch, layer, fields)
    _tie_widths(patch, traced)
    return patch


def _expression(pattern: str) -> str:
    words = [
        ".*" if word == "**" else re.escape(word).replace(r"\*", r"[^.]*") for word in pattern.split(".")
    ]
    return r"\.".join(words)


def _nothing(pattern: str, fields: Any, layers: Any, regions: Any, matches: Any) -> str:
    blocks = [name for name in regions if name and matches(name)]
    if blocks:
        inside = next(name for name in layers if name.startswith(f"{blocks[0]}."))
        found = f"found {', '.join(map(str, fields))}"
        return f"{pattern!r} is a block: patch its layers (such as {inside!r}), or its depth; {found}"
    return f"there is no layer {pattern!r}{suggest(pattern, _starred(pattern, layers))}"


def _starred(pattern: str, names: Iterable[str]) -> set[str]:
    """Names with the pattern's stars in them, so that what is suggested means as many layers."""
    stars = [(place, word) for place, word in enumerate(pattern.split(".")) if "*" in word]
    found = set()
    for name in names:
        words = name.split(".")
        if len(words) == len(pattern.split(".")):
            for place, star in stars:
                if re.fullmatch(_expression(star), words[place]):
                    words[place] = star
        found.add(".".join(words))
    return found


def _depths(patch: Patch, pattern: str, fields: Any, found: list[Region], regions: Any) -> None:
    if not found:
        raise ImportFailed(f"there is no chain of blocks {pattern!r}{suggest(pattern, regions)}")
    if other := set(fields) - {"depth", "decisions"}:
        raise ImportFailed(
            f"{pattern!r}: {sorted(other)[0]!r} does not go with depth; known: depth, decisions"
        )
    for region in found:
        patch.depths[region.path] = Depth(fields["depth"], str(fields.get("decisions", "")))


def _layer(patch: Patch, layer: Layer, fields: Mapping[str, Any]) -> None:
    if "node" in fields:
        if len(fields) > 1 or not isinstance(fields["node"], Mapping):
            raise ImportFailed(f"{layer.name!r}: `node` is a node of a space, and stands alone")
        patch.replaced[layer.number] = dict(fields["node"])
        return
    given = dict(fields)
    spec = find(layer.operation)
    wide = "ratio" in given and "ratio" not in spec.by_name
    if wide or "out" in given:
        if type(layer.parameters.get("out")) is not int:
            raise ImportFailed(
                f"{layer.name!r} ({layer.operation}) has no width of its own: it keeps its input's"
            )
        if wide and "out" in given:
            raise ImportFailed(f"{layer.name!r}: give out or ratio, not both")
    if wide:
        given["let"] = {"ratio": given.pop("ratio")}
        given["out"] = RATIO_WIDTH
    if "layer" not in given:
        for name in given:
            if name not in spec.by_name and name != "let":
                hint = suggest(name, spec.by_name)
                raise ImportFailed(f"{layer.name!r} ({layer.operation}) has no parameter {name!r}{hint}")
    patch.parameters.setdefault(layer.number, {}).update(given)


def _tie_widths(patch: Patch, traced: Traced) -> None:
    """Widths that must agree with patched ones follow them."""
    patched = {number: given["out"] for number, given in patch.parameters.items() if "out" in given}
    known = frozenset(patch.top.get("let", {}))
    values, variables = Widths(traced).tie(patched, known)
    for number, value in values.items():
        patch.parameters.setdefault(number, {})["out"] = value
    if variables:
        patch.top["let"] = {**patch.top.get("let", {}), **variables}
