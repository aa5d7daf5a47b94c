"""Runs jobs that never end on an embedded cluster and stops once one runs: `dask_stop.py FOLDER`.

Prints one line of JSON: the states of the jobs, and the files left in the folder.
"""

import json
import sys
from pathlib import Path

from lrnn_cli.studies.run_dask import connect, run_on
from tests.studies.job_support import PROGRAM, begun, job


def main() -> None:
    root = Path(sys.argv[1])
    jobs = [job(k, "forever") for k in range(3)]
    with connect(None, 1) as client:
        list(
            run_on(
                client,
                [[one] for one in jobs],
                root,
                lambda: any(begun(one, root) for one in jobs),
                program=PROGRAM,
            )
        )
    states = sorted(str(one.folder(root).state()) for one in jobs)
    sys.stdout.write(
        json.dumps({"states": states, "left": sorted(path.name for path in root.iterdir())}) + "\n"
    )


if __name__ == "__main__":
    main()
