"""What a plugin's answer must keep to become a step. A malformed one voids the whole step."""

from __future__ import annotations

import hashlib

from archloom.v1 import strategy_pb2
from google.protobuf.message import DecodeError

from archloom_controller.interfaces import StrategyFailed
from archloom_controller.rpc.rules import Rules
from archloom_controller.strategies.plugin import MESSAGE_BYTES

_NAME = "archloom.v1.ProposeResponse"
_TOLD = 3
#: A refused proposal is an event, and the next request carries it: neither may come near what a document
#: holds.
MAX_ARCHITECTURE_BYTES = 256 * 1024


def check_answer(
    rules: Rules, strategy: str, request: strategy_pb2.ProposeRequest, data: bytes
) -> strategy_pb2.ProposeResponse:
    """The answer, if it is one to this request. Raises StrategyFailed."""
    if len(data) > MESSAGE_BYTES:
        raise StrategyFailed(f"strategy {strategy} gave an answer of more than {MESSAGE_BYTES:,} bytes")
    faults = rules.parse(_NAME, data)
    if faults:
        told = "; ".join(str(fault) for fault in faults[:_TOLD])
        more = f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        raise StrategyFailed(f"strategy {strategy} gave a malformed answer: {told}{more}")
    try:
        answer = strategy_pb2.ProposeResponse.FromString(data)
    except DecodeError as error:
        raise StrategyFailed(f"strategy {strategy} gave an answer that cannot be read: {error}") from None
    problem = _mismatch(request, answer)
    if problem:
        raise StrategyFailed(f"strategy {strategy} gave a malformed answer: {problem}")
    if answer.HasField("state") and not answer.state.digest:
        answer.state.digest = hashlib.sha256(answer.state.data).hexdigest()
    return answer


def _mismatch(request: strategy_pb2.ProposeRequest, answer: strategy_pb2.ProposeResponse) -> str:
    if answer.experiment != request.experiment:
        return f"experiment: {answer.experiment!r} was not asked about, {request.experiment!r} was"
    if answer.step != request.step:
        return f"step: {answer.step} was not asked for, {request.step} was"
    if len(answer.proposals.proposals) > request.count:
        return f"proposals: {len(answer.proposals.proposals)} where at most {request.count} were wanted"
    for index, proposal in enumerate(answer.proposals.proposals):
        if proposal.architecture.ByteSize() > MAX_ARCHITECTURE_BYTES:
            return f"proposals[{index}].architecture: has more than {MAX_ARCHITECTURE_BYTES:,} bytes"
    if not answer.HasField("state"):
        return ""
    if not answer.state.inline:
        return "state: a new state must be inline"
    digest = hashlib.sha256(answer.state.data).hexdigest()
    if answer.state.digest not in ("", digest):
        return "state.digest: is not the sha256 of its data"
    return ""
