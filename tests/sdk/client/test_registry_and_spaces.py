from __future__ import annotations

import pytest
from archloom.client import Client, DatasetInfo, OwnTrial, SpaceInfo
from archloom.errors import Violation
from archloom.space import Space
from archloom.v1 import trial_pb2
from fake_server import NAME, FakeServer
from sample_search import Sample


def test_what_an_installation_offers(client: Client, space: Space) -> None:
    serving, broken = client.registry.strategies()
    assert (serving.name, serving.version, serving.serving) == ("random", "1", True)
    assert (broken.name, broken.serving, broken.problem) == ("mine", False, "no answer")
    (found,) = client.registry.spaces()
    assert found == SpaceInfo("nasbench201", found.summary, 15625, 6)
    assert client.registry.space("nasbench201").digest == space.digest
    (dataset,) = client.registry.datasets()
    assert dataset == DatasetInfo("mnist5k", "", "", (1, 28, 28), 10, 3000, 1000, 1000)
    (worker,) = client.registry.workers()
    assert (worker.name, worker.attempts, worker.busy_share) == ("w1", 1, 0.9)


@pytest.mark.parametrize("named", [True, False])
def test_the_tools_of_the_server_are_those_of_the_sdk(client: Client, space: Space, named: bool) -> None:
    source = "nasbench201" if named else space
    assert client.spaces.size(source) == space.size()
    drawn = client.spaces.sample(source, 3, seed=5)
    assert drawn == client.spaces.sample(source, 3, seed=5)
    changed = client.spaces.mutate(source, drawn, seed=1)
    assert all(space.check(each) == [] for each in [*drawn, *changed])
    assert all(a != b for a, b in zip(drawn, changed, strict=True))
    assert client.spaces.validate(source) == [Violation("body.layer", "is not an operation")]


def test_own_trials_are_sent_with_what_is_known(
    client: Client, fake: FakeServer, sample: Sample, space: Space
) -> None:
    (architecture,) = client.spaces.sample(space, 1, seed=2)
    client.trials.enqueue("sample", [OwnTrial(architecture, {"val_accuracy": 0.5}, 12.5, "by hand")])
    (request,) = fake.asked("EnqueueTrials")
    assert request.parent == NAME
    assert request.request_id
    (own,) = request.trials
    assert isinstance(own, trial_pb2.EnqueuedTrial)
    assert (own.metrics[0].name, own.metrics[0].value) == ("val_accuracy", 0.5)
    assert own.device_time.ToMilliseconds() == 12500
    assert own.note == "by hand"
