"""The program in a process of its own, without the seconds that loading torch takes each time.

A server loads the libraries once and forks for every command: the child gets its own working directory,
standard streams and environment, and runs the real `main`. Jobs and answers are lines of JSON on pipes.
"""

import importlib
import json
import os
import resource
import signal
import sys
from typing import Any


def serve() -> None:
    load()
    say({"ready": True})
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(job)
        say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        say({"code": os.waitstatus_to_exitcode(status)})


def load() -> None:
    """Import what the commands import, and do once what is slow the first time; start no threads."""
    import numpy as np

    from lrnn_cli.cli import group
    from lrnn_cli.fitting.optimizers import make_optimizer
    from lrnn_cli.models.budget import fit_budget
    from lrnn_cli.models.catalog import build
    from lrnn_cli.numerics.metrics import ssim
    from lrnn_cli.pictures.image import draw_fit

    importlib.import_module("torch._dynamo")  # which the first step of an optimiser of torch imports
    for name in ("runs.diagnosis", "runs.execute", "runs.find", "tasks.render", "cli.commands.fit_image"):
        importlib.import_module(f"lrnn_cli.{name}")
    group.build()
    config, _ = fit_budget("lrnn", {}, 1000, n_inputs=2, n_outputs=3)
    make_optimizer("adam", build("lrnn", config, n_inputs=2, n_outputs=3), 1e-3)
    values = np.zeros((12, 12, 3), dtype=np.float32)
    ssim(values, target=values, peak=1.0)
    draw_fit(values, values, title="", history=[], peak=1.0)


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def run(job: dict[str, Any]) -> None:
    """Become the program: never returns."""
    os.chdir(job["cwd"])
    os.environ.update(job["env"])
    for number, (path, flags) in enumerate(
        [
            (job["stdin"], os.O_RDONLY),
            (job["stdout"], os.O_WRONLY | os.O_CREAT),
            (job["stderr"], os.O_WRONLY | os.O_CREAT),
        ]
    ):
        opened = os.open(path, flags, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.argv = ["lrnn", *job["args"]]
    if job["first_on_path"]:
        sys.path.insert(0, job["first_on_path"])
    if job["kill_at"]:
        kill_at(job["kill_at"])
    if job["file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"], job["file_bytes"]))
    if job["save_every_s"] is not None:
        from lrnn_cli.runs import execute

        execute.SAVE_EVERY_S = job["save_every_s"]
    from lrnn_cli.cli.app import main

    code = 1
    try:
        code = main(job["args"])
    finally:
        os._exit(code)


def kill_at(moment: int) -> None:
    """Kill this process at its n-th sync or rename of a file: before odd ones are done, after even ones."""
    seen = 0

    def deadly(real: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal seen
            seen += 2
            if seen - 1 == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **more)
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    os.fsync, os.replace = deadly(os.fsync), deadly(os.replace)


if __name__ == "__main__":
    serve()
