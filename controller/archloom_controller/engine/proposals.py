"""From a strategy's answer, or a user's inbox, to trials."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from archloom.v1 import architecture_pb2, common_pb2, strategy_pb2
from archloom.v1.trial_pb2 import TrialRole

from archloom_controller import offers
from archloom_controller.engine.controls import Candidate
from archloom_controller.engine.draft import Draft
from archloom_controller.engine.parts import Parts
from archloom_controller.engine.vetting import Vetted, Vetting
from archloom_controller.store.layout import COMPLETED, Document

#: Proposals refused in a row before the strategy counts as exhausted.
MAX_REFUSED = 1000
#: Unknown scores that are remembered for the report.
MAX_UNOFFERED = 32


@dataclass(frozen=True)
class _Wanted:
    """A proposal with what is known of it before the store is asked."""

    ordinal: int
    proposal: strategy_pb2.Proposal
    vetted: Vetted
    fidelity: bytes
    repeat_key: str
    cache_key: str | None


async def accept(
    parts: Parts, draft: Draft, vetting: Vetting, proposals: Sequence[strategy_pb2.Proposal]
) -> None:
    """Make trials of the proposals, refuse singly those that cannot become one; each refusal is an event."""
    vetted = await asyncio.to_thread(vetting.vet, [proposal.architecture for proposal in proposals])
    wanted = [
        _wanted(draft, ordinal, proposal, checked)
        for ordinal, (proposal, checked) in enumerate(zip(proposals, vetted, strict=True))
    ]
    repeated = draft.repeat_keys()
    repeated.update(await parts.store.trials.repeated([each.repeat_key for each in wanted]))
    known = await parts.store.trials.cached([each.cache_key for each in wanted if each.cache_key])
    sources = await parts.store.trials.many(
        draft.frame.uid, [each.proposal.resume_from for each in wanted if each.proposal.resume_from]
    )
    offered = await _offered(parts, draft, wanted)
    _keep_unoffered(draft, wanted, offered)
    refused = draft.experiment["refused"]
    for each in wanted:
        kind, reason = _refusal(draft, each, repeated, sources, offered)
        if kind:
            parts.metrics.proposals_refused(kind)
            refused += 1
            draft.refuse(
                each.vetted.architecture,
                reason,
                role=TrialRole.TRIAL_ROLE_SEARCH,
                ordinal=each.ordinal,
                fidelity=each.fidelity,
            )
            continue
        refused = 0
        repeated.add(each.repeat_key)
        _create(draft, each, sources, known)
    draft.fields["refused"] = refused
    if refused >= MAX_REFUSED:
        draft.fields["exhausted"] = f"{refused:,} proposals in a row were refused"


def _wanted(draft: Draft, ordinal: int, proposal: strategy_pb2.Proposal, vetted: Vetted) -> _Wanted:
    frame = draft.frame
    fidelity = frame.full_fidelity
    if proposal.HasField("fidelity"):
        fidelity = proposal.fidelity.SerializeToString(deterministic=True)
    alike = _sorted(proposal.fidelity) if proposal.fidelity.proxies else fidelity
    key = frame.repeat_key("search", vetted.key or f"{draft.step}/{ordinal}", alike)
    # What goes on from a checkpoint is not what its architecture alone gives.
    cacheable = not vetted.refusal and not proposal.resume_from
    cache_key = frame.cache_key(list(vetted.identity), alike, frame.spec.seed) if cacheable else None
    return _Wanted(ordinal, proposal, vetted, fidelity, key, cache_key)


def _sorted(fidelity: common_pb2.Fidelity) -> bytes:
    """Equal for the same scores, in whatever order they are asked for."""
    return common_pb2.Fidelity(proxies=sorted(set(fidelity.proxies))).SerializeToString(deterministic=True)


async def _offered(parts: Parts, draft: Draft, wanted: Sequence[_Wanted]) -> frozenset[str]:
    """The proxies that workers offer now; asked for only when a proposal wants some."""
    if not any(each.proposal.fidelity.proxies for each in wanted):
        return frozenset()
    spec = draft.frame.spec.evaluator
    return offers.proxies(await parts.registry.evaluator(spec.kind, spec.device_class), spec.settings)


def _keep_unoffered(draft: Draft, wanted: Sequence[_Wanted], offered: frozenset[str]) -> None:
    """For the report: which scores were asked for in vain."""
    unknown = {name[:63] for each in wanted for name in each.proposal.fidelity.proxies} - offered
    if unknown:
        known = draft.experiment.get("unoffered", {}).get("asked", [])
        draft.fields["unoffered"] = {
            "asked": sorted({*known, *unknown})[:MAX_UNOFFERED],
            "offered": sorted(offered),
        }


def _refusal(
    draft: Draft,
    wanted: _Wanted,
    repeated: set[str],
    sources: dict[int, Document],
    offered: frozenset[str],
) -> tuple[str, str]:
    """Why this proposal becomes no trial: one word and a sentence; empty when it does."""
    if wanted.proposal.WhichOneof("subject") != "architecture":
        return "invalid", "supernet jobs have no evaluator in this installation"
    if wanted.vetted.refusal:
        return wanted.vetted.refusal, wanted.vetted.reason
    if wanted.repeat_key in repeated:
        return "duplicate", "an equal architecture was tried at this fidelity"
    if wanted.proposal.fidelity.proxies:
        return _proxy_refusal(draft, wanted.proposal, offered)
    full = draft.frame.spec.fidelity.epochs
    if full and wanted.proposal.fidelity.epochs > full:
        return "invalid", f"{wanted.proposal.fidelity.epochs} epochs are more than the full fidelity's {full}"
    source = wanted.proposal.resume_from
    if source and (source not in sources or not sources[source].get("checkpoint")):
        return "invalid", f"trial {source} has no checkpoint to go on from"
    if draft.affordable(1) < 1:
        return "budget", "the budget of device seconds is spent"
    return "", ""


def _proxy_refusal(draft: Draft, proposal: strategy_pb2.Proposal, offered: frozenset[str]) -> tuple[str, str]:
    """The same for one that asks for training-free scores."""
    kind = draft.frame.spec.evaluator.kind
    unknown = [name for name in proposal.fidelity.proxies if name not in offered]
    if unknown:
        known = ", ".join(sorted(offered)) or "none"
        names = ", ".join(repr(name[:63]) for name in unknown)
        what = "proxy" if len(unknown) == 1 else "proxies"
        return "invalid", f"evaluator {kind!r} offers no {what} {names}; it offers {known}"
    others = [field.name for field, _ in proposal.fidelity.ListFields() if field.name != "proxies"]
    if proposal.resume_from:
        others.append("resume_from")
    if others:
        return "invalid", f"a proxy trial trains nothing: leave out {' and '.join(others)}"
    if draft.proxies_left() < 1:
        return "budget", f"the budget of {draft.frame.proxy_trials:,} proxy trials is spent"
    if draft.affordable(1) < 1:
        return "budget", "the budget of device seconds is spent"
    return "", ""


def _create(draft: Draft, wanted: _Wanted, sources: dict[int, Document], known: dict[str, Document]) -> None:
    proposal = wanted.proposal
    more: Document = {"dup_key": wanted.repeat_key, "ordinal": wanted.ordinal}
    if wanted.cache_key:
        more["cache_key"] = wanted.cache_key
    if proposal.parents:
        more["parents"] = list(proposal.parents)
    if proposal.note:
        more["note"] = proposal.note
    if proposal.resume_from:
        more["resume_from"] = proposal.resume_from
        more["checkpoint"] = sources[proposal.resume_from]["checkpoint"]
    draft.create(
        wanted.vetted,
        TrialRole.TRIAL_ROLE_SEARCH,
        seed=draft.frame.spec.seed,
        fidelity=wanted.fidelity,
        known=joinable(draft, known.get(wanted.cache_key or "")),
        **more,
    )


def joinable(draft: Draft, known: Document | None) -> Document | None:
    """A result of any experiment answers; only a trial of this one is waited for, since its owner sees it
    end.
    """
    if known is None or (known["state"] != COMPLETED and known["e"] != draft.frame.uid):
        return None
    return known


async def add_controls(parts: Parts, draft: Draft, controls: Sequence[Candidate]) -> None:
    """Make the trials of drawn controls. They are not told to the strategy."""
    frame = draft.frame
    keys = [
        frame.cache_key(list(vetted.identity), frame.full_fidelity, frame.spec.seed) for vetted, _ in controls
    ]
    known = await parts.store.trials.cached([key for key in keys if key])
    for (vetted, repeat_key), cache_key in zip(controls, keys, strict=True):
        more: Document = {"dup_key": repeat_key}
        if cache_key:
            more["cache_key"] = cache_key
        draft.create(
            vetted,
            TrialRole.TRIAL_ROLE_CONTROL,
            seed=frame.spec.seed,
            known=joinable(draft, known.get(cache_key or "")),
            **more,
        )


async def take_inbox(parts: Parts, draft: Draft, vetting: Vetting, *, searching: bool) -> bool:
    """Users' own architectures become trials as room and budget permit; whether all were taken."""
    limit = parts.settings.step_trials
    items = await parts.store.inbox.first(draft.frame.uid, limit)
    if not items:
        return True
    messages = [architecture_pb2.Architecture.FromString(item["arch"]) for item in items]
    vetted = await asyncio.to_thread(vetting.vet, messages)
    frame = draft.frame
    keys = [
        frame.repeat_key("search", checked.key or str(item["_id"]), frame.full_fidelity)
        for item, checked in zip(items, vetted, strict=True)
    ]
    repeated = set(await parts.store.trials.repeated(keys))
    for item, checked, key in zip(items, vetted, keys, strict=True):
        evaluated = not item["metrics"]
        if evaluated and searching and draft.room < 1:
            return False
        reason = _user_refusal(draft, checked, key in repeated, searching, evaluated)
        draft.write.inbox.append(item["_id"])
        if reason:
            draft.refuse(checked.architecture, reason, role=TrialRole.TRIAL_ROLE_USER)
            continue
        repeated.add(key)
        _create_users(draft, item, checked, key)
    return len(items) < limit


def _user_refusal(draft: Draft, vetted: Vetted, repeated: bool, searching: bool, evaluated: bool) -> str:
    if not searching:
        return "the search is over"
    if vetted.refusal:
        return vetted.reason
    if repeated:
        return "an equal architecture was tried at this fidelity"
    return "the budget is spent" if evaluated and draft.searches_left() < 1 else ""


def _create_users(draft: Draft, item: Document, vetted: Vetted, key: str) -> None:
    note = item.get("note") or f"inbox {item['_id']}"
    if not item["metrics"]:
        draft.create(vetted, TrialRole.TRIAL_ROLE_USER, seed=draft.frame.spec.seed, dup_key=key, note=note)
        return
    draft.create_reported(vetted, item, dup_key=key, note=note)
