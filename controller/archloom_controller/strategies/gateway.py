"""All the plugins that this replica can reach, under their names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from archloom.errors import Unavailable, Violation, WrongState
from archloom.v1 import strategy_pb2
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from archloom_controller.interfaces import ProposeContext, StrategyFailed, StrategyUnreachable
from archloom_controller.metrics import Metrics
from archloom_controller.registry import RegistryStore
from archloom_controller.rpc.rules import Rules
from archloom_controller.settings import split_address
from archloom_controller.strategies.answers import check_answer
from archloom_controller.strategies.dialled import DialledPlugin
from archloom_controller.strategies.pages import Pages
from archloom_controller.strategies.plugin import Plugin
from archloom_controller.tasks import end_tasks

_log = logging.getLogger(__name__)

#: A cold replica asks for the spec, the state and the log; once each, and again if it was replaced meanwhile.
_ROUNDS = 8
_SPECS_REMEMBERED = 4096
_FOLLOW_SECONDS = 2.0


class Gateway:
    """Implements ``interfaces.StrategyGateway``. Plugins of one name are replicas of one strategy."""

    def __init__(
        self,
        kept: RegistryStore,
        rules: Rules,
        metrics: Metrics,
        clock: Callable[[], float],
        allowed: Sequence[str],
        propose_seconds: float,
    ) -> None:
        self._kept = kept
        self._rules = rules
        self._metrics = metrics
        self._clock = clock
        self._allowed = tuple(allowed)
        self._seconds = propose_seconds
        self._dialled: dict[str, DialledPlugin] = {}
        self._attached: dict[str, Plugin] = {}
        self._stored: dict[str, strategy_pb2.StrategyDescription] = {}
        self._specs_sent: dict[tuple[int, str, int], None] = {}
        self._registering: set[str] = set()
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Dial what the operator named, and what was registered on any replica, now and later."""
        for address in self._fixed():
            self._dial(address)
        await self._follow_once()
        self._follower = asyncio.create_task(self._follow(), name="registered strategies")

    async def stop(self) -> None:
        await end_tasks([self._follower])
        for plugin in self.plugins():
            await plugin.close()

    # What is there

    def plugins(self) -> list[Plugin]:
        return [*self._dialled.values(), *self._attached.values()]

    def names(self) -> list[str]:
        return sorted({plugin.name for plugin in self.plugins() if plugin.name} | set(self._stored))

    def reachable(self, name: str) -> bool:
        return any(plugin.serving for plugin in self._of(name))

    async def describe(self, name: str) -> strategy_pb2.StrategyDescription | None:
        """As a serving plugin describes it, else as it was last known on any replica."""
        for plugin in self._of(name):
            if plugin.serving and plugin.description is not None:
                return plugin.description
        return await self._kept.strategy(name)

    # Asking

    async def validate(self, name: str, spec: strategy_pb2.SearchSpec) -> list[Violation]:
        request = strategy_pb2.ValidateStrategyRequest(spec=spec)
        problem = StrategyUnreachable(self._absence(name))
        for plugin in self._serving(name):
            try:
                answer = await plugin.validate(request, self._seconds)
            except StrategyUnreachable as error:
                problem = error
                continue
            return [Violation(fault.field, fault.description) for fault in answer.violations]
        raise problem

    async def propose(
        self, name: str, request: strategy_pb2.ProposeRequest, context: ProposeContext
    ) -> strategy_pb2.ProposeResponse:
        started, outcome = self._clock(), "failed"
        try:
            answer = await self._propose(name, request, context)
            outcome = "answered"
            return answer
        except StrategyUnreachable:
            outcome = "unreachable"
            raise
        finally:
            self._metrics.propose(name, outcome, self._clock() - started)

    async def _propose(
        self, name: str, request: strategy_pb2.ProposeRequest, context: ProposeContext
    ) -> strategy_pb2.ProposeResponse:
        problem = StrategyUnreachable(self._absence(name))
        for plugin in self._serving(name):
            try:
                return await self._converse(plugin, request, context)
            except StrategyUnreachable as error:
                problem = error
        raise problem

    async def _converse(
        self, plugin: Plugin, request: strategy_pb2.ProposeRequest, context: ProposeContext
    ) -> strategy_pb2.ProposeResponse:
        """Ask until the answer is no need. What was sent for one need stays in for the next."""
        asked = strategy_pb2.ProposeRequest()
        asked.CopyFrom(request)
        sent = (id(plugin), request.experiment_uid, request.spec.revision)
        if sent not in self._specs_sent:
            asked.spec.CopyFrom(await context.spec())
        pages = Pages(context, request.history_sequence)
        rounds = 0
        while rounds < _ROUNDS:
            data = await plugin.propose(asked, self._seconds)
            answer = check_answer(self._rules, plugin.name, request, data)
            need = answer.WhichOneof("answer")
            rounds += 1
            if need == "need_spec":
                asked.spec.CopyFrom(await context.spec())
            elif need == "need_state":
                if not request.state.digest:
                    raise StrategyFailed(f"strategy {plugin.name} asked for a state where there is none")
                asked.state.data = await context.state(request.state.digest)
                asked.state.inline = True
            elif need == "need_history":
                if await pages.put(asked, answer.need_history.from_sequence):
                    rounds -= 1  # Page after page of a long log is no going round in circles.
            else:
                self._remember(sent)
                return answer
        raise StrategyFailed(
            f"strategy {plugin.name} asked for spec, state or history {_ROUNDS} times in one step"
        )

    def _remember(self, sent: tuple[int, str, int]) -> None:
        """The plugin has this spec now. A restarted one has not, and then asks for it."""
        self._specs_sent[sent] = None
        if len(self._specs_sent) > _SPECS_REMEMBERED:
            del self._specs_sent[next(iter(self._specs_sent))]

    def _of(self, name: str) -> list[Plugin]:
        found: list[Plugin] = [plugin for plugin in self._dialled.values() if plugin.name == name]
        if name in self._attached:
            found.append(self._attached[name])
        return found

    def _serving(self, name: str) -> list[Plugin]:
        return [plugin for plugin in self._of(name) if plugin.serving]

    def _absence(self, name: str) -> str:
        problems = [plugin.problem for plugin in self._of(name)]
        if problems:
            return f"strategy {name} cannot be reached: {problems[0]}"
        return f"strategy {name} cannot be reached: no plugin of that name is connected to this replica"

    # Coming and going

    async def register(self, address: str, session: AsyncClientSession | None = None) -> DialledPlugin:
        """Dial a plugin that listens, on every replica and for good. Raises Unavailable, WrongState."""
        if not allows(self._allowed, address):
            raise WrongState(
                f"{address} is not an address the operator allows: add it to ARCHLOOM_STRATEGIES",
                reason="ADDRESS_NOT_ALLOWED",
            )
        self._registering.add(address)
        plugin = self._dial(address)
        try:
            if not plugin.serving:
                await plugin.refresh()
            await self._kept.keep_address(address, plugin.name, session)
        except StrategyUnreachable as error:
            raise Unavailable(str(error), reason="STRATEGY_UNREACHABLE") from None
        except StrategyFailed as error:
            raise WrongState(str(error), reason="STRATEGY_FAILED") from None
        finally:
            self._registering.discard(address)
        return plugin

    async def unregister(self, name: str, session: AsyncClientSession | None = None) -> bool:
        """Forget a strategy on every replica. False when it was not known. Raises WrongState."""
        if any(plugin.address in self._fixed() for plugin in self._of(name)):
            raise WrongState(f"strategy {name} stands in ARCHLOOM_STRATEGIES: take its address out of there")
        known = await self._kept.forget_strategy(name, session) or bool(self._of(name))
        for plugin in self._of(name):
            self._dialled.pop(plugin.address, None)
            self._attached.pop(name, None)
            await plugin.close()
        self._stored.pop(name, None)
        return known

    async def attach(self, plugin: Plugin) -> None:
        """A plugin called in. One of its name that did so before is taken to be the same, come back."""
        if any(other.serving for other in self._of(plugin.name) if other.address):
            raise WrongState(
                f"strategy {plugin.name} is served at an address already: attach under another name"
            )
        earlier = self._attached.get(plugin.name)
        if earlier is not None:
            await earlier.close()
        self._attached[plugin.name] = plugin
        await self._described(plugin)

    def detach(self, plugin: Plugin) -> None:
        if self._attached.get(plugin.name) is plugin:
            del self._attached[plugin.name]

    def _dial(self, address: str) -> DialledPlugin:
        if address not in self._dialled:
            self._dialled[address] = DialledPlugin(address, self._rules, self._described)
        return self._dialled[address]

    async def _described(self, plugin: Plugin) -> None:
        """Keep the description for every replica, and for times when the plugin is down."""
        if plugin.description is None:
            return
        try:
            await self._kept.keep_strategy(plugin.description, plugin.address)
        except PyMongoError as error:
            _log.warning("strategy %s could not be written down, it will be later: %s", plugin.name, error)
            return
        self._stored[plugin.name] = plugin.description

    def _fixed(self) -> list[str]:
        return [address for address in self._allowed if "*" not in address]

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            try:
                await self._follow_once()
            except Exception as error:
                # Whatever it is, the next round may do without it.
                _log.warning("the registered strategies cannot be followed: %s", error)

    async def _follow_once(self) -> None:
        """Do what other replicas were told: dial new addresses, drop forgotten ones."""
        wanted = {address for address in await self._kept.addresses() if allows(self._allowed, address)}
        self._stored = {description.name: description for description, _ in await self._kept.strategies()}
        for address in wanted:
            self._dial(address)
        for address in set(self._dialled) - wanted - set(self._fixed()) - self._registering:
            await self._dialled.pop(address).close()
        for plugin in self.plugins():
            if plugin.serving and plugin.name not in self._stored:
                await self._described(plugin)


def allows(patterns: Sequence[str], address: str) -> bool:
    """Whether an operator's list has the address: literally, by HOST:* or by *:PORT."""
    try:
        host, port = split_address(address)
    except ValueError:
        return False
    for pattern in patterns:
        allowed_host, allowed_port = split_address(pattern, patterns=True)
        if allowed_host in ("*", host) and allowed_port in (None, port):
            return True
    return False
