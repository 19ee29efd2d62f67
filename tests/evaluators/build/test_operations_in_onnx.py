"""Every operation leaves torch as ONNX, and computes the same there."""

from __future__ import annotations

import warnings
from random import Random

import onnxruntime
import torch
from archloom.space.operations import BUILT_IN, Operation, Shape, operation_specs, resolve
from archloom_evaluators.build.registry import build_operation
from drawn_operations import draw_operation, tensors
from torch import Tensor, nn

torch.set_num_threads(1)


class Together(nn.Module):
    """Many operations in one network, each on inputs of its own: exporting costs by the network."""

    def __init__(self, operations: list[Operation]) -> None:
        super().__init__()
        self.counts = [len(operation.inputs) for operation in operations]
        self.layers = nn.ModuleList(build_operation(operation) for operation in operations)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = []
        place = 0
        for layer, count in zip(self.layers, self.counts, strict=True):
            outputs.append(layer(*inputs[place : place + count]))
            place += count
        return tuple(outputs)


def attention(**parameters: int | bool) -> Operation:
    given = tuple((key, type(value), value) for key, value in {"heads": 2, **parameters}.items())
    return resolve("attention", given, (Shape("seq", (8, 23)),))


def test_every_operation_in_onnx() -> None:
    torch.manual_seed(0)
    drawn = []
    for name in BUILT_IN:
        spec, rng = operation_specs()[name], Random(name)
        shallow = {"layers": 2} if "layers" in spec.by_name else {}
        drawn.append(draw_operation(name, rng.choice(list(spec.shape)), rng, **shallow))
    drawn += [attention(window=3, causal=True, rotary=True), attention(window=3), attention(causal=True)]
    network = Together(drawn).eval()
    inputs = [tensor for operation in drawn for tensor in tensors(operation)]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = network(*inputs)
        program = torch.onnx.export(network, tuple(inputs), dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    names = [port.name for port in session.get_inputs()]
    fed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    found = session.run(None, fed)
    for operation, one, other in zip(drawn, found, expected, strict=True):
        assert torch.allclose(torch.from_numpy(one), other, atol=1e-4), operation
