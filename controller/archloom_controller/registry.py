"""What this installation offers, kept in the collection ``registry`` so that every replica sees the same.

Documents are told apart by the prefix of their ``_id``, whose index serves every query:
``strategy/NAME`` (a description and where it was last served), ``address/HOST:PORT`` (a plugin to dial) and
``evaluators/DEVICE_CLASS`` (what the workers of a class told of themselves, last come last kept).
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archloom.errors import InvalidInput, Violation
from archloom.v1 import registry_pb2, strategy_pb2
from google.protobuf import json_format
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.interfaces import DatasetInfo, EvaluatorInfo

_PATH_TASK = "classification"


class RegistryStore:
    """Implements ``interfaces.Registry``, and keeps what RegistryService is told."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], data_roots: Sequence[Path] = ()) -> None:
        self._kept: AsyncCollection[dict[str, Any]] = database["registry"]
        self._roots = tuple(str(root) for root in data_roots)

    # Strategies

    async def keep_strategy(self, description: strategy_pb2.StrategyDescription, address: str) -> None:
        await self._kept.replace_one(
            {"_id": f"strategy/{description.name}"},
            {"description": description.SerializeToString(deterministic=True), "address": address},
            upsert=True,
        )

    async def strategy(self, name: str) -> strategy_pb2.StrategyDescription | None:
        found = await self._kept.find_one({"_id": f"strategy/{name}"})
        if found is None:
            return None
        return strategy_pb2.StrategyDescription.FromString(found["description"])

    async def strategies(self) -> list[tuple[strategy_pb2.StrategyDescription, str]]:
        """Descriptions with the addresses they came from, by name."""
        return [
            (strategy_pb2.StrategyDescription.FromString(found["description"]), found["address"])
            for found in await self._under("strategy/")
        ]

    async def keep_address(
        self, address: str, strategy: str, session: AsyncClientSession | None = None
    ) -> None:
        await self._kept.replace_one(
            {"_id": f"address/{address}"}, {"strategy": strategy}, upsert=True, session=session
        )

    async def addresses(self) -> list[str]:
        return [found["_id"].removeprefix("address/") for found in await self._under("address/")]

    async def forget_strategy(self, name: str, session: AsyncClientSession | None = None) -> bool:
        """Whether it was known."""
        served = [found["_id"] for found in await self._under("address/") if found["strategy"] == name]
        gone = await self._kept.delete_many({"_id": {"$in": [f"strategy/{name}", *served]}}, session=session)
        return gone.deleted_count > 0

    # Evaluators and data sets

    async def keep_evaluators(self, told: registry_pb2.RegisterEvaluatorRequest) -> None:
        document = {"told": told.SerializeToString(deterministic=True)}
        await self._kept.replace_one({"_id": f"evaluators/{told.device_class}"}, document, upsert=True)

    async def told(self) -> list[registry_pb2.RegisterEvaluatorRequest]:
        """What each device class offers, by its name."""
        return [
            registry_pb2.RegisterEvaluatorRequest.FromString(found["told"])
            for found in await self._under("evaluators/")
        ]

    async def evaluator(self, kind: str, device_class: str) -> EvaluatorInfo | None:
        told = await self._told_by(device_class)
        for description in told.evaluators if told is not None else ():
            if description.kind == kind:
                return _evaluator(description, device_class)
        return None

    async def evaluators(self) -> list[EvaluatorInfo]:
        return [
            _evaluator(description, told.device_class)
            for told in await self.told()
            for description in told.evaluators
        ]

    async def dataset(self, name: str, device_class: str) -> DatasetInfo | None:
        told = await self._told_by(device_class)
        if told is None:
            return None
        scheme, colon, path = name.partition(":")
        if colon:
            if scheme not in told.dataset_schemes:
                return None
            self._check_path(path, told.dataset_roots)
            return DatasetInfo(name=name, task_kind=_PATH_TASK, shape=(), classes=0, digest="")
        for offered in told.datasets:
            if offered.name == f"datasets/{name}":
                return _dataset(offered)
        return None

    async def dataset_names(self) -> list[str]:
        return sorted(
            {
                offered.name.removeprefix("datasets/")
                for told in await self.told()
                for offered in told.datasets
            }
        )

    def _check_path(self, path: str, workers_roots: Sequence[str]) -> None:
        """Lexically, since the files lie with the workers; those resolve links and check again."""
        if not path.startswith("/") or "\0" in path:
            raise InvalidInput([Violation("", f"{path!r} is not an absolute path")])
        plain = posixpath.normpath(path)
        for roots in (workers_roots, self._roots):
            if roots and not any(_lies_under(plain, root) for root in roots):
                raise InvalidInput([Violation("", f"{path!r} lies outside the folders the operator allows")])
        if not workers_roots:
            raise InvalidInput(
                [
                    Violation(
                        "",
                        "the operator allows no folder of data sets: see ARCHLOOM_DATA_ROOTS",
                    )
                ]
            )

    async def _told_by(self, device_class: str) -> registry_pb2.RegisterEvaluatorRequest | None:
        found = await self._kept.find_one({"_id": f"evaluators/{device_class}"})
        return None if found is None else registry_pb2.RegisterEvaluatorRequest.FromString(found["told"])

    async def _under(self, prefix: str) -> list[dict[str, Any]]:
        beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return await self._kept.find({"_id": {"$gte": prefix, "$lt": beyond}}).sort("_id", 1).to_list()


def _lies_under(path: str, root: str) -> bool:
    folder = posixpath.normpath(root).rstrip("/")
    return path == folder or path.startswith(f"{folder}/")


def _evaluator(description: registry_pb2.EvaluatorDescription, device_class: str) -> EvaluatorInfo:
    return EvaluatorInfo(
        kind=description.kind,
        version=description.version,
        device_class=device_class,
        task_kinds=tuple(description.task_kinds),
        metrics=tuple(description.metrics),
        settings_schema=json_format.MessageToDict(description.settings_schema),
        batched=description.batched,
        exports=tuple(description.exports),
        fidelities=tuple(description.fidelities),
        recipe=description.recipe,
        proxies=tuple(description.proxies),
    )


def _dataset(offered: registry_pb2.Dataset) -> DatasetInfo:
    return DatasetInfo(
        name=offered.name.removeprefix("datasets/"),
        task_kind=offered.task_kind,
        shape=tuple(offered.shape),
        classes=offered.classes,
        digest=offered.digest,
    )
