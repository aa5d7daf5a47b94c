"""Networks fitted in one batch against the same networks fitted one by one, for every row of the catalog."""

import math

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.loop import Trainer
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.fitting.stacked import Member, fit_stacked
from lrnn_cli.models.catalog import build, config_class
from tests.cases import CASES, case_id
from tests.fitting.support import CPU, LRNN, picture, samples_of

RUNNER = BlockRunner(CPU)
STEPS = {"steps": 25, "precision": "float64", "warmup_steps": 5}


def network(case, seed: int):
    name, options = case
    model = build(name, config_class(name)(**options), n_inputs=2, n_outputs=2, seed=seed).double()
    if hasattr(model, "use_engine"):
        model.use_engine("reference")
    for parameter in model.parameters():  # the fused Adam wants gradients in the layout of their parameters
        parameter.data = parameter.data.contiguous()
    return model


def signals(n: int, height: int = 6):
    return [samples_of(picture(height, 7, 2) * (0.5 + 0.2 * k), torch.float64) for k in range(n)]


def stacked(case, n: int = 3, batch: int = 16, lstsq=(), lr: float = 1e-3, **settings) -> list[Member]:
    members = [Member(network(case, k), samples, seed=k) for k, samples in enumerate(signals(n))]
    fit = FitSettings(**{**STEPS, **settings})
    fit_stacked(members, fit, RUNNER, lr=lr, lstsq=lstsq, batch_points=batch)
    return members


def separate(case, k: int, batch: int = 16, lstsq=(), lr: float = 1e-3, **settings) -> Trainer:
    fit = FitSettings(**{**STEPS, **settings, "seed": k})
    trainer = Trainer(
        network(case, k), signals(k + 1)[k], fit, RUNNER, lr=lr, lstsq=lstsq, batch_points=batch,
        fresh=lambda attempt: network(case, 1000 + attempt),
    )  # fmt: skip
    for _ in trainer.run():
        pass
    return trainer


def far(member: Member, trainer: Trainer) -> float:
    """Largest difference of the weights, relative to the largest weight of each tensor."""
    pairs = zip(member.model.parameters(), trainer.model.parameters(), strict=True)
    return max(
        float((a - b).detach().abs().max() / b.detach().abs().max().clamp_min(1e-12)) for a, b in pairs
    )


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_stack_gives_the_weights_of_separate_runs(case) -> None:
    members = stacked(case, n=2, steps=8, guard=False)
    for k, member in enumerate(members):
        trainer = separate(case, k, steps=8, guard=False)
        assert far(member, trainer) < 1e-9
        assert member.loss == pytest.approx(trainer.final_loss, rel=1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam", "sgd"])
def test_every_optimiser_full_batches_and_clipping(optimizer: str) -> None:
    how = {"optimizer": optimizer, "clip_norm": 0.05, "batch": 42}
    for k, member in enumerate(stacked(LRNN, **how)):
        assert far(member, separate(LRNN, k, **how)) < 1e-10


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_launched_steps_are_the_same_training(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where losses are read every so often; here on the CPU, where nothing has to wait."""
    monkeypatch.setattr("lrnn_cli.fitting.stacked.suits", lambda runner, optimizer: True)
    how = {"optimizer": optimizer, "clip_norm": 0.05, "steps": 37}
    for k, member in enumerate(stacked(LRNN, **how)):
        trainer = separate(LRNN, k, **how)
        assert far(member, trainer) < 1e-6  # rates are float32 on the device
        assert member.loss == pytest.approx(trainer.final_loss, rel=1e-5)


def test_launched_steps_leave_out_a_network_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrnn_cli.fitting.stacked.suits", lambda runner, optimizer: True)
    members = [Member(network(LRNN, k), samples, seed=k) for k, samples in enumerate(signals(3))]
    members[1].samples.targets[5] = math.inf
    heard: list[tuple[int, int]] = []
    fit_stacked(
        members, FitSettings(**STEPS), RUNNER, lr=1e-3, batch_points=42,
        listener=lambda k, step: heard.append((step.step, k)),
    )  # fmt: skip
    assert [member.trouble for member in members] == ["", "the loss is not finite", ""]
    assert heard == [(step, k) for step in range(1, 26) for k in (0, 2)]
    for k in (0, 2):
        assert far(members[k], separate(LRNN, k, batch=42)) < 1e-6


def test_output_layers_are_solved_at_the_start_and_the_end() -> None:
    both = stacked(LRNN, lstsq=("start", "end"))
    without = stacked(LRNN)
    for k, member in enumerate(both):
        assert member.trouble == ""
        assert member.loss == pytest.approx(separate(LRNN, k, lstsq=("start", "end")).final_loss, rel=1e-6)
        assert member.loss < without[k].loss


def test_the_better_of_the_last_and_an_earlier_state_is_kept() -> None:
    """The rate is far too high, and the last loss is worse than that of step 20."""
    how = {"lr": 0.1, "lstsq": ("start",), "schedule": "const", "steps": 25, "guard": False, "batch": 42}
    for k, member in enumerate(stacked(LRNN, **how)):
        trainer = separate(LRNN, k, **how)
        assert member.loss == pytest.approx(trainer.final_loss, rel=1e-6)


def test_a_network_in_trouble_is_reported_and_disturbs_no_other() -> None:
    members = [Member(network(LRNN, k), samples, seed=k) for k, samples in enumerate(signals(3))]
    members[1].samples.targets[5] = math.inf
    fit_stacked(members, FitSettings(**STEPS), RUNNER, lr=1e-3, batch_points=42)
    assert [member.trouble for member in members] == ["", "the loss is not finite", ""]
    assert math.isnan(members[1].loss)
    for k in (0, 2):
        assert far(members[k], separate(LRNN, k, batch=42)) < 1e-10


def test_large_signals_start_from_a_random_part_of_their_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrnn_cli.fitting.least_squares.START_POINTS", 30)
    monkeypatch.setattr("lrnn_cli.fitting.least_squares.START_POINTS_PER_FEATURE", 1)
    for k, member in enumerate(stacked(LRNN, lstsq=("start",))):
        assert far(member, separate(LRNN, k, lstsq=("start",))) < 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"time_s": 3.0},
            "a stack goes in step: it takes a budget of --steps alone, no --time and no --until",
        ),
        ({"until": "30dB"}, "no --time and no --until"),
        ({"lstsq": ("plateau",)}, "a stack goes in step: --lstsq takes start and end, not plateau"),
    ],
)
def test_what_cannot_go_in_step(change, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        stacked(LRNN, **change)


def test_unlike_networks_and_signals() -> None:
    fit = FitSettings(**STEPS)
    small, large = signals(1)[0], signals(1, height=8)[0]
    other = ("lrnn", {**LRNN[1], "rank": 5})

    def fitted(*members: Member) -> None:
        fit_stacked(members, fit, RUNNER, lr=1e-3, batch_points=8)

    with pytest.raises(ConfigError, match="a stack needs at least one network"):
        fitted()
    with pytest.raises(ConfigError, match="a stack takes networks of one architecture and size"):
        fitted(Member(network(LRNN, 0), small, 0), Member(network(other, 0), small, 1))
    with pytest.raises(ConfigError, match="a stack takes signals of one number of points and channels"):
        fitted(Member(network(LRNN, 0), small, 0), Member(network(LRNN, 1), large, 1))
