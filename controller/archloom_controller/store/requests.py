"""Calls that were answered: repeating one with its request_id has one effect."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from archloom.errors import InvalidInput, Violation
from google.protobuf.message import Message
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from archloom_controller.store.layout import Document

M = TypeVar("M", bound=Message)
Transaction = Callable[[Callable[[AsyncClientSession], Awaitable[Any]]], Awaitable[Any]]


class Requests:
    def __init__(self, database: AsyncDatabase[Document], transaction: Transaction) -> None:
        self._log = database["request_log"]
        self._transaction = transaction

    async def once(
        self,
        caller: str,
        request: Message,
        answer: type[M],
        effect: Callable[[AsyncClientSession], Awaitable[M]],
        now: datetime.datetime,
    ) -> M:
        """Run ``effect`` in a transaction together with the note that it was run, or answer what it
        answered before.

        ``request`` has a field request_id; empty means that repeating is not asked for. The same id with
        another request is InvalidInput.
        """
        if not request.request_id:  # type: ignore[attr-defined]
            return await self._transaction(effect)  # type: ignore[no-any-return]
        key, digest = _identity(caller, request)

        async def body(session: AsyncClientSession) -> M:
            known = await self._log.find_one({"_id": key}, session=session)
            if known is not None:
                return self._repeat(known, digest, answer)
            result = await effect(session)
            await self._log.insert_one(
                {"_id": key, "digest": digest, "answer": result.SerializeToString(), "time": now},
                session=session,
            )
            return result

        try:
            return await self._transaction(body)  # type: ignore[no-any-return]
        except DuplicateKeyError as error:
            # Either the same call ran beside this one and won, or the effect met a taken name.
            known = await self._log.find_one({"_id": key})
            if known is None:
                raise error
            return self._repeat(known, digest, answer)

    async def answered(self, caller: str, request: Message, answer: type[M]) -> M | None:
        """What the call was answered, if it was made before; for what must not be checked again. Raises as
        ``once`` does.
        """
        if not request.request_id:  # type: ignore[attr-defined]
            return None
        key, digest = _identity(caller, request)
        known = await self._log.find_one({"_id": key})
        return None if known is None else self._repeat(known, digest, answer)

    def _repeat(self, known: Document, digest: str, answer: type[M]) -> M:
        if known["digest"] != digest:
            raise InvalidInput(
                [Violation("request_id", "was used for another request before; choose a new one")]
            )
        return answer.FromString(known["answer"])


def _identity(caller: str, request: Message) -> tuple[str, str]:
    """The key of a call in the log, and the digest of what it asked for."""
    key = f"{caller}|{type(request).__name__}|{request.request_id}"  # type: ignore[attr-defined]
    return key, hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
