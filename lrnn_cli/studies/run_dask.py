"""Running jobs on a cluster by dask.distributed: embedded, or one whose scheduler is named.

Workers share a file system with this process and have lrnn installed. Results go by file, never through the
scheduler. A job whose worker was killed is given to another one; since a job is a set of files with a lock,
being given out twice costs nothing (see `run_job`). The wish to stop is a file, too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lrnn_cli import __version__
from lrnn_cli.errors import DeviceError, OutputError
from lrnn_cli.runs.folder import atomic_write
from lrnn_cli.studies.jobs import Job, State
from lrnn_cli.studies.run_job import PROGRAM, note_lost
from lrnn_cli.studies.run_local import slot_environments, visible_gpus
from lrnn_cli.studies.run_stack import run_unit
from lrnn_cli.studies.warm import warm_kernel

CONNECT_S = 10.0  # how long a scheduler may take to answer
LOST_WORKERS = 5  # workers that a job may lose before it counts as failed
LOST_S = 60.0  # how long there may be no worker before the jobs are given up
_POLL_S = 0.5

Say = Callable[[str], None]


def work(
    specs: list[dict[str, Any]], root: str, program: tuple[str, ...], threads: int | None, stop: str
) -> list[str]:
    """Do one job, or a stack of them, on a worker.

    Args:
        specs: fields of each `Job`.
        root: folder of the study, on the shared file system.
        program: how to start lrnn; empty for the worker's own Python.
        threads: CPU threads.
        stop: name of a file in root; as soon as it exists, the job saves its state and ends.

    Returns:
        the states; everything else lies in the folders.
    """
    wish, unit = Path(root) / stop, [Job(**spec) for spec in specs]
    if not program:
        warm_kernel(unit)
    return [
        state.value
        for state in run_unit(
            unit, Path(root), program=program or PROGRAM, threads=threads, should_stop=wish.exists
        )
    ]


@contextlib.contextmanager
def connect(scheduler: str | None, workers: int, timeout_s: float = CONNECT_S) -> Iterator[Any]:
    """Start a cluster on this machine, or reach one.

    Args:
        scheduler: tcp://HOST:PORT, tls://HOST:PORT, file:PATH of a scheduler file; None starts a cluster.
        workers: processes of the cluster to start.
        timeout_s: how long a scheduler may take to answer.

    Yields:
        A dask client.

    Raises:
        DeviceError: when the scheduler does not answer, or its file is missing.
        ModuleNotFoundError: when dask.distributed is not installed.
    """
    import dask
    import distributed

    # lines about lost workers and closed connections are not for the user
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": LOST_WORKERS,
        "distributed.comm.timeouts.connect": timeout_s,
        "distributed.admin.system-monitor.gil.enabled": False,
    }
    with dask.config.set(settings), contextlib.ExitStack() as stack:
        if scheduler is None:
            cluster = stack.enter_context(_embedded(workers))
            yield stack.enter_context(distributed.Client(cluster))
            return
        try:
            client = distributed.Client(timeout=timeout_s, **_address(scheduler))
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"scheduler {scheduler}: no answer within {timeout_s:g} s; start one with 'dask scheduler', "
                "or leave --scheduler out to use this machine"
            ) from error
        yield stack.enter_context(client)


def _address(scheduler: str) -> dict[str, str]:
    if not scheduler.startswith("file:"):
        return {"address": scheduler}
    path = Path(scheduler.removeprefix("file:").removeprefix("//"))
    if not path.is_file():
        raise DeviceError(
            f"scheduler {scheduler}: no such file; 'dask scheduler --scheduler-file {path}' writes it"
        )
    return {"scheduler_file": str(path)}


def _embedded(workers: int) -> Any:
    """Return a cluster of single-threaded processes on this machine, one GPU each where there are some."""
    import distributed

    environments = slot_environments(workers, visible_gpus())
    options = {
        "nthreads": 1,
        "dashboard": False,
        "memory_limit": 0,
        "host": "127.0.0.1",
        "silence_logs": logging.CRITICAL,
    }
    specification = {
        k: {"cls": distributed.Nanny, "options": {**options, "env": environment}}
        for k, environment in enumerate(environments)
    }
    scheduler = {
        "cls": distributed.Scheduler,
        "options": {"dashboard": False, "host": "127.0.0.1", "port": 0},
    }
    return distributed.SpecCluster(
        workers=specification, scheduler=scheduler, silence_logs=logging.CRITICAL, name="lrnn study"
    )


def check_workers(client: Any, scheduler: str, timeout_s: float, say: Say) -> None:
    """Refuse a cluster whose workers cannot run jobs; one that has no worker yet is waited for.

    A worker without lrnn ends as soon as a job reaches it, and the job waits for another one.

    Args:
        client: the cluster.
        scheduler: what the user calls it.
        timeout_s: after which it is said that there is no worker.
        say: takes a line for the user.

    Raises:
        DeviceError: when a worker has no lrnn, or another version.
    """
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(1, timeout=timeout_s)
    # a function of Python itself: one of lrnn would have to be there to say that lrnn is not
    found = client.run(eval, "__import__('lrnn_cli').__version__", on_error="return")
    if not found:
        say(f"scheduler {scheduler} has no worker yet: waiting for one; 'dask worker' starts it")
    for worker, answer in found.items():
        if isinstance(answer, BaseException):
            raise DeviceError(
                f"scheduler {scheduler}: worker {worker} cannot run lrnn ({one_line(answer)}); install lrnn "
                f"{__version__} in the Python of every worker, and start them again"
            )
        if answer != __version__:
            raise DeviceError(
                f"scheduler {scheduler}: worker {worker} has lrnn {answer}, this is {__version__}; install "
                "the same version in the Python of every worker, and start them again"
            )


def one_line(error: BaseException) -> str:
    """Return an exception's text in one line, its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def run_on(
    client: Any,
    units: Sequence[Sequence[Job]],
    root: Path,
    should_stop: Callable[[], bool],
    *,
    threads: int | None = None,
    program: Sequence[str] = (),
    lost_s: float = LOST_S,
) -> Iterator[tuple[Job, State]]:
    """Run jobs on a cluster, yielding each as it ends.

    Args:
        client: the cluster.
        units: jobs that are given to a worker together: one, or a stack.
        root: folder of the study.
        should_stop: asked twice a second; those running then save their state, and no other is begun.
        threads: CPU threads of a job; None leaves it to the command.
        program: how to start lrnn; empty for each worker's own Python.
        lost_s: how long there may be no worker after there was one.

    Yields:
        a job and how it stands now.

    Raises:
        OutputError: when a worker cannot write to the folder of the study.
        DeviceError: when the workers are gone, or cannot do the jobs.
    """
    from distributed import wait

    stop = f"stop-{uuid.uuid4().hex[:12]}"
    given = (str(root.resolve()), tuple(program), threads, stop)
    futures = {
        client.submit(work, [_spec(job) for job in unit], *given, key=f"lrnn-{unit[0].id}", pure=False): unit
        for unit in units
    }
    asked, watch = False, _Watch(client, lost_s)
    try:
        while futures:
            with contextlib.suppress(TimeoutError):
                wait(list(futures), timeout=_POLL_S, return_when="FIRST_COMPLETED")
            for future in [each for each in futures if each.done()]:
                unit = futures.pop(future)
                _check(future, unit, root)
                for job in unit:
                    if not asked or job.folder(root).attempts():
                        yield job, job.folder(root).state()
            if asked and not watch.workers:
                return
            watch.check()
            if should_stop() and not asked:
                atomic_write(root / stop, b"")
                asked = True
    finally:
        client.cancel(list(futures))
        (root / stop).unlink(missing_ok=True)


class _Watch:
    """Looks after the workers: without one the jobs would wait for ever."""

    def __init__(self, client: Any, lost_s: float) -> None:
        self.client, self.lost_s = client, lost_s
        self.workers = len(client.nthreads())
        self.had_some = self.workers > 0
        self.seen = time.monotonic()

    def check(self) -> None:
        self.workers = len(self.client.nthreads())
        self.had_some = self.had_some or self.workers > 0
        if self.workers or not self.had_some:
            self.seen = time.monotonic()
        elif time.monotonic() - self.seen > self.lost_s:
            raise DeviceError(
                f"all workers of the cluster are gone, and none came back within {self.lost_s:g} s; their "
                "own log says why; the same command goes on once there are workers"
            )


def _check(future: Any, unit: Sequence[Job], root: Path) -> None:
    """Look whether jobs ended as jobs do, well or not, and say so where they could not even begin.

    Raises:
        OutputError: when the worker cannot write to the folder of the study.
        DeviceError: when the worker cannot do the job, or writes elsewhere.
    """
    from distributed.scheduler import KilledWorker

    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        for job in unit:
            if not job.folder(root).settled():
                note_lost(job, root, f"{LOST_WORKERS + 1} workers were lost with it")
    elif isinstance(error, OutputError):
        raise error
    elif error is not None:
        raise DeviceError(f"a worker cannot do job {unit[0].id}: {type(error).__name__}: {one_line(error)}")
    elif future.status == "finished":
        for job, told in zip(unit, future.result(), strict=True):
            if told == State.DONE and job.folder(root).settled() is None:
                raise DeviceError(
                    f"a worker did job {job.id}, but {job.folder(root).path} holds no result: the folder of "
                    "a study must lie on a file system that all workers share; -d chooses it"
                )


def _spec(job: Job) -> dict[str, Any]:
    return {key: value for key, value in job.as_dict().items() if key != "schema"}


def default_workers() -> int:
    """Return the workers of an embedded cluster: one per GPU, or one per two cores without one."""
    return len(visible_gpus()) or max(1, len(os.sched_getaffinity(0)) // 2)
