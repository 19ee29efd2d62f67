"""A torch module followed by torch.fx on an example, call by call, each read as an operation of spaces.

torch.fx was chosen over torch.export: it keeps the calls of modules, with their names, which become paths, as
they are written; torch.export takes them apart into some hundred kinds of arithmetic, from which layers had
to be guessed again.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import torch
from archloom.space import Shape
from archloom.space.operations import OperationError, resolve
from torch import Tensor, fx, nn

from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.traced import Layer, Path, Taken, Traced

BATCH = 2
_NONE: Mapping[str, str] = {}


class Reader(fx.Interpreter):
    """Runs the traced module, and notes for each result which tensor of the space it is."""

    def __init__(
        self, program: fx.GraphModule, inputs: Mapping[str, Shape], opaque: Mapping[str, str]
    ) -> None:
        super().__init__(program)
        self.traced = Traced([], dict(inputs), {})
        self.opaque = opaque
        self.known: dict[fx.Node, Any] = {}
        self.paths: set[Path] = set()
        self.called: dict[str, str] = {}

    def read(self, tensors: Mapping[str, Tensor]) -> Traced:
        """The layers; raises ImportFailed at what is no operation of spaces."""
        try:
            self.run(*tensors.values())
        except ImportFailed as error:  # torch.fx writes more to an error's text
            raise ImportFailed(error.message) from None
        return self.traced

    def run_node(self, n: fx.Node) -> Any:
        from archloom_evaluators.port.functions import read_function
        from archloom_evaluators.port.modules import read_module

        if n.op == "placeholder":
            result = super().run_node(n)
            if n.target in self.traced.inputs:  # others have their defaults
                number = -1 - list(self.traced.inputs).index(str(n.target))
                self.known[n] = Taken(number, self.traced.shape(number))
            return result
        if n.op == "output":
            self.outputs(n.args[0])
            return super().run_node(n)
        takes = [self.known[each] for each in n.all_input_nodes if self.known.get(each) is not None]
        try:
            result = super().run_node(n)
        except Exception as error:
            raise ImportFailed(f"{self.where(n)} fails on the example: {error}") from None
        if takes and _holds_tensor(result):
            read = read_module if n.op == "call_module" else read_function
            try:
                self.known[n] = read(self, n, result)
            except OperationError as error:
                raise ImportFailed(f"{self.where(n)}: {error}") from None
            self.compare(n, self.known[n], result)
        return result

    def compare(self, n: fx.Node, taken: Any, result: Any) -> None:
        """See that the shape that was worked out is torch's."""
        if isinstance(taken, Taken) and isinstance(result, Tensor):
            expected = taken.dims(result.dim())
            if tuple(result.shape[1:]) != expected:
                found = list(result.shape[1:])
                raise ImportFailed(f"{self.where(n)} yields {found}, read as {taken.shape}: {list(expected)}")

    def outputs(self, found: Any) -> None:
        if isinstance(found, Mapping):
            named = {str(name): node for name, node in found.items()}
        elif isinstance(found, (tuple, list)):
            named = {f"output_{number}": node for number, node in enumerate(found)}
        else:
            named = {"features": found}
        for name, node in named.items():
            taken = self.known.get(node)
            if not isinstance(taken, Taken):
                raise ImportFailed(f"the output {name!r} is no tensor that depends on the inputs")
            if taken.view == "last":
                taken = self.transposed(taken, ("output",))
            self.traced.outputs[name] = taken.number

    # ---------------------------------------------------------------- names

    def where(self, n: fx.Node) -> str:
        """What stands there, for messages."""
        if n.op == "call_module":
            kind = type(self.fetch_attr(str(n.target))).__name__
            return f"the module {n.target!r} ({kind})"
        inside = self.module_of(n)
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
        return f"{name}() in {'the module ' + repr(inside) if inside else 'the whole module'}"

    def module_of(self, n: fx.Node) -> str:
        """The qualified name of the module whose forward makes a call."""
        stack = n.meta.get("nn_module_stack") or {}
        places = [place for place, _ in stack.values()]
        return str(places[-1]) if places else ""

    def path(self, n: fx.Node, name: str) -> Path:
        """A path for a layer: the module's own, or that of the module that calls a function."""
        if n.op == "call_module":
            path = tuple(str(n.target).split("."))
        else:
            inside = self.module_of(n)
            path = (*(inside.split(".") if inside else ()), name)
        found, number = path, 2
        while found in self.paths:
            found, number = (*path[:-1], f"{path[-1]}_{number}"), number + 1
        self.paths.add(found)
        return found

    # --------------------------------------------------------------- layers

    def layer(
        self,
        n: fx.Node,
        operation: str,
        parameters: Mapping[str, Any],
        takes: tuple[Taken, ...],
        view: str = "plain",
        weights: Mapping[str, Tensor] | None = None,
    ) -> Taken:
        """One more layer; raises OperationError where it does not fit."""
        if weights and n.op == "call_module":
            before = self.called.setdefault(str(n.target), n.name)
            if before != n.name:
                message = "is called twice with the same weights: call a copy of its own, or import it apart"
                raise ImportFailed(f"{self.where(n)} {message}")
        return self.add(self.path(n, operation), operation, parameters, takes, view, weights or {})

    def add(
        self,
        path: Path,
        operation: str,
        parameters: Mapping[str, Any],
        takes: tuple[Taken, ...],
        view: str,
        weights: Mapping[str, Tensor],
    ) -> Taken:
        given = tuple((name, type(value), value) for name, value in sorted(parameters.items()))
        shapes = tuple(taken.shape for taken in takes)
        shape = resolve(operation, given, shapes).shape
        layers = self.traced.layers
        numbers = tuple(taken.number for taken in takes)
        kept = {name: tensor.detach().clone() for name, tensor in weights.items()}
        layers.append(Layer(len(layers), path, operation, dict(parameters), numbers, shapes, shape, kept))
        return Taken(len(layers) - 1, shape, view)

    def transposed(self, taken: Taken, path: Path) -> Taken:
        """The same tensor of torch where a space must see the axes the other way round."""
        if taken.shape.kind != "seq":
            raise OperationError(f"the channels of {taken.shape} stand on another axis than it takes")
        found, number = (*path[:-1], f"{path[-1]}_transposed"), 2
        while found in self.paths:
            found, number = (*path[:-1], f"{path[-1]}_transposed_{number}"), number + 1
        self.paths.add(found)
        view = "plain" if taken.view == "last" else "last"
        return self.add(found, "transpose", {}, (taken,), view, {})

    def as_view(self, n: fx.Node, taken: Taken, view: str) -> Taken:
        """The tensor with its channels where the caller expects them."""
        if taken.view == view or (taken.shape.kind == "vector" and taken.view == "plain"):
            return taken
        inside = str(n.target) if n.op == "call_module" else ".".join((self.module_of(n), str(n.name)))
        return self.transposed(taken, tuple(inside.strip(".").split(".")))


class _Tracer(fx.Tracer):
    def __init__(self, leaves: Collection[str]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        from archloom_evaluators.port.modules import is_known

        if module_qualified_name in self.leaves or is_known(m):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def trace(module: nn.Module, inputs: Mapping[str, Shape], opaque: Mapping[str, str] = _NONE) -> Traced:
    """The layers of a module that is called with these inputs, in this order; raises ImportFailed.

    ``opaque``: names of modules that are taken as a whole -> the operation that each is.
    """
    training = module.training
    module.eval()
    try:
        tensors = {name: example(shape) for name, shape in inputs.items()}
        try:
            graph = _Tracer(opaque).trace(module, _defaults(module, len(inputs)))
        except Exception as error:
            kind = type(module).__name__
            hint = "take the part at fault as a whole (opaque), or write it without branches on tensors"
            raise ImportFailed(f"torch.fx cannot follow {kind}: {error}; {hint}") from None
        program = fx.GraphModule(module, graph)
        names = [str(node.target) for node in graph.nodes if node.op == "placeholder"]
        if len(names) < len(inputs):
            raise ImportFailed(f"forward takes {', '.join(names)}; {len(inputs)} inputs were described")
        renamed = dict(zip(names, inputs.values(), strict=False))
        with torch.no_grad():
            return _named(Reader(program, renamed, opaque).read(tensors), list(inputs))
    finally:
        module.train(training)


def _defaults(module: nn.Module, given: int) -> dict[str, Any]:
    """Arguments of forward that have a default, after those that are given."""
    rest = list(inspect.signature(module.forward).parameters.values())[given:]
    return {each.name: each.default for each in rest if each.default is not each.empty}


def _named(traced: Traced, names: list[str]) -> Traced:
    traced.inputs = dict(zip(names, traced.inputs.values(), strict=True))
    return traced


def example(shape: Shape) -> Tensor:
    """Random values of that shape, for a batch of two."""
    generator = torch.Generator().manual_seed(0)
    if shape.kind == "tokens":
        return torch.randint(0, 2, (BATCH, *shape.dims), generator=generator)
    return torch.randn((BATCH, *shape.dims), generator=generator)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_holds_tensor, value))
    return isinstance(value, Tensor)
