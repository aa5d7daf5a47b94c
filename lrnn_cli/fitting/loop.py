"""Training as a generator of step records. It neither prints nor saves: bar, log, checkpoint consume it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.errors import FitError
from lrnn_cli.fitting.backward import BackwardSwitch
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.device_steps import READ_EVERY, DeviceSteps, suits
from lrnn_cli.fitting.guard import SMOOTHING, Guard, Verdict
from lrnn_cli.fitting.least_squares import LARGEST_HEAD, RIDGE, solve_head, start_points, training_loss
from lrnn_cli.fitting.optimizers import DEFAULT, load_state, make_optimizer
from lrnn_cli.fitting.outcome import Outcome
from lrnn_cli.fitting.sampling import BatchSampler
from lrnn_cli.fitting.schedule import rate_factor
from lrnn_cli.fitting.settings import FitSettings, parse_target
from lrnn_cli.fitting.snapshot import Snapshot, copies, put_back, take_snapshot
from lrnn_cli.kernels.precision import Precision
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.objectives.samples import Samples

SNAPSHOT_EVERY = 20  # steps between copies of a good state
MAX_RETURNS = 12  # to a good state or a fresh start, before giving up
BACK_FACTOR = 0.5  # on the rate after going back
FRESH_FACTOR = 0.3  # on the rate after a start that learned nothing
END_SHARE = 0.25  # of a budget of time that solving the output layer at the end may add
PLATEAU_STEPS = 100
PLATEAU_GAIN = 0.98


@dataclass(frozen=True)
class Step:
    """One step of training, for whoever listens.

    `loss` is the normalised mean squared error of the batch before the step, `psnr_db` that of its running
    mean, both of the training data; `event` says what else happened, in words for the user.
    """

    step: int
    loss: float
    psnr_db: float
    lr: float
    seconds: float
    steps_per_s: float
    progress: float
    event: str | None = None


@dataclass
class Counts:
    """What went wrong and was mended, for metrics.json."""

    rollbacks: int = 0
    fresh_starts: int = 0
    out_of_memory: int = 0


class Trainer:
    """Fits a model to samples; iterate over `run()`, then read `outcome`, `counts`, `final_loss`."""

    def __init__(
        self,
        model: CoordinateModel,
        samples: Samples,
        settings: FitSettings,
        runner: BlockRunner,
        *,
        lr: float,
        lstsq: Sequence[str],
        batch_points: int,
        fresh: Callable[[int], CoordinateModel],
        backward: Precision = "full",
        start_ridge: float = RIDGE,
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            model: changed in place.
            samples: on the same device and in the same precision as the model.
            settings: budget, schedule, safety.
            runner: blocks and threads.
            lr: peak learning rate.
            lstsq: when to solve the output layer: any of start, plateau, end.
            batch_points: points per step, at most all of them.
            fresh: builds the model anew from another seed, for a start that learned nothing.
            backward: precision of the products of the backward pass, until it would show.
            start_ridge: of the solution before step 1, in parts of the features' mean square.
        """
        self.model, self.samples, self.settings, self.runner, self.lr = model, samples, settings, runner, lr
        self.group = runner.group
        self.fresh, self.lstsq, self.start_ridge = fresh, frozenset(lstsq), start_ridge
        self.parameters = list(model.parameters())
        self.device_steps: DeviceSteps | None = None
        self.optimizer_name = settings.optimizer or DEFAULT
        self.optimizer = self._new_optimizer()
        self.sampler = BatchSampler(samples.n_points, batch_points, settings.seed, samples.targets.device)
        self.guard = Guard(samples.variance(), settings.guard)
        self.counts = Counts()
        self.snapshot: Snapshot | None = None
        self.step, self.lr_scale, self.elapsed = 0, 1.0, 0.0
        self.plateau_step, self.plateau_loss = 0, math.inf
        self.outcome: Outcome | None = None
        self.final_loss = math.nan
        self._event: list[str] = []
        self._loss = math.nan
        self._target_mse = self._read_target(settings.until)
        self.next_check = math.inf
        self.backward = BackwardSwitch(model, samples, backward)

    def _read_target(self, until: str | None) -> float:
        """Return the training loss that `--until` asks for; -1 when it asks for nothing."""
        if until is None:
            return -1.0
        kind, value = parse_target(until)
        mse = self.samples.peak**2 * (10 ** (-value / 10) if kind == "psnr_db" else value)
        return mse / self.samples.scale**2

    def use_optimizer(self, name: str, lr: float) -> None:
        """Go on with another optimiser, its state empty, and peak learning rate."""
        self.optimizer_name, self.lr = name, lr
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Optimizer:
        settings, name = self.settings, self.optimizer_name
        on_device = suits(self.runner, name)
        optimizer = make_optimizer(name, self.model, self.lr, beta2=settings.beta2, on_device=on_device)
        if self.device_steps is not None:
            self.device_steps.work.forget()  # the graph of a network that is given up holds memory
            self.device_steps = None
        if on_device:
            self.device_steps = DeviceSteps(
                self.model, self.samples, self.runner, optimizer, clip_norm=settings.clip_norm
            )
        return optimizer

    def progress(self) -> float:
        """Return the part of the budget used: the larger of the parts of steps and of time."""
        settings = self.settings
        by_steps = self.step / settings.steps if settings.steps else 0.0
        return max(by_steps, self.elapsed / settings.time_s if settings.time_s else 0.0)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Step]:
        """Train to the end of the budget, yielding a record per step.

        Args:
            should_stop: asked before every step; True ends the run as interrupted, ready to be resumed.

        Yields:
            the record of each step, and a last one where something happened after the last step.

        Raises:
            DeviceError: when memory runs out even with the smallest blocks.
            FitError: when the very first losses are not finite, so that there is no good state to keep.
        """
        clock = time.perf_counter() - self.elapsed
        if self.step == 0 and "start" in self.lstsq:
            self._solve_start("at the start")
        while True:
            stop = self._agree(clock, should_stop())
            progress = self.progress()
            if progress >= 1:
                self.outcome = Outcome.BUDGET
                break
            if stop:
                self.outcome = Outcome.INTERRUPTED
                return
            lr = self._step(progress)
            if self.outcome is not None:
                break
            self.elapsed = time.perf_counter() - clock
            yield self._record(lr, progress)
            if self._target_reached():
                self.outcome = Outcome.TARGET
                break
        self._agree(clock, False)
        if self.device_steps is not None and self.outcome is not Outcome.DIVERGED:
            self._judge(self.device_steps, 1.0)
        self._finish()
        self.elapsed = time.perf_counter() - clock
        if self._event:
            yield self._record(0.0, 1.0)

    def _agree(self, clock: float, stop: bool) -> bool:
        """Read the clock, the latest of all processes; tell whether any of them is to stop."""
        self.elapsed, wish = self.group.largest([time.perf_counter() - clock, float(stop)])
        return wish > 0

    def _record(self, lr: float, progress: float) -> Step:
        event, self._event = "; ".join(self._event) or None, []
        speed = self.step / self.elapsed if self.elapsed > 0 else 0.0
        smooth = self.guard.smooth_loss
        psnr = self.samples.psnr_db(smooth) if math.isfinite(smooth) else math.nan
        return Step(self.step, self._loss, psnr, lr, self.elapsed, speed, progress, event)

    def _step(self, progress: float) -> float:
        """Do one step: batch, gradient, judgement, update. Return the learning rate used."""
        settings = self.settings
        factor = rate_factor(
            settings.schedule, progress=progress, step=self.step, warmup_steps=settings.warmup_steps
        )
        lr = self.lr * factor * self.lr_scale
        if switched := self.backward.watch(self.step, self.guard.smooth_loss):
            self._event.append(switched)
            if self.device_steps is not None:
                self.device_steps.work.forget()
        indices, blocks_before = self.sampler.next(), self.runner.block_points
        if self.device_steps is not None:
            self._launch(self.device_steps, indices, lr, progress)
            self._note_memory(blocks_before)
            return lr
        self._loss, gradients = self.runner.with_less_memory(lambda: self._gradient(indices))
        self._loss = self.group.total(self._loss, gradients)
        self._note_memory(blocks_before)
        norm = float(torch.nn.utils.get_total_norm(gradients))
        smoothing = 0.0 if self.sampler.is_full else SMOOTHING
        loss = self._loss if math.isfinite(norm) else math.nan
        verdict = self.guard.observe(loss, smoothing=smoothing, progress=progress)
        if verdict is not Verdict.FINE:
            self._go_back(verdict)
            self.step += 1
            return lr
        if self.step % SNAPSHOT_EVERY == 0 and self.guard.smooth_loss <= 1.2 * self.guard.best_loss:
            self.snapshot = self._take_snapshot()
        if settings.clip_norm is not None and norm > settings.clip_norm:
            torch._foreach_mul_(gradients, settings.clip_norm / norm)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["factor"]
        self.optimizer.step()
        self.step += 1
        if "plateau" in self.lstsq:
            self._watch_plateau()
        return lr

    def _note_memory(self, blocks_before: int) -> None:
        if self.runner.block_points < blocks_before:
            self.counts.out_of_memory += 1
            self._event.append(f"out of memory: blocks of {self.runner.block_points} points from here on")

    def _launch(self, steps: DeviceSteps, indices: Tensor, lr: float, progress: float) -> None:
        """Launch a step on the device; from time to time read and judge the losses of the last ones."""
        steps.launch(indices, lr)
        self.step += 1
        if self.step == 1 or steps.pending == READ_EVERY:
            self._judge(steps, progress)
        if "plateau" in self.lstsq:
            self._watch_plateau()

    def _judge(self, steps: DeviceSteps, progress: float) -> None:
        """Judge the losses read from the device; the state is copied, or restored, as it is by now."""
        smoothing = 0.0 if self.sampler.is_full else SMOOTHING
        for self._loss, norm in steps.read():
            loss = self._loss if math.isfinite(norm) else math.nan
            verdict = self.guard.observe(loss, smoothing=smoothing, progress=progress)
            if verdict is not Verdict.FINE:
                self._go_back(verdict)
                return
        if self.guard.smooth_loss <= 1.2 * self.guard.best_loss:
            self.snapshot = self._take_snapshot()
        if note := steps.work.told():
            self._event.append(note)

    def _gradient(self, indices: Tensor) -> tuple[float, list[Tensor]]:
        """Return the mean loss over the batch and its gradient, summed over blocks in their order.

        Of several processes each returns the part of its share of the batch.
        """

        def block(part: Tensor) -> tuple[float, tuple[Tensor, ...]]:
            with torch.enable_grad():
                error = self.samples.squared_error(self.model(self.samples.coords(part)), part)
                gradients = torch.autograd.grad(error / len(indices), self.parameters)
            return float(error.detach()) / len(indices), gradients

        loss = 0.0
        total: list[Tensor] = []
        mine = indices[self.group.share(len(indices))]
        for error, gradients in self.runner.map(block, mine.split(self.runner.block_points)):
            loss += error
            if total:
                torch._foreach_add_(total, list(gradients))
            else:
                total = [g.clone() for g in gradients]
        return loss, total

    def _go_back(self, verdict: Verdict) -> None:
        """Go back to the last good state or, nothing learned, start afresh, at a lower rate; or give up."""
        returns = self.counts.rollbacks + self.counts.fresh_starts
        snapshot = self.snapshot
        learned = snapshot is not None and snapshot.smooth_loss < 0.8 * self.guard.variance
        give_up = returns >= MAX_RETURNS or not self.settings.guard
        if snapshot is not None and (learned or verdict is not Verdict.DEAD or give_up):
            self._restore(snapshot)
            self.guard.went_back(snapshot.smooth_loss)
            self.counts.rollbacks += 1
            self.lr_scale *= BACK_FACTOR
            further = "and no further" if give_up else f"learning rate x {BACK_FACTOR}"
            self._event.append(f"{verdict}: back to step {snapshot.step}, {further}")
        elif not give_up:
            self.counts.fresh_starts += 1
            self.lr_scale *= FRESH_FACTOR
            self._start_afresh()
            self._event.append(f"{verdict}: fresh start, learning rate x {FRESH_FACTOR}")
        elif snapshot is None:
            raise FitError(
                f"{verdict} from the very first step; use a lower --lr or another --sigma, or check the input"
            )
        if give_up:
            self.outcome = Outcome.DIVERGED

    def _start_afresh(self) -> None:
        new = self.fresh(self.counts.fresh_starts)
        put_back(self.parameters, list(new.parameters()))
        self.optimizer = self._new_optimizer()
        self.snapshot = None
        self.guard.went_back(math.inf)
        if "start" in self.lstsq:
            self._solve_start("at the fresh start")

    def _take_snapshot(self) -> Snapshot:
        return take_snapshot(self.step, self.guard.smooth_loss, self.parameters, self.optimizer)

    def _restore(self, snapshot: Snapshot) -> None:
        put_back(self.parameters, snapshot.weights)
        self.load_optimizer(snapshot.optimizer)

    def load_optimizer(self, state: dict[int, dict[str, Any]]) -> None:
        """Give the optimiser a copy of a state."""
        load_state(self.optimizer, state)
        if self.device_steps is not None:
            self.device_steps.work.forget()

    def _solve_start(self, when: str) -> None:
        """Solve the output layer of a network that has learned nothing yet."""
        points = start_points(self.model, self.samples, self.settings.seed)
        self._solve_head(when, points, ridge=self.start_ridge)

    def _solve_head(self, when: str, points: Tensor | None = None, **options: float) -> float:
        """Solve the output layer over all points, or those given; return the loss over them afterwards."""
        before, after = self.runner.with_less_memory(
            lambda: solve_head(self.model, self.samples, self.runner, points, **options)
        )
        if self.model.head.in_features > LARGEST_HEAD:
            too_large = f"over {LARGEST_HEAD} features"
            self._event.append(f"output layer not solved by least squares {when}: {too_large}")
            return after
        gain = f"{self.samples.psnr_db(before):.2f} to {self.samples.psnr_db(after):.2f} dB"
        part = "" if points is None else f" over {len(points)} points"
        self._event.append(f"output layer solved by least squares {when}{part}: {gain}")
        return after

    def _affordable(self) -> bool:
        """Tell whether solving over all points at the end fits into a budget of time; steps set no limit."""
        # a step costs about three evaluations of its points, a solution two evaluations of all points
        if self.settings.time_s is None or self.step == 0:
            return True
        per_point = self.elapsed / (self.step * self.sampler.batch_points) / 3
        return 2 * self.samples.n_points * per_point <= END_SHARE * self.settings.time_s

    def _watch_plateau(self) -> None:
        if self.guard.best_loss < PLATEAU_GAIN * self.plateau_loss:
            self.plateau_step, self.plateau_loss = self.step, self.guard.best_loss
        elif self.step - self.plateau_step >= PLATEAU_STEPS:
            self._solve_head("on a plateau")
            self.plateau_step, self.plateau_loss = self.step, self.guard.best_loss

    def _target_reached(self) -> bool:
        """Tell whether the target holds over all points, asked only once the running mean says so."""
        if self.guard.smooth_loss > min(self._target_mse, self.next_check):
            return False
        loss = training_loss(self.model, self.samples, self.runner)
        self.next_check = 0.98 * self.guard.smooth_loss
        return loss <= self._target_mse

    def _finish(self) -> None:
        """Solve the output layer where asked, then keep the better of the last and the last good state."""
        if self.outcome is not Outcome.DIVERGED and "end" in self.lstsq and self._affordable():
            loss = self._solve_head("at the end")
        else:
            loss = self.runner.with_less_memory(lambda: training_loss(self.model, self.samples, self.runner))
        if self.snapshot is not None and not loss <= 1.05 * self.snapshot.smooth_loss:
            weights = copies(self.parameters)
            self._restore(self.snapshot)
            earlier = training_loss(self.model, self.samples, self.runner)
            if earlier < loss or not math.isfinite(loss):
                loss = earlier
                self._event.append(f"kept the better state of step {self.snapshot.step}")
            else:
                put_back(self.parameters, weights)
        self.final_loss = loss
        if not math.isfinite(self._loss):  # no step was left after resuming, or the last one diverged
            self._loss = loss
