"""Stands in for `lrnn` where a test is about what happens around a job: starts in no time, fits nothing.

Understands `TASK INPUT --behaviour WORD … -o FOLDER`: ok, slow, forever, diverge, error, die (by SIGKILL),
mute (says nothing).
"""

import json
import os
import signal
import sys
import time

words = sys.argv[1:]
folder = words[words.index("-o") + 1]
behaviour = words[words.index("--behaviour") + 1]
seed = int(words[words.index("--seed") + 1])
metrics = os.path.join(folder, "metrics.json")


def write(status: str) -> None:
    record = {
        "schema": "lrnn.metrics/1",
        "status": status,
        "seed": seed,
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    with open(metrics + ".new", "w") as file:
        json.dump(record, file)
    os.replace(metrics + ".new", metrics)


def stop(signum: int, frame: object) -> None:
    write("interrupted")
    sys.stderr.write("lrnn: interrupted: stopped and saved\n")
    sys.exit(128 + signum)


signal.signal(signal.SIGTERM, stop)
with open(os.path.join(folder, "begun"), "a") as file:
    file.write("x")
if behaviour == "slow":
    time.sleep(0.7)
if behaviour == "forever":
    time.sleep(60)
if behaviour == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "mute":
    sys.exit(9)
if behaviour == "error":
    sys.stderr.write("lrnn: error: a.png: holds text, not an image\n")
    sys.exit(3)
write("failed" if behaviour == "diverge" else "ok")
sys.exit(5 if behaviour == "diverge" else 0)
