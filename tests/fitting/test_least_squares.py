"""The exact output layer: never worse, and numpy's solution where there is one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.least_squares import solve_head, training_loss
from tests import references
from tests.fitting.support import CPU, SIREN, Table, make_trainer, picture, samples_of

LAW = settings(max_examples=100)
COLUMNS = st.sampled_from(["random", "same", "constant", "zero", "huge", "tiny", "one-hot", "nearly same"])


def features_of(kinds, n, seed):
    """A table with columns of these kinds."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal(n)
    columns = {
        "random": lambda: rng.standard_normal(n),
        "same": lambda: first,
        "constant": lambda: np.full(n, 3.7),
        "zero": lambda: np.zeros(n),
        "huge": lambda: 1e6 * rng.standard_normal(n),
        "tiny": lambda: 1e-6 * rng.standard_normal(n),
        "one-hot": lambda: np.eye(n)[rng.integers(n)],
        "nearly same": lambda: first + 1e-7 * rng.standard_normal(n),
    }
    return torch.from_numpy(np.stack([columns[kind]() for kind in kinds], 1))


def problem(kinds, n, n_outputs, seed, dtype=torch.float64):
    torch.manual_seed(seed)
    model = Table(features_of(kinds, n, seed).to(dtype), n_outputs)
    values = torch.from_numpy(np.random.default_rng(seed + 1).random((n, n_outputs)))
    return model, samples_of(values, dtype)


@LAW
@given(
    st.lists(COLUMNS, min_size=1, max_size=8),
    st.integers(1, 30),
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(0, 10**6),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_the_loss_never_rises(kinds, n, n_outputs, block, seed, dtype):
    model, samples = problem(kinds, n, n_outputs, seed, dtype)
    runner = BlockRunner(CPU, block_points=block)
    table = model.table.detach().clone()
    start = training_loss(model, samples, runner)
    before, after = solve_head(model, samples, runner)
    assert before == pytest.approx(start, rel=1e-5)
    assert after <= before
    assert training_loss(model, samples, runner) == pytest.approx(after, rel=1e-5)
    again, once_more = solve_head(model, samples, runner)
    assert once_more <= again
    assert torch.equal(model.table, table)  # only the head changes


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 10**6))
def test_the_solution_is_that_of_numpy(n_features, n_outputs, seed):
    model, samples = problem(["random"] * n_features, 40, n_outputs, seed)
    _, after = solve_head(model, samples, BlockRunner(CPU, block_points=7))
    design = np.hstack([model.table.detach().numpy(), np.ones((40, 1))])
    targets = samples.targets.numpy()
    solution = np.linalg.lstsq(design, targets, rcond=None)[0]
    np.testing.assert_allclose(model.head.weight.detach().numpy().T, solution[:-1], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(model.head.bias.detach().numpy(), solution[-1], rtol=1e-6, atol=1e-6)
    assert after == pytest.approx(references.mse(design @ solution, targets), rel=1e-6)


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 3), st.floats(1e-6, 10.0), st.integers(0, 10**6))
def test_a_ridge_is_that_of_the_centred_problem(n_features, n_outputs, ridge, seed):
    """The constant is not penalised, so that centring features and targets leaves plain ridge regression."""
    model, samples = problem(["random"] * n_features, 40, n_outputs, seed)
    with torch.no_grad():  # a start from which every solution gains
        model.head.bias.fill_(100.0)
    solve_head(model, samples, BlockRunner(CPU, block_points=7), ridge=ridge)
    features, targets = model.table.detach().numpy(), samples.targets.numpy()
    f, t = features - features.mean(0), targets - targets.mean(0)
    penalty = ridge * np.square(features).sum() / n_features * np.eye(n_features)
    weight = np.linalg.solve(f.T @ f + penalty, f.T @ t)
    bias = targets.mean(0) - features.mean(0) @ weight
    np.testing.assert_allclose(model.head.weight.detach().numpy().T, weight, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.head.bias.detach().numpy(), bias, rtol=1e-8, atol=1e-10)


def test_without_features_the_constant_is_still_solved_for():
    model, samples = problem(["zero"] * 3, 20, 2, seed=0)
    solve_head(model, samples, BlockRunner(CPU))
    np.testing.assert_allclose(model.head.bias.detach().numpy(), samples.targets.numpy().mean(0), rtol=1e-12)


def test_a_start_is_solved_with_a_ridge_of_its_own_and_the_end_without():
    start = make_trainer(picture(), SIREN, dtype=torch.float64, steps=1, lr=1e-30, lstsq=("start",))
    start.start_ridge = 0.1
    end = make_trainer(picture(), SIREN, dtype=torch.float64, steps=1, lr=1e-30, lstsq=("end",))
    for trainer, options in ((start, {"ridge": 0.1}), (end, {})):
        twin = make_trainer(picture(), SIREN, dtype=torch.float64)
        solve_head(twin.model, twin.samples, twin.runner, **options)
        list(trainer.run())
        torch.testing.assert_close(trainer.model.head.weight, twin.model.head.weight)
    sizes = [float(trainer.model.head.weight.detach().norm()) for trainer in (start, end)]
    assert sizes[0] < 0.6 * sizes[1]


def test_part_of_the_points():
    model, samples = problem(["random"] * 3, 40, 1, seed=0)
    some = torch.tensor([3, 5, 7, 11, 13, 17, 19, 23, 3])
    runner = BlockRunner(CPU, block_points=4)
    before, after = solve_head(model, samples, runner, some)
    design = np.hstack([model.table.detach().numpy(), np.ones((40, 1))])[some]
    solution = np.linalg.lstsq(design, samples.targets.numpy()[some], rcond=None)[0]
    np.testing.assert_allclose(model.head.weight.detach().numpy().T, solution[:-1], rtol=1e-6, atol=1e-6)
    assert after < before
    assert after == training_loss(model, samples, runner, some) != training_loss(model, samples, runner)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_change_nothing(value):
    model, samples = problem(["random"] * 3, 40, 1, seed=0)
    with torch.no_grad():
        model.table[7, 1] = value
    before = [t.clone() for t in model.head.state_dict().values()]
    solve_head(model, samples, BlockRunner(CPU))
    assert all(torch.equal(a, b) for a, b in zip(before, model.head.state_dict().values(), strict=True))


def test_the_training_loss_is_the_mean_over_points_and_channels():
    trainer = make_trainer(picture(9, 7, 3), SIREN, dtype=torch.float64)
    samples = trainer.samples
    with torch.no_grad():
        prediction = trainer.model(samples.coords(torch.arange(63)))
    expected = references.mse(prediction.numpy(), samples.targets.numpy())
    for block in (1, 10, 100):
        loss = training_loss(trainer.model, samples, BlockRunner(CPU, block_points=block))
        assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_for_any_number_of_threads(threads):
    heads = []
    for n in (1, threads):
        trainer = make_trainer(picture(), SIREN)
        runner = BlockRunner(CPU, threads=n, block_points=32)
        heads.append([solve_head(trainer.model, trainer.samples, runner), trainer.model.head.weight.detach()])
        runner.close()
    assert heads[0][0] == heads[1][0]
    assert torch.equal(heads[0][1], heads[1][1])


def test_a_layer_of_too_many_features_stays_as_it_is(monkeypatch):
    monkeypatch.setattr("lrnn_cli.fitting.least_squares.LARGEST_HEAD", 2)
    model, samples = problem(["random"] * 3, 20, 1, 0)
    weight = model.head.weight.detach().clone()
    before, after = solve_head(model, samples, BlockRunner(CPU))
    assert before == after == pytest.approx(training_loss(model, samples, BlockRunner(CPU)))
    assert torch.equal(model.head.weight, weight)
