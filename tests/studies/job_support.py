"""Jobs whose program is `fake_lrnn.py`: what happens around a job, without the seconds that a fit takes."""

import sys
from pathlib import Path

from lrnn_cli.studies.jobs import Job

FAKE = Path(__file__).with_name("fake_lrnn.py")
PROGRAM = (sys.executable, "-S", "-E", str(FAKE))


def job(number: int, behaviour: str = "ok", label: str = "lrnn", sha256: str = "0" * 64) -> Job:
    return Job(
        id=f"{number:016x}",
        label=label,
        task="fit-image",
        model="lrnn",
        seed=number,
        input="a.png",
        path="/nowhere/a.png",
        sha256=sha256,
        options=["--behaviour", behaviour],
        groups={},
        config={"fit": {"steps": 3}},
    )


def begun(one: Job, root: Path) -> int:
    """How often the program of a job was started."""
    path = one.folder(root).path / "begun"
    return len(path.read_text()) if path.exists() else 0
