"""What the specs say of every operation is what torch does."""

from __future__ import annotations

import warnings
from random import Random
from typing import Any

import pytest
import torch
from archloom.space.operations import BUILT_IN, Operation, Shape, operation_specs, resolve
from archloom_evaluators.build.registry import build_operation
from drawn_operations import draw_operation, tensors
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

torch.set_num_threads(1)

CASES = [(name, kind) for name in BUILT_IN for kind in operation_specs()[name].shape]
DRAWS = 8


def drawn(name: str, kind: str, count: int = DRAWS, **fixed: Any) -> list[Operation]:
    torch.manual_seed(0)
    rng = Random(f"{name} {kind}")
    return [draw_operation(name, kind, rng, **fixed) for _ in range(count)]


def counted_flops(module: nn.Module, inputs: list[torch.Tensor]) -> int:
    """Multiply-adds of convolutions and matrix products as torch counts them, for one example."""
    with (
        warnings.catch_warnings(action="ignore"),  # what kinds of processor torch could use
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        torch.backends.mkldnn.flags(enabled=False),
        FlopCounterMode(display=False) as counter,
    ):
        module(*inputs)
    total = counter.get_total_flops()
    assert total % (2 * len(inputs[0])) == 0
    return total // (2 * len(inputs[0]))


def test_no_operation_is_left_out() -> None:
    assert len(BUILT_IN) > 50
    assert {kind for _, kind in CASES} == {"image", "seq", "tokens", "vector"}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_shape_weights_and_multiply_adds(name: str, kind: str) -> None:
    for operation in drawn(name, kind):
        module, inputs = build_operation(operation), tensors(operation)
        module.eval()
        assert module(*inputs).shape == (2, *operation.shape.dims), operation
        assert sum(each.numel() for each in module.parameters()) == operation.weights, operation
        assert counted_flops(module, inputs) == operation.flops, operation


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_weight_is_trained(name: str, kind: str) -> None:
    for operation in drawn(name, kind, 2):
        module = build_operation(operation)
        if operation.weights:
            module(*tensors(operation, 4)).sum().backward()
            assert all(each.grad is not None for each in module.parameters()), operation


def is_zero_of_zero(operation: Operation) -> bool:
    module = build_operation(operation).eval()
    return not module(*(torch.zeros_like(each) for each in tensors(operation))).any()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_identities_and_zeroes(name: str, kind: str) -> None:
    seen = drawn(name, kind, 20)
    for operation in seen:
        module, inputs = build_operation(operation), tensors(operation)
        if operation.identity:
            assert torch.equal(module(*inputs), inputs[0]), operation
        if operation.zero:
            assert not module(*inputs).any(), operation
        if operation.zero_to_zero:
            assert is_zero_of_zero(operation), operation
    if kind != "tokens" and not any(operation.zero_to_zero for operation in seen):
        assert not all(is_zero_of_zero(operation) for operation in seen), name


def looks_ahead(operation: Operation) -> bool:
    """Whether a change of an input changes an output before it."""
    module, inputs = build_operation(operation).eval(), tensors(operation, 1)
    length, found = operation.inputs[0].dims[-1], operation.shape.dims[-1]
    stride = dict(operation.parameters).get("stride", 1)
    with torch.no_grad():
        before = module(*inputs)
        for changed in range(1, length):
            other = inputs[0].clone()
            other[..., changed] += 1 if inputs[0].is_floating_point() else -other[..., changed]
            after = module(other, *inputs[1:])
            stretched = changed * (found // length)
            early = stretched if found > length else (changed - 1) // int(stride) + 1
            if not torch.allclose(before[..., :early], after[..., :early], atol=1e-5):
                return True
    return False


IN_TIME = [
    (name, kind)
    for name, kind in CASES
    if kind in ("seq", "tokens") and operation_specs()[name].shape[kind][0] == "seq" and name != "transpose"
]


@pytest.mark.parametrize(("name", "kind"), IN_TIME)
def test_causal_operations_see_nothing_later(name: str, kind: str) -> None:
    seen = drawn(name, kind, 24)
    for operation in seen:
        if operation.causal:
            assert not looks_ahead(operation), operation
    others = [operation for operation in seen if not operation.causal]
    assert not others or any(map(looks_ahead, others)), name


@pytest.mark.parametrize(("name", "parameters", "kind"), [
    ("conv", {"padding": "causal"}, "seq"),
    ("conv", {"padding": "same", "k": 3, "dilation": 1, "stride": 1}, "seq"),
    ("max_pool", {"padding": "causal", "k": 3}, "seq"),
    ("avg_pool", {"padding": "causal", "k": 3}, "seq"),
    ("attention", {"causal": True, "window": 0}, "seq"),
    ("attention", {"causal": True, "window": 2, "rotary": True}, "seq"),
    ("attention", {"causal": False, "window": 0}, "seq"),
    ("attention", {"causal": False, "window": 2}, "seq"),
    ("lstm", {"bidirectional": False}, "seq"),
    ("lstm", {"bidirectional": True}, "seq"),
])  # fmt: skip
def test_causality_depends_on_the_parameters(name: str, parameters: dict[str, Any], kind: str) -> None:
    for operation in drawn(name, kind, 6, **parameters):
        assert looks_ahead(operation) is not operation.causal, operation


def attention(**parameters: Any) -> Operation:
    given = tuple((key, type(value), value) for key, value in {"heads": 2, **parameters}.items())
    return resolve("attention", given, (Shape("seq", (8, 23)),))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_a_window_in_blocks_is_the_same_as_a_mask(window: int, causal: bool) -> None:
    operation = attention(window=window, causal=causal)
    module = build_operation(operation).eval()
    (x,) = tensors(operation)
    place = torch.arange(23)
    near = (place[:, None] - place).abs() < window
    if causal:
        near &= place[:, None] >= place

    def seen(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, spans: int = 0) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=near)

    expected_flops = attention(causal=causal).flops
    assert operation.flops < expected_flops
    found = module(x)
    module.seen_by_blocks = seen  # type: ignore[assignment]
    assert torch.allclose(found, module(x), atol=1e-5)


def test_rotary_scores_depend_on_distances_alone() -> None:
    module: Any = build_operation(attention(rotary=True))
    queries, keys = torch.randn(1, 2, 1, 4).expand(1, 2, 23, 4), torch.randn(1, 2, 1, 4).expand(1, 2, 23, 4)
    scores = module.turned(queries) @ module.turned(keys).transpose(2, 3)
    assert torch.allclose(scores[..., 5, 3], scores[..., 15, 13], atol=1e-4)
    assert not torch.allclose(scores[..., 5, 3], scores[..., 5, 1], atol=1e-2)


def test_grouped_queries_share_keys() -> None:
    whole, grouped = attention(heads=4), attention(heads=4, kv_heads=1)
    assert whole.weights - grouped.weights == 2 * (8 * 6 + 6)


def test_shared_ngrams_have_one_vector() -> None:
    (operation,) = drawn("ngram_bag", "tokens", 1, n=2, buckets=8)
    module: Any = build_operation(operation)
    tokens = torch.tensor([[3, 1, 3, 1, 3], [1, 3, 1, 3, 1]])
    seen: list[torch.Tensor] = []
    module.vectors.register_forward_hook(lambda layer, given, output: seen.append(given[0]))
    module(tokens)
    (numbers,) = seen
    assert numbers.shape == (2, 5 + 4)
    assert numbers[0, 5] == numbers[0, 7] == numbers[1, 6] == numbers[1, 8]
