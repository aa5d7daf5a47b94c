"""Many small signals fitted in one batch: equal networks on a model axis, one step for all of them at once.

The weights of K networks of one architecture are stacked, W: (K, …), and the gradient of all K losses is one
batched evaluation (`torch.func.vmap` over `functional_call`): matrix products become batched ones, and the
cost of starting an operation, which dominates small networks, is paid once instead of K times. Each network
keeps its own data and its own batches; nothing is shared, so that the results are those of K separate runs up
to rounding. Product layers run on the reference engine, the one that can be batched.

What cannot go in step is not done here: a network whose loss breaks out, is not finite or does not fall is
taken out and reported, to be fitted alone, where the guard can go back.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.cuda_graph import Recorded
from lrnn_cli.fitting.device_steps import READ_EVERY, suits
from lrnn_cli.fitting.guard import SMOOTHING, Guard, Verdict
from lrnn_cli.fitting.least_squares import RIDGE, solve_head, start_points, training_loss
from lrnn_cli.fitting.loop import SNAPSHOT_EVERY, Step
from lrnn_cli.fitting.optimizers import DEFAULT, make_optimizer
from lrnn_cli.fitting.sampling import BatchSampler
from lrnn_cli.fitting.schedule import rate_factor
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.contract import CoordinateModel, use_engine
from lrnn_cli.objectives.samples import Samples

Listener = Callable[[int, Step], None]


@dataclass
class Member:
    """One network of a stack with its data.

    Attributes:
        model: changed in place.
        samples: on the same device and in the same precision.
        seed: of its batches.
        loss: of the final weights over all points, normalised; NaN before the fit.
        trouble: why it has to be fitted alone; empty when it went well.
        good_loss: smoothed loss of the state that is kept to go back to; infinite where there is none.
    """

    model: CoordinateModel
    samples: Samples
    seed: int
    loss: float = math.nan
    trouble: str = ""
    good_loss: float = math.inf


def fit_stacked(
    members: Sequence[Member],
    settings: FitSettings,
    runner: BlockRunner,
    *,
    lr: float,
    lstsq: Sequence[str] = (),
    batch_points: int,
    start_ridge: float = RIDGE,
    listener: Listener = lambda member, step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Fit all members for the same number of steps, as `loop.Trainer` fits each of them.

    The seconds of a step are those of the batch divided by the number of members: what one fit costs.

    Args:
        members: networks of one architecture; their models, losses and troubles are filled in.
        settings: a budget of steps; optimiser, schedule, warm-up and guard.
        runner: evaluates the least-squares solutions.
        lr: peak learning rate.
        lstsq: when to solve the output layers: any of start and end.
        batch_points: points of a step, of each member.
        start_ridge: of the solutions before step 1.
        listener: called with the number of a member and its step.
        should_stop: asked before every step; the weights are then of no use.

    Returns:
        whether all steps were done.

    Raises:
        ConfigError: when the settings or the members cannot go in step.
    """
    _check(members, settings, lstsq)
    began = time.perf_counter()
    for member in members if "start" in lstsq else ():
        points = start_points(member.model, member.samples, member.seed)
        solve_head(member.model, member.samples, runner, points, ridge=start_ridge)
    stack = _Stack(members, settings, lr, runner)
    samplers = [BatchSampler(m.samples.n_points, batch_points, m.seed, runner.device) for m in members]
    guards = [Guard(m.samples.variance(), settings.guard) for m in members]
    smoothing = 0.0 if samplers[0].is_full else SMOOTHING
    steps = settings.steps or 0
    read_every = READ_EVERY if stack.on_device else 1
    unread: list[tuple[int, float]] = []  # steps whose losses are not read yet, and their rates
    indices = torch.stack([sampler.next() for sampler in samplers])
    for step in range(steps):
        if should_stop():
            return False
        rate = lr * rate_factor(
            settings.schedule, progress=step / steps, step=step, warmup_steps=settings.warmup_steps
        )
        if step > 0 and not samplers[0].is_full:
            indices = torch.stack([sampler.next() for sampler in samplers])
        if stack.on_device:
            stack.launch(indices, rate)
        else:
            stack.gradient(indices)
        unread.append((step, rate))
        if step > 0 and len(unread) < read_every and step + 1 < steps:
            continue
        seconds, event = (time.perf_counter() - began) / len(members), stack.told()
        for (past, past_rate), losses, norms in zip(unread, *stack.read(), strict=True):
            for k, (member, guard) in enumerate(zip(members, guards, strict=True)):
                if member.trouble:
                    continue
                loss = losses[k] if math.isfinite(norms[k]) else math.nan
                verdict = guard.observe(loss, smoothing=smoothing, progress=past / steps)
                if verdict is not Verdict.FINE:
                    member.trouble = str(verdict)
                    stack.take_out(k)
                    continue
                psnr = member.samples.psnr_db(guard.smooth_loss)
                speed = (past + 1) / seconds
                listener(k, Step(past + 1, losses[k], psnr, past_rate, seconds, speed, past / steps, event))
            event = None
        if stack.on_device or step % SNAPSHOT_EVERY == 0:
            good = [
                k
                for k, (member, guard) in enumerate(zip(members, guards, strict=True))
                if not member.trouble and guard.smooth_loss <= 1.2 * guard.best_loss
            ]
            stack.keep(good)
            for k in good:
                members[k].good_loss = guards[k].smooth_loss
        if not stack.on_device:
            stack.update(rate)
        unread.clear()
    for k, member in enumerate(members):
        stack.give_back(k, member.model)
        if not member.trouble:
            _finish(member, stack.kept(k), runner, "end" in lstsq)
    return True


def _check(members: Sequence[Member], settings: FitSettings, lstsq: Sequence[str]) -> None:
    if not members:
        raise ConfigError("a stack needs at least one network")
    if settings.steps is None or settings.time_s is not None or settings.until is not None:
        raise ConfigError(
            "a stack goes in step: it takes a budget of --steps alone, no --time and no --until"
        )
    if "plateau" in lstsq:
        raise ConfigError("a stack goes in step: --lstsq takes start and end, not plateau")
    shapes = [{key: tuple(v.shape) for key, v in m.model.state_dict().items()} for m in members]
    if any(shape != shapes[0] for shape in shapes) or len({type(m.model) for m in members}) > 1:
        raise ConfigError("a stack takes networks of one architecture and size")
    if len({(m.samples.n_points, m.samples.n_outputs) for m in members}) > 1:
        raise ConfigError("a stack takes signals of one number of points and channels")


def _finish(member: Member, good: list[Tensor], runner: BlockRunner, solve: bool) -> None:
    """Solve the output layer where asked, then keep the better of the last and the last good state."""
    model, samples = member.model, member.samples
    loss = solve_head(model, samples, runner, None)[1] if solve else training_loss(model, samples, runner)
    if not loss <= 1.05 * member.good_loss:
        last = [p.detach().clone() for p in model.parameters()]
        _assign(model, good)
        earlier = training_loss(model, samples, runner)
        if earlier < loss or not math.isfinite(loss):
            loss = earlier
        else:
            _assign(model, last)
    member.loss = loss


def _assign(model: CoordinateModel, weights: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights, strict=True):
            parameter.copy_(value)


def _all_coords(samples: Sequence[Samples]) -> Tensor:
    """Return the coordinates of all points (K, n, d), stored once where all networks have the same."""
    every = torch.arange(samples[0].n_points, device=samples[0].targets.device)
    first = samples[0].coords(every)
    if all(torch.equal(one.coords(every), first) for one in samples[1:]):
        return first.expand(len(samples), *first.shape)
    return torch.stack([one.coords(every) for one in samples])


class _Stack:
    """The stacked weights of K networks, held by the parameters of a copy of the first, each (K, …).

    Where the steps can stay on a GPU, gradient and update are played as one CUDA graph, as in `device_steps`.
    """

    def __init__(
        self, members: Sequence[Member], settings: FitSettings, lr: float, runner: BlockRunner
    ) -> None:
        first = members[0].model
        name = settings.optimizer or DEFAULT
        self.on_device = suits(runner, name)
        self.limit = settings.clip_norm
        self.body = copy.deepcopy(first)  # evaluated with one slice of the stack at a time
        use_engine(self.body, "reference")
        model = copy.deepcopy(first)
        # the optimiser comes first: the factors of its rates may depend on the sizes of a single network
        self.optimizer = make_optimizer(name, model, lr, beta2=settings.beta2, on_device=self.on_device)
        for key, parameter in model.named_parameters():
            parameter.data = torch.stack([m.model.get_parameter(key).detach() for m in members])
        self.buffers = {
            key: torch.stack([dict(m.model.named_buffers())[key] for m in members])
            for key, _ in first.named_buffers()
        }
        self.parameters = dict(model.named_parameters())
        self.saved = [p.detach().clone() for p in self.parameters.values()]
        self.targets = torch.stack([m.samples.targets for m in members])
        for k, member in enumerate(members):  # no second copy of the data
            member.samples.targets = self.targets[k]
        self.coords = _all_coords([m.samples for m in members])
        self.numbers = torch.arange(len(members), device=self.targets.device)[:, None]
        self.going = torch.ones_like(self.targets[:, 0, 0])  # 0 for a network that was taken out
        self.found: list[Tensor] = []  # losses and norms (2, K) of the steps that were not read
        self._gradient = vmap(grad_and_value(self._loss))
        self._step = Recorded(self._whole_step, runner.device)
        self._indices: Tensor | None = None
        self._last: Tensor | None = None  # given last, so that the same is not copied again
        self._result = torch.zeros(2, len(members), device=self.going.device, dtype=self.going.dtype)

    def _loss(
        self, weights: dict[str, Tensor], buffers: dict[str, Tensor], coords: Tensor, targets: Tensor
    ) -> Tensor:
        prediction = functional_call(self.body, (weights, buffers), (coords,))
        return (prediction - targets).square().sum() / targets.numel()

    def gradient(self, indices: Tensor) -> None:
        """Set the gradients at these points (K, batch); `read` has the losses and norms."""
        self._indices = indices
        self._set_gradients()
        self.found.append(self._result.clone())

    def launch(self, indices: Tensor, lr: float) -> None:
        """Launch gradient and update on the device; `read` has the losses and norms."""
        if self._indices is None:
            self._indices = indices.clone()
        elif indices is not self._last:
            self._indices.copy_(indices)
        self._last = indices
        for group in self.optimizer.param_groups:
            group["lr"].fill_(lr * group["factor"])
        self._step()
        self.found.append(self._result.clone())

    def _whole_step(self) -> None:
        self._set_gradients()
        self._clip_and_update()

    def _set_gradients(self) -> None:
        coords, targets = self.coords[self.numbers, self._indices], self.targets[self.numbers, self._indices]
        weights = {key: p.detach() for key, p in self.parameters.items()}
        found, losses = self._gradient(weights, self.buffers, coords, targets)
        for key, parameter in self.parameters.items():
            parameter.grad = found[key]
        squares = torch.stack([g.flatten(1).square().sum(1) for g in found.values()])
        self._result.copy_(torch.stack([losses, squares.sum(0).sqrt()]))

    def update(self, lr: float) -> None:
        """Do a step of the optimiser at this rate, for networks that are in and whose loss is finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["factor"]
        self._clip_and_update()

    def _clip_and_update(self) -> None:
        losses, norms = self._result
        scales = torch.ones_like(norms) if self.limit is None else (self.limit / norms).clamp(max=1.0)
        goes = (self.going > 0) & (losses + norms).isfinite()
        for parameter in self.parameters.values():
            assert parameter.grad is not None
            shape = (-1, *[1] * (parameter.dim() - 1))
            parameter.grad.mul_(scales.view(shape))
            parameter.grad.masked_fill_(~goes.view(shape), 0.0)
        self.optimizer.step()

    def read(self) -> tuple[list[list[float]], list[list[float]]]:
        """Return losses and norms of the steps since the last reading, step by step, network by network."""
        losses, norms = torch.stack(self.found, 1).tolist()
        self.found.clear()
        return losses, norms

    def told(self) -> str | None:
        """Return what there is to tell of the graphs, once."""
        return self._step.told()

    def take_out(self, k: int) -> None:
        """Give a network no gradient from now on."""
        self.going[k] = 0.0

    def keep(self, good: list[int]) -> None:
        """Keep the weights of these networks, to go back to."""
        with torch.no_grad():
            for saved, parameter in zip(self.saved, self.parameters.values(), strict=True):
                saved[good] = parameter[good]

    def kept(self, k: int) -> list[Tensor]:
        """Return the weights that were kept of a network."""
        return [saved[k] for saved in self.saved]

    def give_back(self, k: int, model: CoordinateModel) -> None:
        """Write the weights of one network into its model."""
        _assign(model, [p.detach()[k] for p in self.parameters.values()])
