"""The registry of operations, as any language sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from archloom.client import Client
from archloom.space.language.expressions import parse
from archloom.space.operations import (
    AXES,
    COMPOSITES,
    Operation,
    Shape,
    layer_names,
    operation_specs,
    resolve,
)
from archloom.v1 import operation_pb2, space_pb2, space_service_pb2, space_service_pb2_grpc
from archloom_controller.server import Controller
from grpc_refusals import refusal_of


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return space_service_pb2_grpc.SpaceServiceStub(channel)


async def listed(stub: Any, size: int = 0) -> list[operation_pb2.OperationSpec]:
    request = space_service_pb2.ListOperationsRequest(page_size=size)
    found: list[operation_pb2.OperationSpec] = []
    while True:
        answer = await stub.ListOperations(request)
        assert size == 0 or len(answer.operations) <= size
        found.extend(answer.operations)
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def test_all_operations_and_composites_are_listed_by_name(stub: Any) -> None:
    found = await listed(stub)
    assert [each.name for each in found] == sorted([*layer_names(), *COMPOSITES])
    assert "input" not in {each.name for each in found}
    assert {each.name for each in found if each.HasField("body")} == COMPOSITES.keys()
    assert all(each.summary for each in found if each.name in COMPOSITES)
    assert found == await listed(stub, 7)


async def test_a_page_of_another_listing_is_refused(stub: Any) -> None:
    request = space_service_pb2.ListOperationsRequest(page_token="bm9uZQ")
    refused = await refusal_of(stub.ListOperations(request))
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.violations) == ["page_token"]


def rebuilt(message: operation_pb2.OperationSpec, shape: Shape, **given: int) -> dict[str, Any]:
    """What another language works out from the message alone."""
    kinds = {name: number for number, name in enumerate(("image", "seq", "tokens", "vector"), 1)}
    (found,) = [each for each in message.shapes if each.input == kinds[shape.kind]]
    names: dict[str, Any] = dict(zip(AXES[shape.kind], shape.dims, strict=True))
    names |= {"kind": shape.kind, "positions": shape.positions, "normed": False}
    names["axes"] = len(shape.dims) - (shape.kind != "tokens")
    for parameter in message.parameters:
        default = parameter.default
        if parameter.name in given:
            names[parameter.name] = given[parameter.name]
        elif default.WhichOneof("value") == "expression":
            names[parameter.name] = parse(default.expression).evaluate(names)
        else:
            names[parameter.name] = getattr(default.literal, default.literal.WhichOneof("value") or "")
    dims = [int(parse(text).evaluate(names)) for text in found.dims]
    names |= {f"o{axis}": size for axis, size in zip(("c", "h", "w"), dims, strict=False)}
    names["opositions"] = Shape(shape.kind, tuple(dims)).positions
    assert all(parse(each.expression).evaluate(names) for each in message.requirements)
    return {
        "dims": tuple(dims),
        "weights": parse(message.weights).evaluate(names),
        "flops": parse(message.multiply_adds).evaluate(names),
    }


async def test_the_rules_are_enough_to_work_an_operation_out(stub: Any) -> None:
    specs = {each.name: each for each in await listed(stub)}
    for name, shape, given in (
        ("conv", Shape("image", (4, 9, 7)), {"k": 3, "out": 8, "stride": 2}),
        ("conv", Shape("seq", (4, 9)), {"k": 3}),
        ("attention", Shape("seq", (12, 40)), {"heads": 4, "window": 3}),
        ("lstm", Shape("seq", (5, 11)), {"out": 7, "layers": 2}),
    ):
        own: Operation = resolve(name, tuple((key, int, each) for key, each in given.items()), (shape,))
        assert rebuilt(specs[name], shape, **given) == {
            "dims": own.shape.dims,
            "weights": own.weights,
            "flops": own.flops,
        }
    assert {rule.axis: rule.rule for rule in specs["conv"].slicing} == {
        "out": operation_pb2.SLICING_RULE_PREFIX,
        "c": operation_pb2.SLICING_RULE_PREFIX,
        "k": operation_pb2.SLICING_RULE_CENTRE,
        "groups": operation_pb2.SLICING_RULE_NONE,
    }


async def test_several_inputs(stub: Any) -> None:
    specs = {each.name: each for each in await listed(stub)}
    assert not specs["concat"].HasField("arity")
    assert specs["concat"].agreement == operation_pb2.INPUT_AGREEMENT_ALL_BUT_CHANNELS
    assert specs["concat"].ordered
    assert specs["relu"].arity == 1
    crossing = specs["cross_attention"]
    assert (crossing.arity, list(crossing.whole_inputs)) == (2, [1])
    assert [list(each.kinds) for each in crossing.further_inputs] == [[space_pb2.TENSOR_KIND_SEQ]]


async def test_the_client_lists_them(controller: Controller) -> None:
    def work() -> dict[str, Any]:
        with Client(controller.address) as client:
            return {each.name: each for each in client.spaces.operations()}

    found = await asyncio.to_thread(work)
    assert set(found) == {*layer_names(), *COMPOSITES}
    conv = found["conv"]
    assert conv.takes == ("image", "seq")
    assert conv.yields[1].startswith("seq[out, ")
    assert {each.name: each.default for each in conv.parameters} == {
        each.name: each.default for each in operation_specs()["conv"].parameters
    }
    assert [each.name for each in conv.parameters if each.required] == ["k"]
    assert found["sep_conv"].composite
    assert found["sum"].inputs is None
