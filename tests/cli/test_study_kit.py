"""The studies of the documentation are plans that every command accepts."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Lrnn
from tests.conftest import ROOT

KIT = {"images": 99, "audio": 36, "ct": 24, "poisson-scaling": 96, "ablations": 153, "functions": 126}
FOLDER = ROOT / "docs" / "studies"


def test_every_file_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(KIT)


@pytest.mark.parametrize("name", KIT)
def test_a_study_of_the_kit_is_a_plan(lrnn: Lrnn, tmp_path: Path, name: str) -> None:
    done = lrnn("study", "plan", FOLDER / f"{name}.yaml", "--json", "-q")
    assert (done.code, done.err) == (0, "")
    jobs = [json.loads(line) for line in done.out.splitlines()]
    assert len(jobs) == KIT[name]
    assert {job["seed"] for job in jobs} == {0, 1, 2}
    assert list(tmp_path.iterdir()) == []
