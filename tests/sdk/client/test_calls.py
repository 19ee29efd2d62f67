from __future__ import annotations

from functools import partial

import archloom.client
import grpc
import pytest
from archloom.client import Client
from archloom.errors import (
    BY_CODE,
    ArchloomError,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Violation,
)
from archloom.spec import ExperimentSpec
from fake_server import NAME, FakeServer, refuse
from sample_search import Sample

away = partial(refuse, code=grpc.StatusCode.UNAVAILABLE, message="restarting", reason="UNAVAILABLE")


@pytest.fixture(autouse=True)
def filled(fake: FakeServer, sample: Sample) -> None:
    fake.experiment, fake.trials, fake.report = sample


def spec_of(fake: FakeServer) -> ExperimentSpec:
    return ExperimentSpec.from_proto(fake.experiment.spec)


def test_a_call_is_repeated_while_the_server_is_away(
    client: Client, fake: FakeServer, pauses: list[float]
) -> None:
    fake.failures["GetExperiment"] = [away, away]
    assert client.experiments.get("sample").name == NAME
    assert len(fake.asked("GetExperiment")) == 3
    assert len(pauses) == 2
    assert all(0 < pause <= 0.2 for pause in pauses)


def test_repeated_creations_carry_one_request_id(client: Client, fake: FakeServer) -> None:
    fake.failures["CreateExperiment"] = [away]
    client.experiments.create(spec_of(fake))
    client.experiments.create(spec_of(fake))
    first, again, other = (request.request_id for request in fake.asked("CreateExperiment"))
    assert first == again != other
    assert len(first) == 32


def test_the_servers_wish_for_a_pause_is_honoured(
    client: Client, fake: FakeServer, pauses: list[float]
) -> None:
    busy = partial(refuse, code=grpc.StatusCode.RESOURCE_EXHAUSTED, message="full", retry_after=0.75)
    fake.failures["GetExperiment"] = [busy]
    client.experiments.get("sample")
    assert pauses == [0.75]


def test_a_quota_is_no_passing_failure(client: Client, fake: FakeServer) -> None:
    full = partial(refuse, code=grpc.StatusCode.RESOURCE_EXHAUSTED, message="The project's quota is spent.")
    fake.failures["PauseExperiment"] = [full]
    with pytest.raises(ResourceExhausted, match="quota is spent"):
        client.experiments.pause("sample")
    assert len(fake.asked("PauseExperiment")) == 1


def test_it_gives_up_with_the_last_error(client: Client, fake: FakeServer) -> None:
    fake.failures["GetExperiment"] = [away] * 10
    with pytest.raises(Unavailable, match="restarting"):
        client.experiments.get("sample")
    assert len(fake.asked("GetExperiment")) == client._connection.backoff.attempts


def test_no_pause_reaches_beyond_the_deadline(fake: FakeServer, pauses: list[float]) -> None:
    fake.failures["GetExperiment"] = [partial(away, retry_after=60.0)]
    with Client(fake.address, timeout_seconds=20) as client:
        client._connection.sleep = pauses.append
        with pytest.raises(Unavailable):
            client.experiments.get("sample")
    assert pauses == []


def test_each_violation_comes_with_its_path_in_the_spec(client: Client, fake: FakeServer) -> None:
    fields = {
        "spec.strategy.name": "there is no strategy 'x'",
        "task.dataset": "unknown",
        "spec.space.space.body.layer": "no",
        "space.preset": "none",
    }
    fake.failures["CreateExperiment"] = [
        partial(refuse, code=grpc.StatusCode.INVALID_ARGUMENT, message="2 faults", violations=fields)
    ]
    with pytest.raises(InvalidInput) as caught:
        client.experiments.create(spec_of(fake))
    assert caught.value.violations == (
        Violation("strategy.name", "there is no strategy 'x'"),
        Violation("task.dataset", "unknown"),
        Violation("space.body.layer", "no"),
        Violation("space", "none"),
    )


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=lambda kind: kind.__name__)
def test_every_status_has_its_error(kind: type[ArchloomError], client: Client, fake: FakeServer) -> None:
    code = grpc.StatusCode[kind.code]
    fake.failures["GetExperiment"] = [partial(refuse, code=code, message="why", reason="SOME_REASON")] * 5
    with pytest.raises(kind) as caught:
        client.experiments.get("sample")
    assert type(caught.value) is kind
    assert caught.value.reason == "SOME_REASON"
    assert kind is DeadlineExceeded or caught.value.message == "why"


def test_a_server_that_is_not_there_is_told_with_what_to_do(pauses: list[float]) -> None:
    with Client("127.0.0.1:9") as client:
        client._connection.sleep = pauses.append
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9.*archloom local up"):
            client.experiments.get("sample")


def test_a_slow_answer_ends_at_the_deadline(fake: FakeServer) -> None:
    import threading

    release = threading.Event()
    fake.failures["GetExperiment"] = [lambda context: release.wait(30)]
    with Client(fake.address, timeout_seconds=0.2) as client, pytest.raises(DeadlineExceeded):
        client.experiments.get("sample")
    release.set()


def test_the_token_goes_with_each_call(fake: FakeServer) -> None:
    with Client(fake.address, token="s3cret") as client:
        client.experiments.get("sample")
    assert fake.metadata[-1]["authorization"] == "Bearer s3cret"


def test_settings_come_from_the_environment(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHLOOM_SERVER", fake.address)
    monkeypatch.setenv("ARCHLOOM_TOKEN", "other")
    monkeypatch.setenv("ARCHLOOM_PROJECT", "vision")
    with Client() as client, pytest.raises(NotFound):
        client.experiments.get("sample")
    assert fake.asked("GetExperiment")[-1].name == "projects/vision/experiments/sample"
    assert fake.metadata[-1]["authorization"] == "Bearer other"


def test_a_channel_of_ones_own_stays_open(fake: FakeServer) -> None:
    channel = grpc.insecure_channel(fake.address)
    for _ in range(2):
        with Client(channel=channel) as client:
            assert client.experiments.get("sample").ended
    channel.close()


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="https"):
        Client("ftp://somewhere:1")


@pytest.mark.parametrize("name", ["Sample", "a b", "projects/p", "projects/p/experiments/e/trials/1", ""])
def test_a_name_that_cannot_be_is_refused_before_a_call(client: Client, fake: FakeServer, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"experiment: .* is not of the form"):
        client.experiments.get(name)
    with pytest.raises(InvalidInput, match=r"project: .* is not of the form"):
        Client(fake.address, project="My project")
    assert fake.calls == []


def test_pages_are_read_to_the_end(client: Client, fake: FakeServer) -> None:
    assert [trial.number for trial in client.trials.list("sample")] == list(range(1, 17))
    controls = client.trials.list(NAME, roles=["control"])
    assert [trial.number for trial in controls] == [4, 8, 12, 16]
    assert len(list(client.experiments.list())) == 3


def test_a_failed_trial_says_why(client: Client, fake: FakeServer) -> None:
    trial = list(client.trials.list("sample"))[4]
    assert trial.state == "failed"
    assert trial.failure is not None
    assert trial.failure.reason == "diverged"


def test_the_spec_comes_back_with_the_experiment(client: Client, space: object) -> None:
    spec = client.experiments.get("sample").spec
    assert spec.strategy.settings == {"kind": "regularized", "population": 6}
    assert not isinstance(spec.space, str)


def test_the_public_names_are_those_that_are_listed() -> None:
    defined = {
        name
        for name, value in vars(archloom.client).items()
        if isinstance(value, type) and value.__module__.startswith("archloom.client") and name[0] != "_"
    }
    internal = {"Artifacts", "Connection", "Experiments", "Registry", "Spaces", "Trials"}
    assert defined - internal == set(archloom.client.__all__)
