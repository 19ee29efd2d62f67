"""The parts of reinforce: draws, the policy, exploration and gradient steps."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
import torch
from archloom.space import Space, load_preset
from archloom.strategy import Objective, SearchSpec
from archloom.testing.spaces import space_named
from archloom_strategies.reinforce.draws import Draws
from archloom_strategies.reinforce.exploring import chances
from archloom_strategies.reinforce.learning import Learner, advantages, imitations
from archloom_strategies.reinforce.memory import HUNDREDTHS, Trial
from archloom_strategies.reinforce.policy import (
    NAMES,
    Batch,
    Layout,
    Policy,
    drawn_anew,
    line_log_probability,
)
from archloom_strategies.reinforce.settings import ReinforceSettings

ONE = torch.ones(1, dtype=torch.double)
TINY = space_named("tiny")


def policy_of(space: Space, *, strength: float = 0.0) -> Policy:
    """One that draws uniformly, or with all parameters moved by so much."""
    policy = Policy(Layout(Draws(space)), 1)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in NAMES:
            tensor = policy.parameters[name]
            tensor += strength * torch.randn(tensor.shape, generator=noise, dtype=torch.double)
    return policy


def logs_of(policy: Policy, sequences: list[Any]) -> list[float]:
    logs, _ = policy.log_probabilities(Batch.of(policy.layout, sequences), ONE)
    found: list[float] = logs.sum(1).tolist()
    return found


@pytest.mark.parametrize("name", ["nasbench201", "darts", "mobile", "text_encoder", "mixed", "tree"])
def test_answers_make_the_architecture_that_they_were_made_of(name: str) -> None:
    space = space_named(name) if name in ("mixed", "tree") else load_preset(name)
    draws, rng = Draws(space), Random(0)
    for _ in range(20):
        architecture = space.sample(rng)
        again = draws.architecture(draws.answers(architecture))
        assert list(again.decisions) == list(architecture.decisions)
        for path, value in architecture.decisions.items():
            wanted = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
            assert again.decisions[path] == wanted


@pytest.mark.parametrize("name", ["tiny", "tree"])
def test_the_probabilities_of_all_architectures_add_up_to_one(name: str) -> None:
    space = space_named(name)
    policy = policy_of(space, strength=0.7)
    sequences = [policy.layout.draws.answers(each) for each in space.enumerate()]
    assert math.fsum(map(math.exp, logs_of(policy, sequences))) == pytest.approx(1.0)


def test_architectures_are_drawn_as_often_as_their_probabilities_say() -> None:
    policy = policy_of(TINY, strength=0.7)
    calm = [0.0] * len(policy.layout.draws.slots)
    drawn = [answers for _, answers in policy.sample(Random(0), [ONE] * 4_000, 1.0, calm)]
    for architecture in TINY.enumerate():
        answers = policy.layout.draws.answers(architecture)
        (log,) = logs_of(policy, [answers])
        assert drawn.count(answers) / len(drawn) == pytest.approx(math.exp(log), abs=0.025)


def test_the_distribution_on_a_line_has_an_area_of_one_and_its_parts_add_up() -> None:
    middle, width = torch.tensor(0.8, dtype=torch.double), torch.tensor(1.5, dtype=torch.double)
    places = (torch.arange(1_000, dtype=torch.double) + 0.5) / 1_000
    density = line_log_probability(middle, width, places, torch.zeros_like(places)).exp()
    assert density.mean().item() == pytest.approx(1.0, abs=1e-5)
    parts = (torch.arange(100, dtype=torch.double) + 0.5) / 100
    shares = line_log_probability(middle, width, parts, torch.full_like(parts, 0.005)).exp()
    assert shares.sum().item() == pytest.approx(1.0)


class TestExploration:
    @pytest.mark.parametrize(("name", "expected"), [("nasbench201", 1.0), ("mobile", 21 / 6)])
    def test_each_kind_is_drawn_anew_in_every_sixth_proposal_and_one_draw_at_least(
        self, name: str, expected: float
    ) -> None:
        space = load_preset(name)
        layout = Layout(Draws(space))
        answers = layout.draws.answers(space.sample(Random(0)))
        for exploration in (0.0, 0.5, 1.0):
            explored = chances(layout, [answers], exploration)
            whole = math.fsum(explored[draw.slot] for draw in layout.draws.drawn(answers))
            assert whole == pytest.approx(exploration * expected)

    def test_a_decision_for_all_layers_is_drawn_anew_as_often_as_one_kind_of_each_layers(self) -> None:
        space = load_preset("text_encoder")
        layout = Layout(Draws(space))
        answers = layout.draws.answers(space.sample(Random(3)))
        explored = chances(layout, [answers], 1.0)
        drawn = [layout.draws.slots[draw.slot].path for draw in layout.draws.drawn(answers)]
        chance = {slot.path: explored[place] for place, slot in enumerate(layout.draws.slots)}
        ratios = [chance[path] for path in drawn if path.endswith("feed.ratio")]
        assert len(ratios) > 1
        assert math.fsum(ratios) == pytest.approx(chance["width"])

    def test_without_a_trial_there_is_nothing_to_be_sure_of(self) -> None:
        layout = Layout(Draws(TINY))
        assert all(0.0 <= chance <= 1.0 for chance in chances(layout, [], 100.0))

    def test_a_policy_that_is_certain_still_draws_other_values(self) -> None:
        policy = policy_of(TINY)
        favourite = policy.layout.draws.answers(TINY.sample(Random(0)))
        with torch.no_grad():
            for draw, answer in zip(policy.layout.draws.drawn(favourite), favourite, strict=True):
                policy.parameters["bias"][policy.layout.table[draw.slot, int(answer)]] = 50.0
        slots = len(policy.layout.draws.slots)
        calm = [answers for _, answers in policy.sample(Random(1), [ONE] * 50, 1.0, [0.0] * slots)]
        assert all(answers == favourite for answers in calm)
        explored = chances(policy.layout, [favourite], 1.0)
        drawn = [answers for _, answers in policy.sample(Random(1), [ONE] * 400, 1.0, explored)]
        for place in range(slots):
            # One in slots is drawn anew: half of these is the value beside, and of the rest every second is.
            others = sum(answers[place] != favourite[place] for answers in drawn) / len(drawn)
            assert others == pytest.approx(0.75 / slots, abs=0.06)

    def test_of_ordered_values_those_beside_the_policys_own_are_drawn_more_often(self) -> None:
        draws = Draws(load_preset("text_encoder"))
        place = next(place for place, slot in enumerate(draws.slots) if slot.path == "blocks.count")
        answers = draws.answers(load_preset("text_encoder").sample(Random(0)))
        count = next(draw for draw in draws.drawn(answers) if draw.slot == place)
        sure = [50.0 * (number == count.allowed[4]) for number in range(len(draws.slots[place].numbers))]
        rng = Random(0)
        drawn = [count.allowed.index(int(drawn_anew(count, sure, rng))) for _ in range(2_000)]
        shares = [drawn.count(value) / len(drawn) for value in range(11)]
        for value, share in enumerate(shares):
            assert share == pytest.approx(0.5 / 11 + 0.25 * (value in (3, 5)), abs=0.03)
        last = [50.0 * (number == count.allowed[10]) for number in range(len(sure))]
        assert {drawn_anew(count, last, rng) for _ in range(200)} == set(count.allowed)


def trial(policy: Policy, answers: Any, value: float) -> Trial:
    logs, _ = policy.log_probabilities(Batch.of(policy.layout, [answers]), ONE)
    whole = tuple((logs[0] * HUNDREDTHS).round().long().tolist())
    return Trial(answers=tuple(answers), logs=whole, metrics={"score": value})


class TestGradientSteps:
    SPEC = SearchSpec(space=TINY, objectives=(Objective("score"),))

    def learned(self, steps: int = 40, **fields: Any) -> tuple[list[float], list[float]]:
        """Log probabilities of the eight architectures, valued 0 to 7 in their order, before and after."""
        policy = policy_of(TINY)
        sequences = [policy.layout.draws.answers(each) for each in TINY.enumerate()]
        trials = [trial(policy, answers, float(value)) for value, answers in enumerate(sequences)]
        settings = ReinforceSettings(**{"entropy": 0.0, "final_entropy": 0.0, **fields})
        before = logs_of(policy, sequences)
        Learner(policy, self.SPEC, settings, trials, [(1.0,)] * steps).learn(settings.entropy)
        return before, logs_of(policy, sequences)

    @pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
    @pytest.mark.parametrize("baseline", ["rank", "leave-one-out", "moving-average"])
    def test_the_policy_gradient_alone_prefers_better_trials(self, algorithm: str, baseline: str) -> None:
        before, after = self.learned(algorithm=algorithm, baseline=baseline, replay=0.0, learning_rate=0.3)
        assert after[7] > before[7]
        assert after[0] < before[0]
        assert after[7] == max(after)

    def test_ppo_moves_no_draw_further_than_its_clip(self) -> None:
        fields = {"replay": 0.0, "learning_rate": 0.1}
        before, after = self.learned(64, clip=0.2, **fields)
        draws, slack = 3, 0.05
        assert after[7] - before[7] <= draws * (math.log(1.2) + slack)
        _, freely = self.learned(64, clip=5.0, **fields)
        assert freely[7] > after[7] + 0.5

    def test_imitation_raises_the_best_alone(self) -> None:
        before, after = self.learned(replayed=1, clip=1e-6)
        assert after[7] > before[7] + 1.0
        assert all(after[place] < before[place] for place in range(4))

    def test_entropy_keeps_the_policy_from_certainty(self) -> None:
        _, calm = self.learned(replayed=1, entropy=1.0)
        _, bold = self.learned(replayed=1, entropy=0.0)
        assert calm[7] < bold[7]


@pytest.mark.parametrize("baseline", ["rank", "leave-one-out", "moving-average"])
def test_a_failure_is_worth_less_than_any_result(baseline: str) -> None:
    found = advantages(baseline, [0.1, 0.5, -math.inf, 0.9], [0.3])
    assert found[2] == min(found)
    assert found[3] == max(found)
    assert all(math.isfinite(each) for each in found)


def test_without_a_single_result_nothing_is_learned() -> None:
    for baseline in ("rank", "leave-one-out", "moving-average"):
        assert advantages(baseline, [-math.inf, -math.inf], []) == [0.0, 0.0]


class TestImitation:
    def test_weights_fall_with_the_rank_and_only_the_best_have_one(self) -> None:
        found = imitations([0.1, 0.9, 0.5, -math.inf, 0.7, 0.3], 3)
        assert list(found) == [1, 4, 2]
        assert found[1] > found[4] > found[2] > 0

    def test_of_trials_that_are_all_alike_none_is_imitated(self) -> None:
        assert imitations([0.3] * 8, 4) == {}
        assert imitations([-math.inf] * 3, 4) == {}

    def test_equal_trials_are_imitated_alike_however_many_they_are(self) -> None:
        found = imitations([0.5, 0.3, 0.5, 0.3, 0.5, 0.1, 0.5], 2)
        assert set(found) == {0, 2, 4, 6}
        assert len(set(found.values())) == 1
