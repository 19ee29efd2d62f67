"""torch's encoder layers, which torch.fx cannot follow, taken apart by what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archloom.space.operations import OperationError
from torch import Tensor, fx, nn

from archloom_evaluators.port.attention import causal_mask, divided_weights
from archloom_evaluators.port.traced import Path, Taken

if TYPE_CHECKING:
    from archloom_evaluators.port.tracing import Reader

_ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "ReLU": "relu",
    "GELU": "gelu",
    "silu": "silu",
    "SiLU": "silu",
}
_MASKS = {"src_key_padding_mask": 2, "mask": 1, "src_mask": 1}


def read_encoder_layer(reader: Reader, n: fx.Node, module: Any, takes: Any, result: Any) -> Taken:
    """nn.TransformerEncoderLayer (Vaswani et al. 2017), with the norms before or after."""
    causal = _mask(reader, n)
    return _layer(
        reader, module, tuple(str(n.target).split(".")), reader.as_view(n, takes[0], "last"), causal
    )


def read_encoder(reader: Reader, n: fx.Node, module: Any, takes: Any, result: Any) -> Taken:
    """nn.TransformerEncoder: such layers, and a norm at the end."""
    causal = _mask(reader, n)
    path = tuple(str(n.target).split("."))
    x = reader.as_view(n, takes[0], "last")
    for number, layer in enumerate(module.layers):
        if type(layer) is not nn.TransformerEncoderLayer:
            raise OperationError(f"its layer {number} is a {type(layer).__name__}")
        x = _layer(reader, layer, (*path, "layers", str(number)), x, causal)
    return x if module.norm is None else _Parts(reader, path).norm("norm", module.norm, x)


def _mask(reader: Reader, n: fx.Node) -> bool:
    """Whether it is called with the causal mask."""
    given = dict(n.kwargs)
    for name, place in _MASKS.items():
        if len(n.args) > place:
            given.setdefault(name, n.args[place])
    if given.get("src_key_padding_mask") is not None:
        raise OperationError("a padding mask is not known: the sequences of a space have one length")
    mask = given.get("mask") if given.get("mask") is not None else given.get("src_mask")
    return causal_mask(reader, {"attn_mask": mask, "is_causal": given.get("is_causal")})


def _layer(reader: Reader, module: Any, path: Path, x: Taken, causal: bool) -> Taken:
    attention = module.self_attn
    if not attention.batch_first:
        raise OperationError("make it with batch_first=True: spaces have the batch first")
    parts = _Parts(reader, path)

    def attend(x: Taken) -> Taken:
        bias = attention.in_proj_bias is not None
        parameters = {"heads": attention.num_heads, "bias": bias, **({"causal": True} if causal else {})}
        weights = divided_weights(attention.in_proj_weight, attention.in_proj_bias, attention.out_proj)
        y = parts.add("self_attn", "attention", parameters, (x,), weights)
        return parts.dropout("dropout1", module.dropout1, y)

    def feed(x: Taken) -> Taken:
        y = parts.linear("linear1", module.linear1, x)
        y = parts.add("activation", _activation(module.activation), {}, (y,))
        y = parts.dropout("dropout", module.dropout, y)
        return parts.dropout("dropout2", module.dropout2, parts.linear("linear2", module.linear2, y))

    def both(name: str, one: Taken, other: Taken) -> Taken:
        return parts.add(name, "sum", {}, (one, other))

    if module.norm_first:
        x = both("sum", x, attend(parts.norm("norm1", module.norm1, x)))
        return both("sum_2", x, feed(parts.norm("norm2", module.norm2, x)))
    x = parts.norm("norm1", module.norm1, both("sum", x, attend(x)))
    return parts.norm("norm2", module.norm2, both("sum_2", x, feed(x)))


def _activation(given: Any) -> str:
    name = getattr(given, "__name__", type(given).__name__)
    if name not in _ACTIVATIONS:
        raise OperationError(f"its activation {name} is not known")
    return _ACTIVATIONS[name]


class _Parts:
    """Adds the layers of a module at its path."""

    def __init__(self, reader: Reader, path: Path) -> None:
        self.reader = reader
        self.path = path

    def add(
        self,
        name: str,
        operation: str,
        parameters: Mapping[str, Any],
        takes: tuple[Taken, ...],
        weights: Mapping[str, Tensor] | None = None,
    ) -> Taken:
        path = (*self.path, name)
        if path in self.reader.paths:
            raise OperationError("it is called twice with the same weights: call a copy of its own")
        self.reader.paths.add(path)
        return self.reader.add(path, operation, parameters, takes, "last", weights or {})

    def linear(self, name: str, module: Any, x: Taken) -> Taken:
        parameters = {"out": module.out_features, "bias": module.bias is not None}
        return self.add(name, "linear", parameters, (x,), module.state_dict())

    def norm(self, name: str, module: Any, x: Taken) -> Taken:
        if type(module) is not nn.LayerNorm or module.bias is None:
            raise OperationError(f"its {name} is no LayerNorm with weights")
        return self.add(name, "layer_norm", {}, (x,), module.state_dict())

    def dropout(self, name: str, module: Any, x: Taken) -> Taken:
        return x if module.p == 0 else self.add(name, "dropout", {"p": float(module.p)}, (x,))
