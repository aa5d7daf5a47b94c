"""Runs jobs on an embedded cluster and kills the first worker (SIGKILL) while they run: `dask_run.py FOLDER`.

Prints one line of JSON: for every job its state and how often its program was started, and the workers.
"""

import json
import os
import signal
import sys
from pathlib import Path

from lrnn_cli.studies.run_dask import connect, run_on
from tests.studies.job_support import PROGRAM, begun, job


def main() -> None:
    root = Path(sys.argv[1])
    behaviours = ["slow"] * 6 + ["die", "diverge"]
    jobs = [job(k, behaviour) for k, behaviour in enumerate(behaviours)]
    with connect(None, 2) as client:
        before = sorted(client.run(os.getpid).values())
        for number, _ in enumerate(
            run_on(client, [[one] for one in jobs], root, lambda: False, program=PROGRAM)
        ):
            if number == 0:
                os.kill(before[0], signal.SIGKILL)
        client.wait_for_workers(2, timeout=200)
        after = sorted(client.run(os.getpid).values())
    found = [(str(one.folder(root).state()), begun(one, root)) for one in jobs]
    sys.stdout.write(json.dumps({"jobs": found, "before": before, "after": after}) + "\n")


if __name__ == "__main__":  # workers import this module again
    main()
