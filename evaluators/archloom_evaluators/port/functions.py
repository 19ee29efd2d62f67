"""Functions and methods of tensors as operations of spaces, or as another view of the same tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from archloom.space.operations import OperationError
from torch import Tensor, fx

from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.traced import Taken

if TYPE_CHECKING:
    from archloom_evaluators.port.tracing import Reader

Arguments = Mapping[str, Any]
Read = Callable[["Reader", fx.Node, Taken, Any], Any]
_ACTIVATIONS = {
    "relu": "relu",
    "relu_": "relu",
    "relu6": "relu6",
    "gelu": "gelu",
    "silu": "silu",
    "mish": "mish",
    "selu": "selu",
    "leaky_relu": "leaky_relu",
    "elu": "elu",
    "celu": "celu",
    "softplus": "softplus",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "softsign": "softsign",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}
_SETTINGS = {"alpha": 1.0, "negative_slope": 0.01, "approximate": "none", "beta": 1, "threshold": 20}
"""Of activations; spaces have these alone."""
_MERGES = {"add": "sum", "iadd": "sum", "add_": "sum", "mul": "mul", "imul": "mul", "mul_": "mul"}
_MERGES |= {"maximum": "maximum"}
_SAME = ("contiguous", "clone", "to", "float", "type_as", "detach")


def read_function(reader: Reader, n: fx.Node, result: Any) -> Any:
    """What a call is that is no module's. Raises ImportFailed, OperationError."""
    name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "")
    first = n.args[0] if n.args else None
    if name in _MERGES:
        return _merged(reader, n, _MERGES[name], result)
    if name in ("cat", "concat"):
        return _concat(reader, n, result)
    if name == "getitem":
        return _item(reader, n, result)
    taken = reader.known.get(first) if isinstance(first, fx.Node) else None
    if isinstance(taken, Taken):
        if name in _SAME:
            return taken
        if name in _ACTIVATIONS:
            return activation(reader, n, _ACTIVATIONS[name], taken, written=True)
        if name in _READINGS:
            return _READINGS[name](reader, n, taken, result)
    raise ImportFailed(
        f"{reader.where(n)} is no operation that spaces know: put it into a module of its own and take "
        "that as a whole (`--opaque NAME=my_op`), or write it with modules that they know"
    )


def activation(reader: Reader, n: fx.Node, operation: str, taken: Taken, written: bool = False) -> Taken:
    if written:
        for name, value in n.kwargs.items():
            if name not in ("inplace", "input") and _SETTINGS.get(name, value) != value:
                raise OperationError(f"{name} is {_SETTINGS[name]!r} in spaces, here it is {value!r}")
        if len(n.args) > 1:
            raise OperationError(f"name the settings of {operation}, such as alpha=1.0")
    return reader.layer(n, operation, {}, (taken,), taken.view)


def flattened(reader: Reader, n: fx.Node, taken: Taken, result: Tensor) -> Taken:
    """flatten, view, reshape, squeeze and unsqueeze, by what comes out."""
    shape = tuple(result.shape[1:])
    if shape == taken.dims(result.dim()) and (len(shape) > 1 or taken.view == "plain"):
        return taken
    if len(shape) == 1:
        if taken.shape.kind == "vector":
            return Taken(taken.number, taken.shape)
        if taken.shape.positions == 1 or taken.view == "plain":
            return reader.layer(n, "flatten", {}, (taken,))
        plain = reader.transposed(taken, reader.path(n, "flatten")) if taken.shape.kind == "seq" else taken
        return reader.layer(n, "flatten", {}, (plain,))
    if taken.shape.kind == "vector" and math.prod(shape) == taken.shape.channels and len(shape) <= 3:
        return Taken(taken.number, taken.shape, "pooled") if shape[0] == taken.shape.channels else _refuse(n)
    if (
        taken.shape.kind == "image"
        and taken.view == "plain"
        and shape
        == (
            taken.shape.channels,
            taken.shape.positions,
        )
    ):
        return reader.layer(n, "to_seq", {}, (taken,))
    raise OperationError(f"{taken.shape} to {list(shape)} is no operation of spaces")


def _refuse(n: fx.Node) -> Taken:
    raise OperationError("it moves the channels to another axis than the second")


def pooled(reader: Reader, n: fx.Node, operation: str, taken: Taken, settings: Arguments) -> Taken:
    """A pool over windows, by torch's names of its settings."""
    from archloom_evaluators.port.modules import one, require

    k = one(settings["kernel_size"], "the window")
    given = settings.get("stride")
    stride = k if given in (None, []) else one(given, "the stride")
    padding = one(settings.get("padding", 0), "the padding")
    require(one(settings.get("dilation", 1), "the dilation") == 1, "a dilated pool is not known")
    require(not settings.get("ceil_mode"), "ceil_mode is not known")
    require(padding in (0, k // 2), f"padding {padding} is neither 0 nor half of the window")
    require(padding == 0 or k % 2 == 1, "an even window is padded unevenly")
    counted = operation == "avg_pool" and padding > 0 and settings.get("count_include_pad", True)
    require(not counted, "spaces do not count the padding (count_include_pad=False)")
    parameters: dict[str, Any] = {"k": k, "stride": stride}
    if padding == 0 and k % 2 == 1 and k > 1:
        parameters["padding"] = "valid"
    return reader.layer(n, operation, parameters, (reader.as_view(n, taken, "plain"),))


def _pool(operation: str) -> Read:
    names = ("kernel_size", "stride", "padding")

    def read(reader: Reader, n: fx.Node, taken: Taken, result: Any) -> Taken:
        settings = dict(zip(names, n.args[1:], strict=False)) | dict(n.kwargs)
        if len(n.args) > 4:
            raise OperationError("name the settings after padding")
        return pooled(reader, n, operation, taken, settings)

    return read


def _adaptive(mode: str) -> Read:
    def read(reader: Reader, n: fx.Node, taken: Taken, result: Tensor) -> Taken:
        if any(size != 1 for size in result.shape[2:]):
            raise OperationError("spaces have adaptive pools of one position alone")
        return reader.layer(n, "global_pool", {"mode": mode}, (taken,), "pooled")

    return read


def _reduced(mode: str) -> Read:
    def read(reader: Reader, n: fx.Node, taken: Taken, result: Tensor) -> Taken:
        """mean or amax over all positions."""
        axes = len(taken.shape.dims) + 1
        given = n.kwargs.get("dim", n.args[1] if len(n.args) > 1 else None)
        found = {given} if isinstance(given, int) else set(given or ())  # type: ignore[arg-type]
        places = set(range(1, axes - 1)) if taken.view == "last" else set(range(2, axes))
        if {axis % axes for axis in found} != places or taken.shape.kind == "vector":
            raise OperationError("spaces take it over all positions together alone")
        return reader.layer(
            n, "global_pool", {"mode": mode}, (taken,), "plain" if result.dim() == 2 else "pooled"
        )

    return read


def _moved(reader: Reader, n: fx.Node, taken: Taken, result: Tensor) -> Taken:
    """transpose and permute: the same tensor with its channels on another axis."""
    shape = tuple(result.shape[1:])
    axes = range(result.dim())
    name = n.target if isinstance(n.target, str) else n.target.__name__
    given: Any = list(n.args[1:])
    if name in ("transpose", "swapaxes"):
        one, other = (axis % len(axes) for axis in given)
        order = [other if axis == one else one if axis == other else axis for axis in axes]
    else:
        given = given[0] if len(given) == 1 else given or n.kwargs.get("dims")
        order = [axis % len(axes) for axis in given]
    if order == list(axes):
        return taken
    last, first = [0, *axes[2:], 1], [0, axes[-1], *axes[1:-1]]
    if len(shape) == 2 and order == [0, 2, 1]:
        return Taken(taken.number, taken.shape, "plain" if taken.view == "last" else "last")
    if order == last and taken.view == "plain":
        return Taken(taken.number, taken.shape, "last")
    if order == first and taken.view == "last":
        return Taken(taken.number, taken.shape)
    raise OperationError(f"the order {order} of axes is no operation of spaces")


def _dropped(reader: Reader, n: fx.Node, taken: Taken, result: Any) -> Taken:
    p = float(n.kwargs.get("p", n.args[1] if len(n.args) > 1 else 0.5))  # type: ignore[arg-type]
    return taken if p == 0 else reader.layer(n, "dropout", {"p": p}, (taken,), taken.view)


def _merged(reader: Reader, n: fx.Node, operation: str, result: Tensor) -> Taken:
    takes = [reader.known.get(each) if isinstance(each, fx.Node) else None for each in n.args[:2]]
    if all(isinstance(each, Taken) for each in takes):
        return _both(reader, n, operation, takes[0], takes[1])  # type: ignore[arg-type]
    place = 0 if isinstance(takes[0], Taken) else 1
    taken, other = takes[place], n.args[1 - place]
    value = reader.env[other] if isinstance(other, fx.Node) else other
    assert isinstance(taken, Taken)
    if operation == "sum" and isinstance(value, Tensor) and taken.shape.kind == "seq":
        vectors = value.detach().expand(1, *taken.dims(3))[0] if value.dim() <= 3 else value
        vectors = vectors.T if taken.view == "last" else vectors
        return reader.layer(n, "position", {}, (taken,), taken.view, {"vectors": vectors})
    if operation == "sum" and value == 0:
        return taken
    raise OperationError("with a constant it is no operation of spaces, but for positions added to a seq")


def _both(reader: Reader, n: fx.Node, operation: str, one: Taken, other: Taken) -> Taken:
    turned = one.shape.kind == other.shape.kind == "seq" and one.shape.dims == other.shape.dims[::-1]
    if turned and one.view != other.view:  # the same axes in torch
        other = reader.as_view(n, other, one.view)
    if one.shape == other.shape:
        if one.view != other.view and one.shape.kind != "vector":
            other = reader.as_view(n, other, one.view)
        return reader.layer(n, operation, {}, (one, other), one.view)
    scale, scaled = (one, other) if one.shape.kind == "vector" else (other, one)
    fits = scale.shape.kind == "vector" and scale.view == "pooled" and scaled.view == "plain"
    if operation == "mul" and fits:
        return reader.layer(n, "scale_channels", {}, (scaled, scale))
    raise OperationError(f"{one.shape} and {other.shape} differ, and nothing is broadcast in spaces")


def _concat(reader: Reader, n: fx.Node, result: Tensor) -> Taken:
    parts: Any = n.args[0] if n.args else n.kwargs["tensors"]
    axis = n.kwargs.get("dim", n.kwargs.get("axis", n.args[1] if len(n.args) > 1 else 0))
    place = int(axis) % result.dim()  # type: ignore[arg-type]
    takes = [reader.known.get(part) for part in parts]
    found = [each for each in takes if isinstance(each, Taken)]
    view = found[0].view
    channels = result.dim() - 1 if view == "last" else 1
    if len(found) == len(takes) and place == channels:
        same = [each if each.view == view else reader.as_view(n, each, view) for each in found]
        return reader.layer(n, "concat", {}, tuple(same), view)
    first = reader.env[parts[0]]
    if view == "last" and place == 1 and takes[0] is None and len(takes) == 2 and first.shape[1] == 1:
        return reader.layer(n, "class_token", {}, (found[0],), "last", {"vector": first[0].T})
    raise OperationError("spaces join the channels of tensors, and put one learnt token before a seq")


def _item(reader: Reader, n: fx.Node, result: Any) -> Any:
    value, key = reader.known[n.args[0]], n.args[1]  # type: ignore[index]
    if isinstance(value, tuple):
        return value[key] if isinstance(key, int) else None
    if not isinstance(value, Taken):
        return None
    whole, at = slice(None), -1 if value.view == "plain" else 1
    keys = key if isinstance(key, tuple) else (key,)
    if value.shape.kind == "seq" and isinstance(result, Tensor) and result.dim() == 2:
        place = keys[at] if len(keys) > 1 else None
        others = [each for axis, each in enumerate(keys) if axis != at % len(keys)]
        if place in (0, -1) and all(each == whole for each in others) and (at == 1 or len(keys) == 3):
            return reader.layer(n, "token", {"at": "first" if place == 0 else "last"}, (value,))
    if all(each in (whole, Ellipsis) for each in keys):
        return value
    raise OperationError("parts of a tensor are known as the first or the last position alone")


_READINGS: Mapping[str, Read] = {
    **dict.fromkeys(("flatten", "view", "reshape", "squeeze", "unsqueeze", "unflatten"), flattened),
    **dict.fromkeys(("transpose", "swapaxes", "permute"), _moved),
    "mean": _reduced("avg"),
    "amax": _reduced("max"),
    "adaptive_avg_pool1d": _adaptive("avg"),
    "adaptive_avg_pool2d": _adaptive("avg"),
    "adaptive_max_pool2d": _adaptive("max"),
    "max_pool1d": _pool("max_pool"),
    "max_pool2d": _pool("max_pool"),
    "avg_pool1d": _pool("avg_pool"),
    "avg_pool2d": _pool("avg_pool"),
    "dropout": _dropped,
}
