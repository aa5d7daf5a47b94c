"""Several runs at once: networks of one architecture, fitted in one batch, each with a folder of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import yaml

from lrnn_cli.errors import ConfigError, OutputError
from lrnn_cli.fitting.outcome import Outcome
from lrnn_cli.fitting.stacked import Member, fit_stacked
from lrnn_cli.kernels.dispatch import Engine
from lrnn_cli.models.contract import use_engine
from lrnn_cli.runs import provenance
from lrnn_cli.runs.execute import Request, RunLog, RunResult, finish
from lrnn_cli.runs.folder import RunFolder, atomic_write, write_problem
from lrnn_cli.tasks.regression import Regression


@dataclass(frozen=True)
class Entry:
    """A run of a stack: what is to be done, and a folder that has been claimed for it."""

    request: Request
    folder: RunFolder


def stack_key(request: Request) -> str | None:
    """Return what runs must have in common to be fitted in one batch; None for one that has to go alone.

    The same architecture, the same number of points and channels, the same settings but for the seed.
    """
    plan, fit = request.plan, request.fit
    alone = fit.time_s is not None or fit.until is not None or "plateau" in plan.lstsq or plan.segments
    if alone:
        return None
    settings = fit.model_dump(exclude={"seed", "threads"})
    same = (plan.model_name, plan.config.model_dump(), plan.n_inputs, plan.n_outputs, plan.n_points,
            plan.optimizer, plan.lr, plan.lstsq, plan.start_ridge, plan.batch_points, plan.block_points,
            str(plan.device), settings)  # fmt: skip
    return repr(same)


def execute_stack(
    entries: Sequence[Entry],
    *,
    listener: Callable[[int, Any], None] = lambda member, step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[RunResult | None]:
    """Run a stack.

    Args:
        entries: runs with one `stack_key`.
        listener: called with the number of a run and its step.
        should_stop: asked before each step; nothing but the settings is written then.

    Returns:
        the results; None for a run that has to be made alone, since its loss broke out, was not finite or
        did not fall, and for all when stopped.

    Raises:
        ConfigError: when the runs have not one key.
        OutputError: when something cannot be written.
    """
    keys = {stack_key(entry.request) for entry in entries}
    if len(keys) != 1 or None in keys:
        raise ConfigError("a stack takes runs of one architecture, size and setting, limited by steps alone")
    started = provenance.utc_now()
    first = entries[0].request
    runs = [Regression(e.request.task.signal, e.request.task.transform(), e.request.plan, e.request.fit)
            for e in entries]  # fmt: skip
    torch.set_num_threads(first.plan.threads)  # batched products are large enough to share
    logs = [RunLog(entry.folder, 0) for entry in entries]
    began = time.perf_counter()

    def heard(number: int, step: Any) -> None:
        logs[number](step)
        listener(number, step)

    try:
        for entry in entries:
            settings = yaml.safe_dump(entry.request.settings, sort_keys=False, allow_unicode=True)
            atomic_write(entry.folder.config, settings.encode())
        members = [Member(run.model, run.trainer.samples, run.fit.seed) for run in runs]
        fit = first.fit.model_copy(update={"optimizer": first.plan.optimizer})
        done = fit_stacked(
            members, fit, runs[0].runner, lr=first.plan.lr, lstsq=first.plan.lstsq,
            batch_points=first.plan.batch_points, start_ridge=first.plan.start_ridge, listener=heard,
            should_stop=should_stop,
        )  # fmt: skip
        seconds = (time.perf_counter() - began) / len(runs)
        results: list[RunResult | None] = []
        for entry, run, member, log in zip(entries, runs, members, logs, strict=True):
            if not done or member.trouble:
                results.append(None)
                continue
            _as_trained(run, member, seconds, len(runs))
            results.append(finish(entry.request, run, entry.folder, log, started))
        return results
    except OSError as error:
        raise OutputError(write_problem(entries[0].folder.path, error)) from error
    finally:
        for run in runs:
            run.close()


def _as_trained(run: Regression, member: Member, seconds: float, size: int) -> None:
    """Give a run the state that its own trainer would have at the end."""
    trainer = run.trainer
    trainer.step, trainer.elapsed = run.fit.steps or 0, seconds
    trainer.outcome, trainer.final_loss = Outcome.BUDGET, member.loss
    run.stack = size
    if run.engine.name != "torch":
        run.engine = Engine("reference", f"one of {size} in a stack")
        use_engine(run.model, "reference")
