"""Attention modules as the operations ``attention`` and ``cross_attention``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from archloom.space.operations import OperationError
from torch import Tensor, fx, nn

from archloom_evaluators.port.traced import Taken

if TYPE_CHECKING:
    from archloom_evaluators.port.tracing import Reader

_NAMES = ("query", "key", "value")


def is_attention(module: nn.Module) -> bool:
    """Whether it is an attention of the usual form, as timm has it: ``qkv`` and ``proj`` are linear layers,
    ``num_heads`` is the number of heads.
    """
    parts = [getattr(module, name, None) for name in ("qkv", "proj")]
    return all(isinstance(part, nn.Linear) for part in parts) and isinstance(
        getattr(module, "num_heads", None), int
    )


def read_attention(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    """That module; that its forward is the usual one is seen when the whole is compared."""
    channels = module.qkv.in_features
    if module.qkv.out_features != 3 * channels:
        raise OperationError("qkv yields other than three times the channels")
    parts = [name for name, part in module.named_children() if isinstance(part, (nn.LayerNorm, nn.RMSNorm))]
    if parts:
        raise OperationError(f"norms inside of attention ({', '.join(parts)}) are not known")
    weights = divided_weights(module.qkv.weight, module.qkv.bias, module.proj)
    return _attention(reader, n, module.num_heads, takes[0], weights, module.proj, causal=False)


def read_multihead(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Any:
    """nn.MultiheadAttention, called with one tensor three times, or with one and a memory twice."""
    if not module.batch_first:
        raise OperationError("make it with batch_first=True: spaces have the batch first")
    if module.bias_k is not None or module.add_zero_attn:
        raise OperationError("add_bias_kv and add_zero_attn are not known")
    given = dict(zip(_NAMES, n.args, strict=False)) | dict(n.kwargs)
    query, key, value = (given.get(name) for name in _NAMES)
    if key is not value:
        raise OperationError("keys and values of different tensors are not known")
    if given.get("key_padding_mask") is not None:
        raise OperationError("key_padding_mask is not known: the sequences of a space have one length")
    causal = causal_mask(reader, given)
    if module.in_proj_weight is not None:
        weights = divided_weights(module.in_proj_weight, module.in_proj_bias, module.out_proj)
    else:
        weights = {f"{name}.weight": getattr(module, f"{name[0]}_proj_weight") for name in _NAMES}
        if module.in_proj_bias is not None:
            parts = zip(_NAMES, module.in_proj_bias.chunk(3), strict=True)
            weights |= {f"{name}.bias": part for name, part in parts}
        weights |= _output(module.out_proj)
    if query is key:
        return (_attention(reader, n, module.num_heads, takes[0], weights, module.out_proj, causal), None)
    if causal:
        raise OperationError("a causal mask between two sequences is not known")
    pair = tuple(reader.as_view(n, reader.known[each], "last") for each in (query, key))  # type: ignore[index]
    parameters = {"heads": module.num_heads, "bias": module.out_proj.bias is not None}
    return (reader.layer(n, "cross_attention", parameters, pair, "last", weights), None)


def _attention(
    reader: Reader, n: fx.Node, heads: int, taken: Taken, weights: Any, output: Any, causal: bool
) -> Taken:
    parameters: dict[str, Any] = {"heads": heads}
    if not _biased(weights):
        parameters["bias"] = False
    if causal:
        parameters["causal"] = True
    taken = reader.as_view(n, taken, "last")
    return reader.layer(n, "attention", parameters, (taken,), "last", weights)


def _biased(weights: dict[str, Tensor]) -> bool:
    """Whether all four have a bias, or one that is zero is made for those without."""
    has = [f"{name}.bias" in weights for name in (*_NAMES, "output")]
    if any(has):
        for name in (*_NAMES, "output"):
            weights.setdefault(
                f"{name}.bias", weights[f"{name}.weight"].new_zeros(len(weights[f"{name}.weight"]))
            )
    return any(has)


def divided_weights(weight: Tensor, bias: Tensor | None, output: nn.Linear) -> dict[str, Tensor]:
    """The weights of queries, keys and values, which stand on each other."""
    found = {f"{name}.weight": part for name, part in zip(_NAMES, weight.chunk(3), strict=True)}
    if bias is not None:
        found |= {f"{name}.bias": part for name, part in zip(_NAMES, bias.chunk(3), strict=True)}
    return found | _output(output)


def _output(output: nn.Linear) -> dict[str, Tensor]:
    return {f"output.{name}": tensor for name, tensor in output.state_dict().items()}


def causal_mask(reader: Reader, given: dict[str, Any]) -> bool:
    mask = given.get("attn_mask")
    if mask is None:
        if given.get("is_causal"):
            raise OperationError("is_causal without attn_mask does nothing in torch")
        return False
    value = reader.env[mask] if isinstance(mask, fx.Node) else mask
    if reader.known.get(mask) is not None or not isinstance(value, Tensor) or value.dim() != 2:
        raise OperationError("the mask depends on the inputs")
    hidden = value if value.dtype is torch.bool else value == float("-inf")
    added = 0 if value.dtype is torch.bool else value.masked_fill(hidden, 0).abs().max()
    if added != 0 or not torch.equal(hidden, torch.ones_like(hidden).triu(1)):
        raise OperationError("the mask is not the causal one, the only one that spaces know")
    return True
