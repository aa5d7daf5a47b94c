"""Running jobs on a cluster by dask.distributed: embedded, or one whose scheduler is named.

Workers share a file system with this process and have lrnn installed. Results go by file, never through the
scheduler. A job whose worker was killed is given to another one; since a job is a set of files with a lock,
being given out twice costs nothing (see `run_job`). The wish to stop is a file, too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lrnn_cli.errors import DeviceError, OutputError
from lrnn_cli.runs.folder import atomic_write
from lrnn_cli.studies.jobs import Job, State
from lrnn_cli.studies.run_job import PROGRAM, run_job
from lrnn_cli.studies.run_local import slot_environments, visible_gpus
from lrnn_cli.studies.warm import warm_kernel

CONNECT_S = 10.0  # how long a scheduler may take to answer
LOST_WORKERS = 5  # workers that a job may lose before it counts as failed
_POLL_S = 0.5


def work(spec: dict[str, Any], root: str, program: tuple[str, ...], threads: int | None, stop: str) -> str:
    """Do one job on a worker.

    Args:
        spec: fields of the `Job`.
        root: folder of the study, on the shared file system.
        program: how to start lrnn; empty for the worker's own Python.
        threads: CPU threads.
        stop: name of a file in root; as soon as it exists, the job saves its state and ends.

    Returns:
        its state; everything else lies in its folder.
    """
    wish, job = Path(root) / stop, Job(**spec)
    warm_kernel([job])
    return run_job(
        job, Path(root), program=program or PROGRAM, threads=threads, should_stop=wish.exists
    ).value


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


def run_on(
    client: Any,
    jobs: Sequence[Job],
    root: Path,
    should_stop: Callable[[], bool],
    *,
    threads: int | None = None,
    program: Sequence[str] = (),
) -> Iterator[tuple[Job, State]]:
    """Run jobs on a cluster, yielding each as it ends.

    Args:
        client: the cluster.
        jobs: what to run.
        root: folder of the study.
        should_stop: asked twice a second; those running then save their state, and no other is begun.
        threads: CPU threads of a job; None leaves it to the command.
        program: how to start lrnn; empty for each worker's own Python.

    Yields:
        a job and how it stands now.

    Raises:
        OutputError: when a worker cannot write to the folder of the study.
    """
    from distributed import wait

    stop = f"stop-{uuid.uuid4().hex[:12]}"
    given = (str(root.resolve()), tuple(program), threads, stop)
    futures = {client.submit(work, _spec(job), *given, key=f"lrnn-{job.id}", pure=False): job for job in jobs}
    asked = False
    try:
        while futures:
            with contextlib.suppress(TimeoutError):
                wait(list(futures), timeout=_POLL_S, return_when="FIRST_COMPLETED")
            for future in [each for each in futures if each.done()]:
                job = futures.pop(future)
                error = future.exception() if future.status == "error" else None
                if isinstance(error, OutputError):
                    raise error
                if not asked or job.folder(root).attempts():
                    yield job, job.folder(root).state()
            if should_stop() and not asked:
                atomic_write(root / stop, b"")
                asked = True
    finally:
        client.cancel(list(futures))
        (root / stop).unlink(missing_ok=True)


def _spec(job: Job) -> dict[str, Any]:
    return {key: value for key, value in job.as_dict().items() if key != "schema"}


def default_workers() -> int:
    """Return the workers of an embedded cluster: one per GPU, or one per two cores without one."""
    return len(visible_gpus()) or max(1, len(os.sched_getaffinity(0)) // 2)
