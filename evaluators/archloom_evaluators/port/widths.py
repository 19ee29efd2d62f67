"""Which widths must agree: sums tie the channels of what they join, most layers keep those they take."""

from __future__ import annotations

from collections.abc import Mapping

from archloom.space.language.domains import literal_key
from archloom.space.language.expressions import parse
from archloom.space.operations import find

from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.traced import Layer, Traced

RATIO_WIDTH = "=max(1, cin * ratio // 1)"
"""The width of a layer whose patch has a ratio."""
_EQUAL = ("sum", "mul", "maximum", "mean")
_OTHER_AXES = ("flatten", "transpose", "to_seq", "glu", "concat", "pixel_shuffle", "pixel_unshuffle")


class Widths:
    """Tensors are in one class when their channels are surely equal, whatever the widths are."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self._parent: dict[int, int] = {}
        self.producers: dict[int, list[Layer]] = {}
        self.fixed: dict[int, int] = {}
        self.joins: list[Layer] = []
        for layer in traced.layers:
            self._read(layer)
        for layer in traced.layers:
            if self.sets_width(layer):
                self.producers.setdefault(self.of(layer.number), []).append(layer)
            elif self.changes(layer):
                self.fixed.setdefault(self.of(layer.number), layer.number)
        for place in range(len(traced.inputs)):
            self.fixed.setdefault(self.of(-1 - place), -1 - place)

    def of(self, number: int) -> int:
        """The class of a tensor, by one of its members."""
        parent = self._parent.setdefault(number, number)
        if parent != number:
            parent = self._parent[number] = self.of(parent)
        return parent

    def _join(self, one: int, other: int) -> None:
        self._parent[self.of(other)] = self.of(one)

    def _read(self, layer: Layer) -> None:
        if layer.operation in (*_EQUAL, "scale_channels"):
            self.joins.append(layer)
            for source in layer.inputs:
                self._join(layer.number, source)
        elif self.keeps(layer):
            self._join(layer.number, layer.inputs[0])

    def keeps(self, layer: Layer) -> bool:
        """Whether its output has the channels of its (first) input, whatever these are."""
        if layer.operation in _OTHER_AXES or layer.takes[0].kind == "tokens":
            return False
        if layer.operation == "conv" and layer.parameters.get("out") != "=cin":
            return False
        has_out = "out" in find(layer.operation).by_name and layer.parameters.get("out", "=cin") != "=cin"
        return not has_out and layer.shape.channels == layer.takes[0].channels

    def changes(self, layer: Layer) -> bool:
        """Whether its width follows from others by a rule of its own."""
        return layer.operation not in (*_EQUAL, "scale_channels") and not self.keeps(layer)

    def sets_width(self, layer: Layer) -> bool:
        """Whether a number in it says how many channels it yields."""
        return type(layer.parameters.get("out")) is int

    def tie(
        self, patched: Mapping[int, object], known: frozenset[str]
    ) -> tuple[dict[int, object], dict[str, object]]:
        """``patched``: layer -> the value for its ``out``. Answers the values for all layers that must
        follow, and the variables that these read; ``known`` are those of the patch. Raises ImportFailed where
        layers cannot agree.
        """
        values: dict[int, object] = {}
        variables: dict[str, object] = {}
        done: set[int] = set()
        for number, value in patched.items():
            kind = self.of(number)
            layers = self.producers.get(kind, [])
            if kind in done:
                continue
            done.add(kind)
            self._check_fixed(kind, number)
            for other in layers:
                if other.number in patched and _key(patched[other.number]) != _key(value):
                    raise ImportFailed(
                        f"the widths of {self.traced.called(number)} and {self.traced.called(other.number)} "
                        f"must agree{self._reason(kind)}, and they are patched with different values"
                    )
            if len(layers) > 1 and isinstance(value, str) and not parse(value[1:]).names <= known:
                raise ImportFailed(
                    f"the widths of {self.traced.called(layers[0].number)} and "
                    f"{self.traced.called(layers[1].number)} must agree{self._reason(kind)}: {_untied(value)}"
                )
            if len(layers) > 1 and not isinstance(value, str):
                name = "_".join(self.traced.layers[number].path) + "_out"
                variables[name], value = value, f"={name}"
            values.update({other.number: value for other in layers})
        return values, variables

    def _check_fixed(self, kind: int, number: int) -> None:
        if kind in self.fixed:
            other = self.traced.called(self.fixed[kind])
            raise ImportFailed(
                f"the width of {self.traced.called(number)} must agree with that of {other}"
                f"{self._reason(kind)}, which nothing can change"
            )

    def _reason(self, kind: int) -> str:
        for layer in self.joins:
            if self.of(layer.number) == kind:
                return f" (they meet in {layer.name!r})"
        return ""


def _untied(value: str) -> str:
    if value == RATIO_WIDTH:
        return "`ratio` cannot be used here; use `let: {wide: {choice: [16, 32]}}` and `out: =wide`"
    return f"{value!r} must read variables of the patch's `let` alone"


def _key(value: object) -> object:
    if isinstance(value, Mapping):
        return tuple((name, _key(each)) for name, each in value.items())
    return literal_key(tuple(map(_key, value)) if isinstance(value, (list, tuple)) else value)
