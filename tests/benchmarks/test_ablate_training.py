"""The ablations of training: the variants do what they say, the table counts right, nothing runs twice."""

import json

import pytest
import torch

from benchmarks import ablate_costs, ablate_training
from benchmarks.ablate_training import LEVELS_DB, ROWS, crossing, table
from benchmarks.machine import RESULTS
from benchmarks.training_variants import (
    GrowingBatch,
    LossAwareBatch,
    MuonAdam,
    RecordingSamples,
    SoapAdam,
    StratifiedBatch,
    orthogonal,
    rms_frequency,
)
from tests.fitting.support import make_trainer, picture, samples_of


def test_batches_grow_over_equal_numbers_of_passes():
    sampler = GrowingBatch(100, [10, 20, 50], 6, seed=0)
    sizes = []
    while sampler.seen < 600:
        sizes.append(len(sampler.next()))
    assert [sizes.count(size) for size in (10, 20, 50)] == [20, 10, 4]
    assert sizes == sorted(sizes)


def test_stratified_batches_take_one_pixel_of_each_rectangle():
    sampler = StratifiedBatch((8, 12), (2, 3), seed=0)
    batches = [sampler.next() for _ in range(6)]
    assert torch.cat(batches).sort().values.tolist() == list(range(96))  # every pixel once
    for batch in batches:
        tiles = (batch // 12 // 2) * 4 + batch % 12 // 3
        assert tiles.sort().values.tolist() == list(range(16))
    assert sampler.next().tolist() != batches[0].tolist()


def test_points_of_large_error_are_drawn_more_often():
    samples = samples_of(picture(10, 10))
    samples.__class__ = RecordingSamples
    samples.watch(0.0)
    samples.errors[7] = 1.0
    sampler = LossAwareBatch(samples, 20, 0.05, seed=0)
    batches = [sampler.next() for _ in range(50)]
    assert {len(batch) for batch in batches} == {20}
    assert all(7 in batch for batch in batches)


def test_errors_are_recorded_in_training_only():
    samples = samples_of(picture(4, 4))
    samples.__class__ = RecordingSamples
    samples.watch(-1.0)
    prediction, indices = torch.zeros(2, 1), torch.tensor([3, 5])
    samples.squared_error(prediction, indices)
    assert (samples.errors == -1).all()
    samples.squared_error(prediction.requires_grad_(), indices)
    expected = samples.targets[indices, 0].square()
    torch.testing.assert_close(samples.errors[indices], expected)
    assert (samples.errors == -1).sum() == 14


@pytest.mark.parametrize("shape", [(3, 8, 5), (3, 5, 8)])
def test_orthogonal(shape):
    singular = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert singular.min() > 0.3  # the published coefficients end near 1, not at it
    assert singular.max() < 1.3


def test_muon_is_for_hidden_projections_only():
    trainer = make_trainer(picture())
    optimizer = MuonAdam(trainer.model, 1e-3)
    assert [tuple(p.shape) for p in optimizer.matrices] == [(2, 12, 12)]
    before = [p.detach().clone() for p in trainer.parameters]
    trainer.optimizer = optimizer
    run = trainer.run()
    next(run), next(run)
    assert all(not torch.equal(a, b) for a, b in zip(before, trainer.parameters, strict=True))
    matrix = optimizer.matrices[0]
    assert set(optimizer.state[matrix]) == {"muon"}
    assert matrix.grad is not None


def test_soap_works_in_a_turned_basis_of_the_hidden_projections():
    trainer = make_trainer(picture())
    optimizer = SoapAdam(trainer.model, 1e-3, every=2)
    matrix = next(p for p in trainer.parameters if tuple(p.shape) == (2, 12, 12))
    assert [id(p) for p in optimizer.matrices] == [id(matrix)]
    trainer.optimizer = optimizer
    before, run = matrix.detach().clone(), trainer.run()
    for _ in range(5):
        next(run)
    assert not torch.equal(before, matrix)
    soap = optimizer.state[matrix]["soap"]
    for turn, side in (("u", "left"), ("v", "right")):
        basis, middle = soap[turn], soap[turn].mT @ soap[side] @ soap[turn]
        eye = torch.eye(12).expand(2, 12, 12)
        torch.testing.assert_close(basis.mT @ basis, eye, atol=1e-5, rtol=0)
        off = middle - torch.diag_embed(middle.diagonal(dim1=-2, dim2=-1))
        assert float(off.norm()) < 0.3 * float(middle.norm())


def test_soap_is_adam_where_the_gradients_are_in_line_with_the_axes():
    trainer = make_trainer(picture())
    optimizer = SoapAdam(trainer.model, 0.1)
    gradient = torch.diag(torch.arange(1.0, 7.0)).expand(2, 6, 6)
    torch.testing.assert_close(
        optimizer.update(gradient, {}), torch.eye(6).expand(2, 6, 6), atol=1e-5, rtol=0
    )


def test_the_rms_frequency_of_a_grating():
    x = torch.arange(64) / 64
    values = torch.cos(2 * torch.pi * 9 * x).expand(64, 64)[..., None]
    assert rms_frequency(values) == pytest.approx(torch.pi * 9, rel=0.02)


def test_crossings_are_interpolated():
    curve = [(1.0, 10, 20.0), (2.0, 20, 30.0), (3.0, 30, 28.0), (4.0, 40, 36.0)]
    assert crossing(curve, 25) == {"passes": 1.5, "steps": 15.0}
    assert crossing(curve, 32) == {"passes": 3.5, "steps": 35.0}
    assert crossing(curve, 15) == {"passes": 1.0, "steps": 10}
    assert crossing(curve, 40) is None


def test_one_run_and_no_run_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ablate_training, "SIDE", 12)
    monkeypatch.setattr(ablate_training, "PARAMS", 1500)
    out = tmp_path / "runs.jsonl"
    words = ["ablate", "--out", str(out), "--passes", "2", "--seeds", "1", "--images", "camera256"]
    for _ in range(2):
        monkeypatch.setattr("sys.argv", [*words, "--rows", "default;zero output layer, least squares end"])
        ablate_training.main()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["row"] for row in rows] == ["default", "zero output layer, least squares end"]
    assert rows[0]["curve"][-1][2] == pytest.approx(rows[0]["psnr_db"], abs=1e-3)
    assert rows[0]["batch_points"] == [ablate_training.BATCH]
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", [*words, "--table"])
    ablate_training.main()
    stored = json.loads((RESULTS / "ablate_training_cost.json").read_text())["rows"]
    assert capsys.readouterr().out == table(rows, stored)
    assert list(stored) == list(ROWS)


def test_an_unknown_row(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ablate", "--rows", "defualt"])
    with pytest.raises(SystemExit):
        ablate_training.main()
    assert "unknown rows: defualt" in capsys.readouterr().err


def run(row, image, passes, psnr):
    reached = {str(level): None for level in LEVELS_DB}
    reached["30"] = passes and {"passes": passes, "steps": 10 * passes}
    return {"row": row, "image": image, "seed": 0, "passes": 24, "psnr_db": psnr, "reached": reached} | {
        "rollbacks": 1,
        "fresh_starts": 0,
    }


def test_the_table():
    costs = {"default": {"start_s": 1.0, "pass_s": 0.5}, "rate x 2": {"start_s": 0.5, "pass_s": 1.0}}
    runs = [run("default", "a", 4.0, 30.0), run("default", "b", 9.0, 32.0)]
    runs += [run("rate x 2", "a", 2.0, 31.0), run("rate x 2", "b", None, 29.0)]
    lines = table(runs, costs).splitlines()
    assert len(lines) == 4
    assert lines[2] == "| default | 2 | 500 ms | 4.25 | – | – | – | 31.00 dB | 2 |"
    last = "– | – | – | -1.00 (-3.00 to +1.00) | 2 |"
    assert lines[3] == f"| rate x 2 | 2 | × 2.00 | 2.50 (1 of 2), × 0.83 | {last}"


def test_costs_are_shared_by_rows_of_the_same_work(monkeypatch):
    def one_round(rows, signal):
        return {name: (float(solved(row)), 1.0 + k) for k, (name, row) in enumerate(rows.items())}

    monkeypatch.setattr(ablate_costs, "one_round", one_round)
    solved = ablate_costs.solves_at_start
    found = ablate_costs.costs()
    assert list(found) == list(ROWS)
    assert found["rate x 2"] == found["default"] == found["omega_first 110"]
    assert found["default"]["ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert found["Adam"] == found["Adam, rate x 0.5"] != found["default"]
    kinds = {ablate_costs.work(row) for row in ROWS.values()}
    assert len({each["pass_s"] for each in found.values()}) == len(kinds)
    unsolved = {name for name, each in found.items() if not each["start_s"]}
    assert unsolved == {
        "least squares end", "least squares never", "zero output layer, least squares end",
    }  # fmt: skip


def test_the_cost_of_a_pass(monkeypatch):
    monkeypatch.setattr(ablate_training, "SIDE", 12)
    monkeypatch.setattr(ablate_training, "PARAMS", 1500)
    rows = {"a": {}, "b": {"batch": [9, 18]}}
    (start, each), (_, other) = ablate_costs.one_round(rows, ablate_training.picture("camera256")).values()
    assert min(start, each, other) > 0
    half_passes = list(ablate_costs.laps({"batch": [9]}, ablate_training.picture("camera256")))
    assert [passes for _, passes in half_passes] == [9 / 144, *[72 / 144] * 7]


def fingerprint(name):
    """All that a row may change, as a run begins; and whether two steps change the weights."""
    signal = ablate_training.picture("camera256")
    trainer, about = ablate_training.trainer_for(ROWS[name], signal, passes=4, seed=0)
    layers, sampler = trainer.model.layers, trainer.sampler
    before = [p.detach().clone() for p in trainer.parameters]
    found = (
        about["lr"], about["batch_points"], trainer.settings, type(trainer.optimizer), type(sampler),
        getattr(sampler, "chosen", None), [group["lr"] for group in trainer.optimizer.param_groups],
        [(layer.family, layer.omega) for layer in layers], [p.tolist() for p in before],
    )  # fmt: skip
    steps = trainer.run()
    next(steps), next(steps)
    return found, any(not torch.equal(a, b) for a, b in zip(before, trainer.parameters, strict=True))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(ablate_training, "SIDE", 16)
    monkeypatch.setattr(ablate_training, "PARAMS", 1500)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "default"])
def test_every_row_trains_and_changes_something(name, small):
    (found, trains), (default, _) = fingerprint(name), fingerprint("default")
    assert trains
    assert found != default
