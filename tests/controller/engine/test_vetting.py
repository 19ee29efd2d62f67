"""What is remembered of architectures that were checked."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space import Architecture
from archloom_controller.engine import vetting
from archloom_controller.engine.frame import Frame


async def test_large_architectures_are_forgotten_by_their_bytes(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = await world.create(trials=1, parallelism=1)
    frame = Frame.of(await world.store.experiments.by_uid(experiment.uid))
    monkeypatch.setattr(vetting, "_KEPT_BYTES", 1_000_000)
    checked = vetting.Vetting(frame)
    for number in range(8):
        huge = Architecture({f"{number}" + "x" * 200_000: 1}).to_proto()
        (vetted,) = checked.vet([huge])
        assert vetted.refusal == "invalid"
        assert len(vetted.reason) <= 1000
    assert 0 < len(checked._known) < 8
    assert sum(len(data) + len(kept.architecture) for data, kept in checked._known.items()) <= 1_000_000
