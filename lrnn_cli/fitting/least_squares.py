"""The output layer by least squares over all points, for any model that is linear in its last layer."""

import torch
from torch import Tensor

from lrnn_cli.fitting.blocks import BlockRunner, ranges
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.objectives.samples import Samples

LARGEST_HEAD = 4096  # features; the Gram matrix takes their square, once per thread
# Points for a solution before step 1, at least, and per feature: a start needs no more, and all points of a
# picture of 256 x 256 would cost as much as ten steps.
START_POINTS, START_POINTS_PER_FEATURE = 2**14, 32
RIDGE = 1e-9  # relative to the mean square of the features: keeps collinear ones solvable


def training_loss(
    model: CoordinateModel, samples: Samples, runner: BlockRunner, points: Tensor | None = None
) -> float:
    """Return the normalised mean squared error over channels and all points, or those given; float64 sums."""
    n = samples.n_points if points is None else len(points)

    def block_error(span: tuple[int, int]) -> float:
        with torch.no_grad():
            indices = _indices(span, points, samples)
            return float(samples.squared_error(model(samples.coords(indices)), indices))

    total = torch.tensor([sum(runner.map(block_error, _share(n, runner)))], dtype=torch.float64)
    total = total.to(runner.device)
    runner.group.sum_([total])
    return float(total) / n


def _share(n: int, runner: BlockRunner) -> list[tuple[int, int]]:
    """Return the blocks of this process's part of range(n)."""
    mine = runner.group.share(n)
    return [(mine.start + a, mine.start + b) for a, b in ranges(mine.stop - mine.start, runner.block_points)]


def _indices(span: tuple[int, int], points: Tensor | None, samples: Samples) -> Tensor:
    return torch.arange(*span, device=samples.targets.device) if points is None else points[slice(*span)]


def solve_head(
    model: CoordinateModel,
    samples: Samples,
    runner: BlockRunner,
    points: Tensor | None = None,
    *,
    ridge: float = RIDGE,
) -> tuple[float, float]:
    """Replace the output layer by the least-squares solution, unless that would raise the training loss.

    Minimises sum_n |S phi(x_n) + s_0 - t_n|^2 over S and s_0 by the normal equations in float64,
    (F^T F + ridge D) S = F^T T with F = [phi, 1] and D the mean square of the features over all points, times
    their number, on the diagonal but for s_0: the ridge and float32 evaluation can spoil a solution, so the
    loss before and after is measured and the better layer kept. A layer of more than LARGEST_HEAD features
    stays as it is.

    Args:
        model: changed in place.
        samples: the targets.
        runner: blocks and threads.
        points: flat indices of the points that enter, and over which the loss is meant; all when left out.
        ridge: above 0; before step 1 that of the plan (`start_ridge`).

    Returns:
        training loss before and after; after <= before.
    """
    k, dtype, device = model.head.in_features + 1, torch.float64, samples.targets.device
    if k - 1 > LARGEST_HEAD:
        loss = training_loss(model, samples, runner, points)
        return loss, loss
    n = samples.n_points if points is None else len(points)
    gram = torch.zeros(k, k, dtype=dtype, device=device)
    moment = torch.zeros(k, samples.n_outputs, dtype=dtype, device=device)

    def block_moments(span: tuple[int, int]) -> tuple[Tensor, Tensor, float]:
        with torch.no_grad():
            indices = _indices(span, points, samples)
            features = model.features(samples.coords(indices))
            error = float(samples.squared_error(model.head(features), indices))
            f = torch.cat([features, torch.ones_like(features[:, :1])], 1).to(dtype)
            return f.T @ f, f.T @ samples.targets[indices].to(dtype), error

    errors = 0.0
    for f_f, f_t, error in runner.map(block_moments, _share(n, runner)):
        gram += f_f
        moment += f_t
        errors += error
    total = torch.tensor([errors], dtype=dtype, device=device)
    runner.group.sum_([gram, moment, total])
    before = float(total) / n
    squares = gram.diagonal()[:-1]
    squares += ridge * (float(squares.mean()) or 1.0)  # the constant is found where all features are 0, too
    solution, info = torch.linalg.solve_ex(gram, moment)
    if int(info) or not bool(torch.isfinite(solution).all()):
        return before, before
    weight, bias = model.head.weight.detach().clone(), model.head.bias.detach().clone()
    with torch.no_grad():
        model.head.weight.copy_(solution[:-1].T)
        model.head.bias.copy_(solution[-1])
    after = training_loss(model, samples, runner, points)
    if after <= before:
        return before, after
    with torch.no_grad():
        model.head.weight.copy_(weight)
        model.head.bias.copy_(bias)
    return before, before


def start_points(model: CoordinateModel, samples: Samples, seed: int) -> Tensor | None:
    """Return the points for a solution at a start: None for all, or a random part to spare the budget."""
    wanted = max(START_POINTS, START_POINTS_PER_FEATURE * model.head.in_features)
    if samples.n_points <= wanted:
        return None
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(samples.n_points, (wanted,), generator=generator).to(samples.targets.device)
