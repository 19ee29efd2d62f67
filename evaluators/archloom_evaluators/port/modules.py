"""Modules of torch, and a few of common libraries, as operations of spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from archloom.space.operations import OperationError
from torch import Tensor, fx, nn

from archloom_evaluators.port.attention import is_attention, read_attention, read_multihead
from archloom_evaluators.port.encoder import read_encoder, read_encoder_layer
from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.functions import activation, flattened, pooled
from archloom_evaluators.port.traced import Taken

if TYPE_CHECKING:
    from archloom_evaluators.port.tracing import Reader

Read = Callable[["Reader", fx.Node, Any, tuple[Taken, ...], Any], Any]
"""(reader, node, module, the tensors it is given, its result) -> what it yields"""


def is_known(module: nn.Module) -> bool:
    """Whether it is read as a whole."""
    return _reading(module) is not None


def read_module(reader: Reader, n: fx.Node, result: Any) -> Any:
    """The operation that a call of a module is. Raises ImportFailed, OperationError."""
    module = reader.fetch_attr(str(n.target))
    takes = tuple(reader.known[each] for each in n.all_input_nodes if reader.known.get(each) is not None)
    if any(not isinstance(each, Taken) for each in takes):
        raise ImportFailed(f"{reader.where(n)} is given what is no single tensor of the network")
    if str(n.target) in reader.opaque:
        return _opaque(reader, n, module, takes, result)
    reading = _reading(module)
    if reading is None:
        raise ImportFailed(
            f"{reader.where(n)} is no operation that spaces know: write it with modules that they know, or "
            "take it as a whole, with an operation of your own that builds it: "
            f"`--opaque {n.target}=my_op`, or `opaque={{{str(n.target)!r}: 'my_op'}}`"
        )
    return reading(reader, n, module, takes, result)


def _reading(module: nn.Module) -> Read | None:
    for kind, read in _READINGS.items():
        if type(module) is kind:
            return read
    if is_attention(module):
        return read_attention
    return _BY_NAME.get(type(module).__name__)


def tensors(module: nn.Module, before: str = "") -> dict[str, Tensor]:
    return {before + name: tensor for name, tensor in module.state_dict().items()}


def require(holds: bool, message: str) -> None:
    if not holds:
        raise OperationError(message)


def one(values: Any, what: str) -> int:
    """The number that all axes have."""
    found = set(values) if isinstance(values, (tuple, list)) else {values}
    require(len(found) == 1, f"{what} {tuple(values) if len(found) > 1 else values} differs between the axes")
    return int(found.pop())


def _conv(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    k, stride = one(module.kernel_size, "the kernel"), one(module.stride, "the stride")
    dilation = one(module.dilation, "the dilation")
    require(module.padding_mode == "zeros", f"padding_mode {module.padding_mode!r} is not known")
    channels, out, groups = module.in_channels, module.out_channels, module.groups
    parameters: dict[str, Any] = {"out": out, "bias": module.bias is not None}
    taken = takes[0]
    if taken.view == "pooled":
        require(k == 1 and groups == 1, "a convolution of one position is read only where its kernel is 1")
        weights = tensors(module)
        weights["weight"] = weights["weight"].flatten(1)
        return reader.layer(n, "linear", parameters, (taken,), "pooled", weights)
    parameters |= {"k": k, "stride": stride, "dilation": dilation, "groups": groups}
    span = dilation * (k - 1)
    padding = module.padding
    if padding == "same":
        require(span % 2 == 0, "an even kernel is padded unevenly")
        padding = span // 2
    padding = 0 if padding == "valid" else one(padding, "the padding")
    require(padding in (0, span // 2), f"padding {padding} is neither 0 nor half of the kernel's {span}")
    require(padding == 0 or span % 2 == 0, "an even kernel is padded unevenly")
    if padding == 0 and span % 2 == 0 and span > 0:
        parameters["padding"] = "valid"
    if groups == channels and groups > 1:
        parameters["groups"] = "=cin"
        parameters["out"] = "=cin" if out == channels else f"={out // channels}*cin"
    plain = reader.as_view(n, taken, "plain")
    return _with_values(reader, n, "conv", parameters, plain, tensors(module))


def _with_values(
    reader: Reader, n: fx.Node, operation: str, parameters: dict[str, Any], taken: Taken, weights: Any
) -> Taken:
    """A layer, some parameters of which are expressions of cin."""
    channels = taken.shape.channels
    out = int(weights["weight"].shape[0])
    numbers = {
        name: {"groups": channels, "out": out}[name] if isinstance(value, str) and value[0] == "=" else value
        for name, value in parameters.items()
    }
    made = reader.layer(n, operation, numbers, (taken,), "plain", weights)
    reader.traced.layers[made.number].parameters.update(parameters)
    return made


def _conv_transpose(reader: Reader, n: fx.Node, module: Any, takes: Any, result: Any) -> Taken:
    k, stride = one(module.kernel_size, "the kernel"), one(module.stride, "the stride")
    padding = one(module.padding, "the padding")
    fits = (k - stride) // 2 == padding and (k - stride) % 2 == 0 and k >= stride
    plain = fits and one(module.output_padding, "output_padding") == 0 and one(module.dilation, "") == 1
    require(plain, "it is read only where the output is stride times as large, padded evenly")
    parameters = {
        "k": k,
        "stride": stride,
        "groups": module.groups,
        "out": module.out_channels,
        "bias": module.bias is not None,
    }
    taken = reader.as_view(n, takes[0], "plain")
    return reader.layer(n, "conv_transpose", parameters, (taken,), "plain", tensors(module))


def _linear(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    parameters = {"out": module.out_features, "bias": module.bias is not None}
    weights, taken = tensors(module), takes[0]
    if taken.shape.kind == "image" and taken.view == "last":
        weights["weight"] = weights["weight"][:, :, None, None]
        return reader.layer(n, "conv", {**parameters, "k": 1}, (taken,), "last", weights)
    require(taken.view != "pooled", "a linear layer takes the channels on the last axis: flatten before it")
    taken = reader.as_view(n, taken, "last")
    return reader.layer(n, "linear", parameters, (taken,), taken.view, weights)


def _same(operation: str, view: str, check: Callable[[Any, Taken], None] | None = None) -> Read:
    """A module with the same weights in torch and in spaces, and no parameters."""

    def read(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
        taken = takes[0] if takes[0].view == "pooled" else reader.as_view(n, takes[0], view)
        if check is not None:
            check(module, taken)
        return reader.layer(n, operation, {}, (taken,), taken.view, tensors(module))

    return read


def _affine(module: Any, taken: Taken) -> None:
    require(bool(module.affine), f"spaces have a {type(module).__name__} with weights alone (affine=True)")
    require(getattr(module, "track_running_stats", True), "spaces have it with running statistics alone")


def _instance(module: Any, taken: Taken) -> None:
    require(bool(module.affine), f"spaces have a {type(module).__name__} with weights alone (affine=True)")
    require(not module.track_running_stats, "spaces have it without running statistics alone")


def _whole_channels(module: Any, taken: Taken) -> None:
    shape = tuple(module.normalized_shape)
    require(shape == (taken.shape.channels,), f"it normalises {shape}, spaces the channels of each position")
    has = getattr(module, "elementwise_affine", True) and getattr(module, "bias", 0) is not None
    require(bool(has), "spaces have it with weights alone (elementwise_affine, bias)")


def _group_norm(reader: Reader, n: fx.Node, module: Any, takes: Any, result: Any) -> Taken:
    require(bool(module.affine), "spaces have a GroupNorm with weights alone (affine=True)")
    taken = reader.as_view(n, takes[0], "plain")
    return reader.layer(n, "group_norm", {"groups": module.num_groups}, (taken,), "plain", tensors(module))


def _prelu(reader: Reader, n: fx.Node, module: Any, takes: Any, result: Any) -> Taken:
    taken = reader.as_view(n, takes[0], "plain")
    weights = {"weight": module.weight.expand(taken.shape.channels)}
    return reader.layer(n, "prelu", {}, (taken,), "plain", weights)


def _pool(operation: str) -> Read:
    def read(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
        return pooled(reader, n, operation, takes[0], vars(module))

    return read


def _adaptive(mode: str) -> Read:
    def read(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Tensor) -> Taken:
        taken = takes[0]
        if tuple(result.shape[2:]) == taken.shape.dims[1:]:
            return taken
        require(
            all(size == 1 for size in result.shape[2:]), "spaces have adaptive pools of one position alone"
        )
        return reader.layer(n, "global_pool", {"mode": mode}, (taken,), "pooled")

    return read


def _embedding(reader: Reader, n: fx.Node, module: Any, takes: Any, result: Any) -> Taken:
    require(module.max_norm is None, "max_norm is not known")
    parameters = {"vocabulary": module.num_embeddings, "out": module.embedding_dim}
    return reader.layer(n, "embedding", parameters, takes, "last", tensors(module))


def _recurrent(operation: str) -> Read:
    def read(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Any:
        require(module.batch_first, "make it with batch_first=True: spaces have the batch first")
        require(len(takes) == 1, "first states are zero in spaces")
        require(
            bool(module.bias) and not getattr(module, "proj_size", 0),
            "bias=False and proj_size are not known",
        )
        require(module.num_layers == 1 or module.dropout == 0, "dropout between its layers is not known")
        parameters = {
            "out": module.hidden_size,
            "layers": module.num_layers,
            "bidirectional": module.bidirectional,
        }
        if operation == "rnn":
            parameters["nonlinearity"] = module.nonlinearity
        taken = reader.as_view(n, takes[0], "last")
        weights = tensors(module, f"{operation}.")
        return (reader.layer(n, operation, parameters, (taken,), "last", weights), None)

    return read


def _dropout(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    if module.p == 0:
        return takes[0]
    return reader.layer(n, "dropout", {"p": float(module.p)}, takes, takes[0].view)


def _drop_path(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    p = getattr(module, "drop_prob", None)
    p = float(getattr(module, "p", 0.0) if p is None else p)
    return takes[0] if p == 0 else reader.layer(n, "drop_path", {"p": p}, takes, takes[0].view)


def _activation(operation: str, *settings: tuple[str, Any]) -> Read:
    def read(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
        for name, value in settings:
            found = getattr(module, name, value)
            require(found == value, f"{name} is {value!r} in spaces, here it is {found!r}")
        return activation(reader, n, operation, takes[0])

    return read


def _upsample(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Tensor) -> Taken:
    factor, rest = divmod(int(result.shape[-1]), takes[0].shape.dims[-1])
    require(rest == 0 and module.mode in ("nearest", "bilinear", "linear"), "the factor is no whole number")
    require(not module.align_corners, "align_corners is not known")
    mode = "nearest" if module.mode == "nearest" else "bilinear"
    return reader.layer(n, "upsample", {"factor": factor, "mode": mode}, takes, "plain")


def _shuffle(operation: str, setting: str) -> Read:
    def read(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
        return reader.layer(n, operation, {"factor": getattr(module, setting)}, takes, "plain")

    return read


def _glu(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    axis = module.dim % result.dim()
    taken = takes[0]
    require(
        axis == (result.dim() - 1 if taken.view == "last" else 1), "it halves another axis than the channels"
    )
    return reader.layer(n, "glu", {}, takes, taken.view)


def _identity(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    return takes[0]


def _flatten(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Any) -> Taken:
    return flattened(reader, n, takes[0], result)


def _softmax(reader: Reader, n: fx.Node, module: Any, takes: tuple[Taken, ...], result: Tensor) -> Taken:
    axis = result.dim() - 1 if takes[0].view == "last" else 1
    require(
        module.dim is not None and module.dim % result.dim() == axis, "it is over another axis than channels"
    )
    return activation(reader, n, "softmax", takes[0])


def _opaque(reader: Reader, n: fx.Node, module: nn.Module, takes: tuple[Taken, ...], result: Any) -> Taken:
    """An operation of the user's own, which says what it yields."""
    require(isinstance(result, Tensor), "an opaque operation yields one tensor")
    shape, kind = tuple(result.shape[1:]), {1: "vector", 2: "seq", 3: "image"}.get(result.dim() - 1)
    require(kind is not None, f"{list(shape)} is no tensor of spaces")
    names = {"vector": ("channels",), "seq": ("channels", "time"), "image": ("channels", "height", "width")}
    yields: dict[str, Any] = {"out_kind": kind}
    for name, size in zip(names[str(kind)], shape, strict=True):
        yields[f"out_{name}"] = size
    operation = reader.opaque[str(n.target)]
    taken = tuple(reader.as_view(n, each, "plain") for each in takes)
    return reader.layer(n, operation, yields, taken, "plain", tensors(module))


_READINGS: Mapping[type[nn.Module], Read] = {
    nn.Conv1d: _conv,
    nn.Conv2d: _conv,
    nn.ConvTranspose1d: _conv_transpose,
    nn.ConvTranspose2d: _conv_transpose,
    nn.Linear: _linear,
    nn.BatchNorm1d: _same("batch_norm", "plain", _affine),
    nn.BatchNorm2d: _same("batch_norm", "plain", _affine),
    nn.InstanceNorm1d: _same("instance_norm", "plain", _instance),
    nn.InstanceNorm2d: _same("instance_norm", "plain", _instance),
    nn.LayerNorm: _same("layer_norm", "last", _whole_channels),
    nn.RMSNorm: _same("rms_norm", "last", _whole_channels),
    nn.GroupNorm: _group_norm,
    nn.PReLU: _prelu,
    nn.MaxPool1d: _pool("max_pool"),
    nn.MaxPool2d: _pool("max_pool"),
    nn.AvgPool1d: _pool("avg_pool"),
    nn.AvgPool2d: _pool("avg_pool"),
    nn.AdaptiveAvgPool1d: _adaptive("avg"),
    nn.AdaptiveAvgPool2d: _adaptive("avg"),
    nn.AdaptiveMaxPool1d: _adaptive("max"),
    nn.AdaptiveMaxPool2d: _adaptive("max"),
    nn.Embedding: _embedding,
    nn.LSTM: _recurrent("lstm"),
    nn.GRU: _recurrent("gru"),
    nn.RNN: _recurrent("rnn"),
    nn.MultiheadAttention: read_multihead,
    nn.TransformerEncoderLayer: read_encoder_layer,
    nn.TransformerEncoder: read_encoder,
    nn.Dropout: _dropout,
    nn.Identity: _identity,
    nn.Flatten: _flatten,
    nn.Upsample: _upsample,
    nn.PixelShuffle: _shuffle("pixel_shuffle", "upscale_factor"),
    nn.PixelUnshuffle: _shuffle("pixel_unshuffle", "downscale_factor"),
    nn.GLU: _glu,
    nn.Softmax: _softmax,
    nn.ReLU: _activation("relu"),
    nn.ReLU6: _activation("relu6"),
    nn.LeakyReLU: _activation("leaky_relu", ("negative_slope", 0.01)),
    nn.ELU: _activation("elu", ("alpha", 1.0)),
    nn.SELU: _activation("selu"),
    nn.CELU: _activation("celu", ("alpha", 1.0)),
    nn.GELU: _activation("gelu", ("approximate", "none")),
    nn.SiLU: _activation("silu"),
    nn.Mish: _activation("mish"),
    nn.Hardswish: _activation("hard_swish"),
    nn.Hardsigmoid: _activation("hard_sigmoid"),
    nn.Hardtanh: _activation("hard_tanh", ("min_val", -1.0), ("max_val", 1.0)),
    nn.Softsign: _activation("softsign"),
    nn.Softplus: _activation("softplus", ("beta", 1.0), ("threshold", 20.0)),
    nn.Tanh: _activation("tanh"),
    nn.Sigmoid: _activation("sigmoid"),
}
_BY_NAME: Mapping[str, Read] = {"DropPath": _drop_path, "StochasticDepth": _drop_path}
"""Classes of common libraries, by name: timm's and torchvision's stochastic depth."""
