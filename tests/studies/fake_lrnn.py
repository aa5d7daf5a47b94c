"""Stands in for `lrnn` where a test is about what happens around a job: starts in no time, fits nothing.

Understands `TASK INPUT --behaviour WORD … -o FOLDER`: ok, slow, forever, diverge, error, die (by SIGKILL),
mute (says nothing).

`study stack FOLDER ID…` fits those that are ok together, dies with one that wants to, and leaves the others.
"""

import json
import os
import signal
import sys
import time

words = sys.argv[1:]
if words[:2] == ["study", "stack"]:
    jobs = [os.path.join(words[2], "jobs", name) for name in words[3:] if len(name) == 16]
    specs = [json.load(open(os.path.join(path, "job.json"))) for path in jobs]
    wishes = [spec["options"][1] for spec in specs]
    for path in jobs:
        with open(os.path.join(path, "stacked"), "a") as file:
            file.write("x")
    if "die-together" in wishes:
        os.kill(os.getpid(), signal.SIGKILL)
    if "forever" in wishes:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        time.sleep(60)
    for path, wish in zip(jobs, wishes, strict=True):
        if wish == "ok":
            with open(os.path.join(path, "metrics.json"), "w") as file:
                json.dump({"schema": "lrnn.metrics/1", "status": "ok", "train": {"stack": len(jobs)}}, file)
    sys.exit(0)
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
