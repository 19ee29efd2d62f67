"""The store: everything that outlives a process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from archloom.resources import TrialName
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from archloom_controller.store.experiments import Experiments
from archloom_controller.store.inbox import Inbox
from archloom_controller.store.layout import INDEXES, Document, trial_id
from archloom_controller.store.leases import Leases
from archloom_controller.store.presence import Presence
from archloom_controller.store.requests import Requests
from archloom_controller.store.steps import Steps
from archloom_controller.store.trials import Trials

T = TypeVar("T")
#: MongoDB's code for a collection that is there already: another replica was quicker.
_EXISTS = 48


class Store:
    """Everything that outlives a process, in one MongoDB database (a replica set: transactions and change
    streams are used).

    The contract:

    - Every write is acknowledged by a majority before its method returns; every read sees only such writes.
    - Who writes what. An experiment's numbers, counters, front and phase belong to its owner, which writes
      them in ``steps.commit`` alone, conditional on {owner, epoch, step, change}. Users' calls write spec,
      state and ``change`` of an experiment. Evaluators' calls and the reaper write one trial each,
      conditional on {attempt, state}. Nobody else writes.
    - A state change doubles as an atomic claim: a lease, a take-over, a completion is one conditional
      update, and the count of what it matched is the answer.
    - Documents are passed by value. Methods are safe to call from any task of the event loop, and from any
      number of processes.
    - Nothing here waits for anything but the database, reads a clock, or draws at random.
    """

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self.database = database.with_options(
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern("majority"),
        )
        self.client: AsyncMongoClient[Document] = database.client
        self.experiments = Experiments(self.database)
        self.trials = Trials(self.database)
        self.leases = Leases(self.database)
        self.steps = Steps(self.database, self.transaction)
        self.presence = Presence(self.database)
        self.requests = Requests(self.database, self.transaction)
        self.inbox = Inbox(self.database)

    async def prepare(self) -> None:
        """Make the collections and their indexes; safe to repeat, and from several replicas at once."""
        for name, indexes in INDEXES.items():
            if indexes:
                await self.database[name].create_indexes(indexes)
        present = set(await self.database.list_collection_names())
        for name in INDEXES.keys() - present:
            # A transaction that would create a collection aborts others that do the same.
            try:
                await self.database.create_collection(name, check_exists=False)
            except OperationFailure as error:
                if error.code != _EXISTS:
                    raise

    async def transaction(self, body: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """Run ``body`` in a transaction, again after a conflict with another; it must have no effect but
        through the session.
        """
        async with self.client.start_session() as session:
            return await session.with_transaction(
                body,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority"),
                read_preference=ReadPreference.PRIMARY,
            )

    async def attempt_is_current(self, trial: TrialName, attempt: int) -> bool:
        """Whether the attempt holds its lease now."""
        uid = await self.experiments.uid(trial.parent)
        if uid is None:
            return False
        return await self.leases.is_current(trial_id(uid, trial.number), attempt)
