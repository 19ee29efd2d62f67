"""The contract of a strategy as tests. Inherit StrategyContract in a test file, name your strategy, run
pytest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from archloom.strategy.base import Strategy
from archloom.testing.kit import Idle, Kit, Requirement
from archloom.testing.requirements import REQUIREMENTS
from archloom.testing.session import RemotePlugin


class StrategyContract:
    """What the controller relies on, whatever the strategy::

        class TestHillClimber(StrategyContract):
            strategy = HillClimber

    Each requirement is a test; the requirements themselves, and what to do where one is not met, are in
    ``archloom.testing.requirements``.
    """

    strategy: ClassVar[type[Strategy[Any, Any]] | Strategy[Any, Any] | str]
    """A class, an object, or ``"HOST:PORT"`` of a running plugin in any language."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Those it is tested with."""
    trials: ClassVar[int] = 40
    """The length of each search."""
    repeats_networks: ClassVar[bool] = False
    """Whether it may ask for a network twice that is written differently: an honest baseline's right."""

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> Iterator[Kit]:
        """The plugin under test, with the searches that the tests share."""
        fields: dict[str, Any] = {
            "settings": cls.settings,
            "trials": cls.trials,
            "repeats_networks": cls.repeats_networks,
        }
        if isinstance(cls.strategy, str):
            with RemotePlugin(cls.strategy) as remote:
                yield Kit(remote, **fields)
        else:
            yield Kit.of(cls.strategy, **fields)

    @pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda each: each.name)
    def test_it_keeps(self, kit: Kit, requirement: Requirement) -> None:
        try:
            requirement.check(kit)
        except Idle:
            pass
        except Exception as fault:
            fault.add_note(f"{requirement.title}. {requirement.remedy}")
            raise
