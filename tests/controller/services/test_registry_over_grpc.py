"""RegistryService, and the lookups the engine makes of what it keeps."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from archloom.errors import InvalidInput
from archloom.space import load_preset, preset_names
from archloom.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    common_pb2,
    model_pb2,
    model_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from archloom_controller.registry import RegistryStore
from archloom_controller.settings import Settings
from archloom_controller.store import Store
from grpc_refusals import refusal_of, until
from pymongo.asynchronous.database import AsyncDatabase
from scripted_strategy import ScriptedStrategy

TOLD = registry_pb2.RegisterEvaluatorRequest(
    device_class="cpu",
    evaluators=[
        registry_pb2.EvaluatorDescription(
            kind="train", version="2", task_kinds=["classification"], metrics=["val_accuracy"]
        ),
        registry_pb2.EvaluatorDescription(kind="table", version="1", batched=True),
    ],
    datasets=[
        registry_pb2.Dataset(
            name="datasets/digits", task_kind="classification", shape=[1, 8, 8], classes=10, digest="d"
        )
    ],
    proxies=[registry_pb2.Proxy(name="proxies/synflow", goal=common_pb2.GOAL_MAXIMIZE)],
    dataset_schemes=["npz"],
    dataset_roots=["/data/sets"],
)
TOLD.evaluators[0].settings_schema.update({"type": "object"})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"strategies": ("127.0.0.1:*",)})


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return registry_pb2_grpc.RegistryServiceStub(channel)


async def test_what_workers_tell_is_listed_and_replaced(stub: Any) -> None:
    await stub.RegisterEvaluator(TOLD)
    again = registry_pb2.RegisterEvaluatorRequest()
    again.CopyFrom(TOLD)
    again.device_class = "gpu"
    again.datasets.add(name="datasets/mnist5k", task_kind="classification")
    await stub.RegisterEvaluator(again)
    listed = await stub.ListDatasets(registry_pb2.ListDatasetsRequest())
    assert [each.name for each in listed.datasets] == ["datasets/digits", "datasets/mnist5k"]
    assert listed.datasets[0] == TOLD.datasets[0]
    proxies = await stub.ListProxies(registry_pb2.ListProxiesRequest())
    assert [each.name for each in proxies.proxies] == ["proxies/synflow"]
    devices = await stub.ListDevices(registry_pb2.ListDevicesRequest())
    assert [(each.name, each.workers) for each in devices.devices] == [("devices/cpu", 0), ("devices/gpu", 0)]
    del again.datasets[:]
    await stub.RegisterEvaluator(again)
    listed = await stub.ListDatasets(registry_pb2.ListDatasetsRequest())
    assert [each.name for each in listed.datasets] == ["datasets/digits"]


async def test_pages_join_to_the_list(stub: Any) -> None:
    names, token = [], ""
    while True:
        page = await stub.ListSpaces(registry_pb2.ListSpacesRequest(page_size=1, page_token=token))
        names += [each.name for each in page.spaces]
        token = page.next_page_token
        if not token:
            break
    assert names == [f"spaces/{name}" for name in preset_names()]
    for wrong in ("made up", "bm9wZQ"):
        refused = await refusal_of(
            stub.ListSpaces(registry_pb2.ListSpacesRequest(page_size=1, page_token=wrong))
        )
        assert "page_token" in refused.violations


async def test_a_preset_is_shown_whole(stub: Any) -> None:
    shown = await stub.GetSpace(registry_pb2.GetSpaceRequest(name="spaces/nasbench201"))
    assert shown.summary.size == "15625"
    assert shown.space == load_preset("nasbench201").to_proto()
    refused = await refusal_of(stub.GetSpace(registry_pb2.GetSpaceRequest(name="spaces/nasbench2001")))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert "nasbench201" in refused.sentence


async def test_workers_are_listed_as_their_heartbeats_tell(
    stub: Any, database: AsyncDatabase[dict[str, Any]]
) -> None:
    # MongoDB keeps milliseconds.
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    for name, silent_seconds in (("host:1", 0), ("host:2", 3600)):
        await Store(database).presence.renew_worker(
            name,
            device_class="cpu",
            labels={"rack": "a"},
            busy_share=0.5,
            progress={"t": (1, 7)},
            now=now - datetime.timedelta(seconds=silent_seconds),
        )
    (worker,) = (await stub.ListWorkers(registry_pb2.ListWorkersRequest())).workers
    assert (worker.name, worker.device_class, worker.attempts) == ("workers/host:1", "cpu", 1)
    assert (dict(worker.labels), worker.busy_share) == ({"rack": "a"}, 0.5)
    assert worker.heartbeat_time.ToDatetime(datetime.UTC) == now
    (device,) = (await stub.ListDevices(registry_pb2.ListDevicesRequest())).devices
    assert (device.name, device.workers) == ("devices/cpu", 1)


async def test_a_strategy_is_registered_and_unregistered_once_each(stub: Any) -> None:
    plugin = await ScriptedStrategy().start()
    request = registry_pb2.RegisterStrategyRequest(address=plugin.address, request_id="r")
    registered = await stub.RegisterStrategy(request)
    assert (registered.strategy.name, registered.strategy.address) == ("strategies/scripted", plugin.address)
    assert await stub.RegisterStrategy(request) == registered

    async def serving() -> bool:
        listed = await stub.ListStrategies(registry_pb2.ListStrategiesRequest())
        return [each.serving for each in listed.strategies] == [True]

    await until(serving, "the strategy to serve")
    undo = registry_pb2.UnregisterStrategyRequest(name="strategies/scripted", request_id="u")
    await stub.UnregisterStrategy(undo)
    await stub.UnregisterStrategy(undo)  # Its answer was lost, as far as the server knows.
    fresh = registry_pb2.UnregisterStrategyRequest(name="strategies/scripted")
    assert (await refusal_of(stub.UnregisterStrategy(fresh))).code is grpc.StatusCode.NOT_FOUND
    await plugin.stop()


async def test_an_address_that_is_not_allowed_is_not_dialled(stub: Any) -> None:
    request = registry_pb2.RegisterStrategyRequest(address="example.org:443")
    refused = await refusal_of(stub.RegisterStrategy(request))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ADDRESS_NOT_ALLOWED")


async def test_services_of_later_versions_say_so(channel: grpc.aio.Channel) -> None:
    admin: Any = admin_pb2_grpc.AdminServiceStub(channel)
    models: Any = model_pb2_grpc.ModelServiceStub(channel)
    for call in (
        admin.ListProjects(admin_pb2.ListProjectsRequest()),
        models.GetModel(model_pb2.GetModelRequest(name="projects/p/models/m")),
    ):
        refused = await refusal_of(call)
        assert refused.code is grpc.StatusCode.UNIMPLEMENTED
        assert "later version" in refused.sentence


async def test_the_engines_lookups(database: AsyncDatabase[dict[str, Any]]) -> None:
    kept = RegistryStore(database)
    await kept.keep_evaluators(TOLD)
    found = await kept.evaluator("train", "cpu")
    assert found is not None
    assert (found.version, found.task_kinds, found.metrics) == ("2", ("classification",), ("val_accuracy",))
    assert found.settings_schema == {"type": "object"}
    assert await kept.evaluator("train", "gpu") is None
    assert [each.kind for each in await kept.evaluators() if each.batched] == ["table"]
    digits = await kept.dataset("digits", "cpu")
    assert digits is not None
    assert (digits.shape, digits.classes, digits.digest) == ((1, 8, 8), 10, "d")
    assert await kept.dataset("digit", "cpu") is None
    assert await kept.dataset_names() == ["digits"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("npz:/data/sets/../secrets/x.npz", "outside"),
        ("npz:/data/sets-of-others/x.npz", "outside"),
        ("npz:/etc/passwd", "outside"),
        ("npz:x.npz", "not an absolute path"),
        ("npz:", "not an absolute path"),
        ("npz:/data/sets/x\0.npz", "not an absolute path"),
    ],
)
async def test_no_path_escapes_the_roots(
    database: AsyncDatabase[dict[str, Any]], name: str, said: str
) -> None:
    kept = RegistryStore(database)
    await kept.keep_evaluators(TOLD)
    with pytest.raises(InvalidInput, match=said):
        await kept.dataset(name, "cpu")


async def test_a_path_below_the_roots_is_a_data_set(database: AsyncDatabase[dict[str, Any]]) -> None:
    kept = RegistryStore(database)
    await kept.keep_evaluators(TOLD)
    found = await kept.dataset("npz:/data/sets/a/x.npz", "cpu")
    assert found is not None
    assert found.digest == ""
    assert await kept.dataset("folder:/data/sets/a", "cpu") is None
    narrower = RegistryStore(database, [Path("/data/sets/b")])
    with pytest.raises(InvalidInput, match="outside"):
        await narrower.dataset("npz:/data/sets/a/x.npz", "cpu")
