"""Where the jobs of a study run: in processes of this machine, or on a dask cluster."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lrnn_cli.cli.render import Talk
from lrnn_cli.errors import ConfigError

if TYPE_CHECKING:
    from lrnn_cli.studies.jobs import Job, State


@dataclass(frozen=True)
class Places:
    """The options of `lrnn study run` on where and how many at once.

    Attributes:
        jobs: at once; None for one, or one per GPU.
        threads: CPU threads of each; None divides the cores.
        stack: most jobs in one batch.
        dask: start a cluster here.
        scheduler: address of a cluster.
        timeout_s: how long the scheduler may take to answer.
    """

    jobs: int | None
    threads: int | None
    stack: int
    dask: bool
    scheduler: str | None
    timeout_s: float

    def run(
        self,
        context: ExitStack,
        todo: "list[Job]",
        root: Path,
        should_stop: Callable[[], bool],
        talk: Talk,
    ) -> "Iterator[tuple[Job, State]]":
        """Return a generator of jobs as they end.

        Args:
            context: holds what has to be closed.
            todo: the jobs.
            root: folder of the study.
            should_stop: asked a few times a second.
            talk: the program's voice.

        Returns:
            the jobs as they end.

        Raises:
            ConfigError: when the options contradict each other.
        """
        if self.scheduler is not None and self.jobs is not None:
            raise ConfigError(
                "--jobs and --scheduler exclude each other: a cluster's workers decide the number"
            )
        if not todo:
            return iter(())
        if not self.dask and self.scheduler is None:
            from lrnn_cli.studies.run_local import LocalRunner, visible_gpus

            count = self.jobs or len(visible_gpus()) or 1
            runner = LocalRunner(root, count, threads=self.threads, stack=self.stack)
            return runner.run(todo, should_stop)
        from lrnn_cli.studies.run_dask import check_workers, connect, default_workers, run_on
        from lrnn_cli.studies.run_local import threads_each
        from lrnn_cli.studies.run_stack import form_units

        workers = self.jobs or default_workers()
        client = context.enter_context(connect(self.scheduler, workers, self.timeout_s))
        threads = self.threads
        if self.scheduler is None:
            threads = threads or threads_each(workers)
        else:
            check_workers(client, self.scheduler, self.timeout_s, talk.warn)
        return run_on(client, form_units(todo, self.stack, root), root, should_stop, threads=threads)
