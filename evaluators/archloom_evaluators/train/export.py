"""Exports of a trained network, each checked against torch before it leaves the worker."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from archloom_evaluators.data.dataset import Dataset
from archloom_evaluators.evaluator import Job
from archloom_evaluators.failures import EvaluationFailure, Reason
from archloom_evaluators.train.measure import Latency, time_calls

#: Largest difference between torch's and onnxruntime's class scores, relative to the scores' size where
#: that is above 1.
TOLERANCE = 1e-3
CHECKED_EXAMPLES = 256


@dataclass(frozen=True)
class OnnxExport:
    """The file, the largest absolute difference to torch, and onnxruntime's latency."""

    data: bytes
    difference: float
    latency: Latency


def weights(module: torch.nn.Module) -> bytes:
    """All weights and buffers as safetensors."""
    tensors = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in module.state_dict().items()
    }
    return bytes(save_tensors(tensors, {"format": "pt"}))


def onnx(module: torch.nn.Module, examples: torch.Tensor, latency_batch: int, runs: int) -> OnnxExport:
    """An ONNX file with a free batch size: input "input" [batch, ...], output "scores" [batch, classes].

    ``examples`` are real, normalised inputs. Raises EvaluationFailure when the file does not answer as
    torch does.
    """
    import onnxruntime

    # The export traces a contiguous CPU copy: the file must not inherit a memory order or a device.
    module = module.to("cpu").eval()
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    examples = examples.to("cpu").contiguous()
    data = _export(module, examples[:2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = module(examples).numpy()
    difference = compare(expected, session.run(None, {"input": examples.numpy()})[0])
    one = examples[:latency_batch].numpy()
    return OnnxExport(data, difference, time_calls(lambda: session.run(None, {"input": one}), runs))


def compare(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> float:
    """The largest absolute difference of scores [n, classes].

    Raises EvaluationFailure when it is beyond the tolerance, or when a class that torch is sure of is
    another one.
    """
    if expected.shape != found.shape:
        raise EvaluationFailure(Reason.INTERNAL, f"the export yields {found.shape}, torch {expected.shape}")
    gap = np.abs(expected - found)
    difference = float(gap.max())
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not np.isfinite(difference) or difference > allowed:
        raise EvaluationFailure(
            Reason.INTERNAL, f"the export differs from torch by {difference:.3g}, more than {allowed:.3g}"
        )
    ordered = np.sort(expected, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 2 * difference
    if (expected.argmax(axis=1) != found.argmax(axis=1))[clear].any():
        raise EvaluationFailure(Reason.INTERNAL, "the export chooses other classes than torch")
    return difference


def card(job: Job, graph: Any, dataset: Dataset, metrics: dict[str, float]) -> bytes:
    """model.json: what somebody needs who has nothing but the files."""
    from google.protobuf import json_format

    content = {
        "trial": job.trial,
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "input": {"name": "input", "shape": ["batch", *dataset.shape], "type": "float32"},
        "output": {"name": "scores", "shape": ["batch", dataset.classes]},
        "classes": list(dataset.class_names) or [str(number) for number in range(dataset.classes)],
        "normalisation": {
            "formula": "(x - mean) / deviation, for each channel",
            "mean": list(dataset.normalisation.mean),
            "deviation": list(dataset.normalisation.deviation),
        },
        "decisions": dict(job.architecture.decisions),
        "space_digest": job.context.space_digest,
        "graph": json_format.MessageToDict(graph.to_proto(), preserving_proto_field_name=True),
        "metrics": metrics,
    }
    return json.dumps(content, indent=2, sort_keys=True).encode()


class _OneInput(torch.nn.Module):
    """Gives the network a signature with a name for its input, which the exporter wants."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network(input)
        return scores


def _export(module: torch.nn.Module, examples: torch.Tensor) -> bytes:
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _OneInput(module).eval(),
            (examples,),
            dynamo=True,
            verbose=False,
            input_names=["input"],
            output_names=["scores"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    if program is None:
        raise EvaluationFailure(Reason.INTERNAL, "torch gave no ONNX program")
    return bytes(program.model_proto.SerializeToString())
