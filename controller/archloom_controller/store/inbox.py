"""What users enqueued and the owner has not taken yet."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import ASCENDING
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.store.layout import Document


class Inbox:
    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._inbox = database["inbox"]

    async def put(self, items: Sequence[Document], session: AsyncClientSession) -> None:
        """Items are {_id, e, trial}: ``_id`` grows with the order they came in."""
        await self._inbox.insert_many(list(items), session=session)

    async def first(self, uid: str, limit: int) -> list[Document]:
        found = self._inbox.find({"e": uid}).sort([("e", ASCENDING), ("_id", ASCENDING)])
        return [document async for document in found.limit(limit)]
