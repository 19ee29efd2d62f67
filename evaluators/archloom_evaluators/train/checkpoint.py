"""Checkpoints of a training run.

One safetensors file, its position as JSON in the header. Nothing is pickled.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from archloom_evaluators.failures import EvaluationFailure, Reason

FORMAT = "archloom-train-1"


@dataclass(frozen=True)
class Position:
    """How far a run is: the next batch of an epoch, and what the epoch has summed up so far."""

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    train_seconds: float = 0.0
    #: Mean training loss of the last whole epoch.
    train_loss: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """Weights and buffers by name, the optimizer's tensors by (parameter's place, name), and the position."""

    model: dict[str, torch.Tensor]
    optimizer: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    position: Position = Position()

    def to_bytes(self) -> bytes:
        tensors = {f"model.{name}": _plain(value) for name, value in self.model.items()}
        for place, state in self.optimizer.items():
            for name, value in state.items():
                tensors[f"optimizer.{place}.{name}"] = _plain(value)
        metadata = {"format": FORMAT, "position": json.dumps(asdict(self.position))}
        return bytes(save_tensors(tensors, metadata))

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Raises EvaluationFailure with DATA for bytes that are no checkpoint of ours."""
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            metadata = header.get("__metadata__", {})
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}")
            position = Position(**json.loads(metadata["position"]))
            tensors = load_tensors(data)
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise EvaluationFailure(Reason.DATA, f"the checkpoint cannot be read: {error}") from error
        model: dict[str, torch.Tensor] = {}
        optimizer: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            if part == "model":
                model[rest] = value
            else:
                place, _, key = rest.partition(".")
                optimizer.setdefault(int(place), {})[key] = value
        return cls(model, optimizer, position)


def capture(model: torch.nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> Checkpoint:
    """A copy of a run's state."""
    state = {
        int(place): {name: value for name, value in entry.items() if isinstance(value, torch.Tensor)}
        for place, entry in optimizer.state_dict()["state"].items()
    }
    return Checkpoint(dict(model.state_dict()), state, position)


def restore_model(model: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Raises EvaluationFailure with CANNOT_BUILD when the weights are another network's."""
    try:
        model.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        raise EvaluationFailure(
            Reason.CANNOT_BUILD, f"the checkpoint is not of this architecture: {error}"
        ) from error


def restore_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Puts the optimizer's tensors back; its hyperparameters stay those of the configuration."""
    state = optimizer.state_dict()
    state["state"] = {place: dict(entry) for place, entry in checkpoint.optimizer.items()}
    optimizer.load_state_dict(state)


def _plain(value: torch.Tensor) -> torch.Tensor:
    # Safetensors takes no tensors that share memory and no strides of their own.
    return value.detach().to("cpu", copy=True).contiguous()
