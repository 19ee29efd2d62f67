"""What `archloom strategies show` makes of a strategy's settings."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
from archloom.cli import main
from archloom.cli.settings_schema import Setting, settings_of
from archloom.strategy import convert
from archloom.strategy.settings import settings_schema
from fake_server import FakeServer
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel, Field


@pytest.fixture(autouse=True)
def server(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHLOOM_SERVER", fake.address)


class Inner(BaseModel):
    name: Annotated[str, Field(description="An installed strategy.")] = "random"
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5


class Outer(BaseModel):
    kind: Literal["asha", "hyperband"] = Field("asha", description="Which one.")
    eta: Annotated[int, Field(ge=2)]
    most: int | None = None
    arms: tuple[str, ...] = ("a", "b")
    inner: Inner = Field(Inner(), description="What proposes.")
    more: dict[str, int] = Field(default_factory=dict)


def test_settings_come_in_the_order_of_the_class_over_the_wire() -> None:
    wired = Struct.FromString(convert.struct(settings_schema(Outer)).SerializeToString())
    assert list(settings_of(convert.plain(wired))) == [
        Setting("kind", "asha | hyperband", '"asha"', "Which one."),
        Setting("eta", "integer from 2", "required", ""),
        Setting("most", "integer | null", "null", ""),
        Setting("arms", "list of string", '["a", "b"]', ""),
        Setting("inner", "object", '{"name": "random", "rate": 0.5}', "What proposes."),
        Setting("inner.name", "string", '"random"', "An installed strategy."),
        Setting("inner.rate", "number above 0 to 1", "0.5", ""),
        Setting("more", "object", "", ""),
    ]


def test_settings_of_a_schema_without_an_order_come_by_name() -> None:
    paths = [each.path for each in settings_of(Outer.model_json_schema())]
    assert paths == ["arms", "eta", "inner", "inner.name", "inner.rate", "kind", "more", "most"]


def test_a_strategy_is_shown_with_its_settings(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["strategies", "show", "random"]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("random ")
    assert "Build: 0.1.0+ab" in shown
    assert "Objectives: " in shown
    assert "Constraints: " in shown
    assert main(["strategies", "show", "random", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["name"] == "random"


def test_an_unknown_one_is_told_with_a_near_match(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["strategies", "show", "randon"]) == 1
    assert "there is no strategy 'randon'" in (told := capfd.readouterr().err)
    assert "random" in told
