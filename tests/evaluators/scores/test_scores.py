"""The scores against values worked out by hand, against published ones, and on every kind of network."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from archloom.space import Architecture, Space, load_preset, nasbench201, preset_names
from archloom_evaluators.scores import NAMES
from archloom_evaluators.scores.compute import compute
from archloom_evaluators.scores.live import LiveScores
from archloom_evaluators.scores.subject import Batch, Subject, matrices, random_batch
from scipy.stats import spearmanr
from small_presets import small_preset

torch.set_num_threads(1)

CPU = torch.device("cpu")
LINE = """
input: {x: {kind: vector, shape: [3]}}
body:
  sequence:
    - {name: first, layer: linear, out: 4, bias: false}
    - {name: gate, layer: %s}
    - {name: second, layer: linear, out: 2, bias: false}
"""
#: Of NAS-Bench-Suite-Zero (Krishnakumar et al. 2022), whose networks are NAS-Bench-201's: synflow, nwot.
PUBLISHED = {
    "203343": (96.30, 804.6),
    "132432": (71.94, 799.3),
    "123434": (61.00, 775.2),
    "110413": (50.55, 707.3),
    "431233": (83.31, 800.9),
    "210224": (53.79, 781.3),
    "120333": (71.65, 804.9),
    "233044": (69.31, 786.5),
    "103342": (68.61, 779.8),
    "214233": (77.09, 805.2),
    "110121": (39.39, 709.3),
    "422131": (56.36, 778.7),
    "134302": (69.44, 786.7),
    "433422": (75.22, 795.3),
    "440413": (50.62, 697.5),
    "334022": (79.91, 805.6),
    "132414": (54.44, 743.8),
    "101032": (52.00, 763.4),
    "110414": (31.20, 601.7),
    "333101": (81.37, 785.0),
}


def subject(space: Space, examples: int = 5, batch: Batch | None = None) -> Subject:
    graph = space.graph(space.sample(Random(0)))
    return Subject(graph, graph, batch or random_batch(graph, examples, 0, CPU), 0, CPU)


def line(activation: str = "relu", batch: Batch | None = None) -> Subject:
    return subject(Space.from_yaml(LINE % activation), batch=batch)


def found(made: Subject, *names: str) -> dict[str, float | str]:
    return dict(compute(names, made))


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "relu6"])
def test_synflow_is_the_flow_through_absolute_weights(activation: str) -> None:
    made = line(activation)
    first, second = (weight.detach().double().abs() for weight in matrices(made.module))
    passed = (second @ first).sum()
    # Each of the two layers carries the whole flow.
    assert found(made, "synflow")["synflow"] == pytest.approx(math.log(2 * passed), abs=1e-9)


def test_naswot_is_the_log_determinant_of_equal_codes() -> None:
    made = line(batch=Batch((torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0]]),)))
    codes = (made.batch.inputs[0] @ matrices(made.module)[0].detach().T > 0).double()
    equal = torch.tensor([[float((one == other).sum()) for other in codes] for one in codes])
    assert found(made, "naswot")["naswot"] == pytest.approx(float(torch.logdet(equal)), abs=1e-4)
    twice = line(batch=Batch((torch.eye(3)[[0, 1, 0]],)))
    assert found(twice, "naswot")["naswot"] == "some examples of the batch have equal codes"


def test_gradients_of_a_given_batch_and_of_random_targets() -> None:
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([0, 1, 0, 1, 1, 0])
    made = line(batch=Batch((inputs,), targets))
    weights = [weight.detach().clone().requires_grad_() for weight in matrices(made.module)]
    outputs = torch.relu(inputs @ weights[0].T) @ weights[1].T
    torch.nn.functional.cross_entropy(outputs, targets).backward()
    gradients = [weight.grad for weight in weights]
    snip = sum(
        float((w.detach() * g).abs().sum()) for w, g in zip(weights, gradients, strict=True) if g is not None
    )
    norm = sum(float(gradient.norm()) for gradient in gradients if gradient is not None)
    told = found(made, "snip", "grad_norm")
    assert told == {"snip": pytest.approx(snip, rel=1e-5), "grad_norm": pytest.approx(norm, rel=1e-5)}
    assert found(line(batch=Batch((inputs,))), "snip") != told["snip"]


def test_examples_seen_apart_have_the_best_jacobian() -> None:
    """Without an activation every example has the same gradient: all correlations are one."""
    alike = found(line("identity"), "jacob_cov")["jacob_cov"]
    assert isinstance(alike, float)
    n, k = 5, 1e-5
    worst = -(math.log(n + k) + 1 / (n + k) + (n - 1) * (math.log(k) + 1 / k))
    assert alike == pytest.approx(worst, rel=1e-2)
    apart = found(subject(small_preset("nasbench201")), "jacob_cov")["jacob_cov"]
    assert isinstance(apart, float)
    # At most -n log(1 + k) - n / (1 + k), where the correlations are the identity.
    assert alike < apart <= -n * (math.log(1 + k) + 1 / (1 + k))


def test_zen_counts_the_scales_that_norms_take_away() -> None:
    """With standard normal weights a wider network is more complex, with a norm between too."""
    tree = "input: {x: {kind: vector, shape: [8]}}\nbody: {sequence: [%s]}"
    layer = "{name: a%d, layer: linear, out: %d, norm: %s, activation: relu}"

    def zen(norm: str, width: int) -> float:
        layers = [layer % (number, width, norm) for number in range(3)]
        value = found(subject(Space.from_yaml(tree % ", ".join(layers)), 64), "zen")["zen"]
        assert isinstance(value, float)
        return value

    plain, normed = [[zen(norm, width) for width in (8, 32)] for norm in ("none", "batch")]
    assert plain[0] + 2 < plain[1]
    assert normed[0] + 2 < normed[1]
    # What the norms divide by is put back: the score is about that of the network without them.
    assert abs(normed[1] - plain[1]) < 1.0


@pytest.mark.parametrize("preset", preset_names())
def test_every_network_that_a_worker_builds_has_scores(preset: str) -> None:
    space = small_preset(preset)
    scorer = LiveScores(space, examples=4)
    architecture = space.sample(Random(1))
    told = scorer.told(architecture, NAMES)
    assert set(told) == set(NAMES)
    words = {name: value for name, value in told.items() if isinstance(value, str)}
    assert all(math.isfinite(value) for value in told.values() if not isinstance(value, str))
    assert set(words) <= {"naswot"}, words
    assert all(reason and not reason.startswith(("RuntimeError", "ValueError")) for reason in words.values())
    again = LiveScores(space, examples=4)
    assert again(architecture, NAMES) == scorer(architecture, NAMES)


def test_a_score_that_a_network_has_none_of_says_why_and_the_others_go_on() -> None:
    told = found(line("identity"), "naswot", "synflow", "parameters")
    assert told["naswot"] == "the network has no activations that switch units on and off"
    assert isinstance(told["synflow"], float)
    assert told["parameters"] == 20.0


def cell(code: str) -> Architecture:
    return Architecture(
        {
            path: nasbench201.OPERATIONS[int(digit)]
            for path, digit in zip(nasbench201.PATHS, code, strict=True)
        }
    )


def test_the_published_scores_of_nasbench201_are_reached() -> None:
    """On its own skeleton with random inputs: synflow. With small images and few examples: naswot."""
    whole, small = (
        LiveScores(load_preset("nasbench201")),
        LiveScores(small_preset("nasbench201"), examples=16),
    )
    synflow = [whole(cell(code), ["synflow"])["synflow"] for code in PUBLISHED]
    naswot = [small(cell(code), ["naswot"])["naswot"] for code in PUBLISHED]
    published = list(zip(*PUBLISHED.values(), strict=True))
    assert spearmanr(synflow, published[0])[0] >= 0.99
    assert spearmanr(naswot, published[1])[0] >= 0.85
    # As numbers too: the published ones are of other weights.
    assert max(abs(one - other) for one, other in zip(synflow, published[0], strict=True)) < 1.0
