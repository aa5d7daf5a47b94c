"""Running jobs side by side on this machine: some threads, each waiting for a process of its own."""

import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from lrnn_cli.studies.jobs import Job, State
from lrnn_cli.studies.run_job import PROGRAM
from lrnn_cli.studies.run_stack import form_units, run_unit
from lrnn_cli.studies.warm import warm_kernel

_POLL_S = 0.2


def visible_gpus() -> list[str]:
    """Return the GPUs that jobs may use: those of CUDA_VISIBLE_DEVICES, else those that nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(k) for k in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def slot_environments(count: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Return the variables of each place where a job may run: one GPU each, in turn.

    Args:
        count: jobs at once.
        gpus: names of the GPUs; empty for none.

    Returns:
        count dicts; empty ones without a GPU.
    """
    return [{"CUDA_VISIBLE_DEVICES": gpus[k % len(gpus)]} if gpus else {} for k in range(count)]


def threads_each(count: int) -> int:
    """Return the CPU threads for each of so many jobs at once: the cores divided, at least one."""
    return max(1, len(os.sched_getaffinity(0)) // count)


class LocalRunner:
    """Runs jobs in so many places at once.

    Args:
        root: folder of the study.
        count: jobs at once.
        program: how to start lrnn.
        threads: CPU threads of each; None divides the cores among them.
        stack: most jobs that one process fits in one batch.
    """

    def __init__(
        self,
        root: Path,
        count: int,
        program: Sequence[str] = PROGRAM,
        *,
        threads: int | None = None,
        stack: int = 1,
    ) -> None:
        self.root, self.count, self.program = root, count, program
        self.threads, self.stack = threads or threads_each(count), stack
        self._slots: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for environment in slot_environments(count, visible_gpus()):
            self._slots.put(environment)
        self._stopping = threading.Event()

    def run(self, jobs: Sequence[Job], should_stop: Callable[[], bool]) -> Generator[tuple[Job, State]]:
        """Run the jobs, yielding each as it ends; when asked to stop, let those running save their state.

        Args:
            jobs: what to run.
            should_stop: asked a few times a second.

        Yields:
            a job and how it stands now; jobs that were not begun are left out.
        """
        if self.program == PROGRAM:
            warm_kernel(jobs)
        with ThreadPoolExecutor(self.count) as pool:
            units = form_units(jobs, self.stack, self.root)
            pending: dict[Future[list[State]], list[Job]] = {
                pool.submit(self._one, unit): unit for unit in units
            }
            try:
                while pending:
                    done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from zip(pending.pop(future), future.result(), strict=False)
                    if should_stop():
                        self._stopping.set()
            finally:
                self._stopping.set()  # whatever went wrong, nothing is left running behind

    def _one(self, unit: list[Job]) -> list[State]:
        if self._stopping.is_set():
            return []
        environment = self._slots.get()
        try:
            return run_unit(
                unit,
                self.root,
                program=self.program,
                threads=self.threads,
                env=environment,
                should_stop=self._stopping.is_set,
            )
        finally:
            self._slots.put(environment)
