"""The studies of the documentation are plans that every command accepts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lrnn_cli.models.catalog import CATALOG
from lrnn_cli.studies.study import Study
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


REDUCED = {
    "images": 153, "multiplicative": 3, "authors": 21, "ablations": 126,
    "images-small": 36, "ablations-small": 18, "audio": 6, "poisson-scaling": 24, "finer": 9, "lrnn-adam": 9,
}  # fmt: skip


def test_the_reduced_studies_are_plans_too(lrnn: Lrnn) -> None:
    """Those whose results docs/results.md tells."""
    folder = ROOT / "benchmarks" / "studies"
    assert {path.stem for path in folder.glob("*.yaml")} == set(REDUCED)
    for name, count in REDUCED.items():
        done = lrnn("study", "plan", folder / f"{name}.yaml", "--ids", "-q")
        assert (done.code, len(done.out.split())) == (0, count), done.err


def test_the_tables_of_the_models_leave_none_out() -> None:
    """docs/models.md: every row of the catalog, and every published setting."""
    folder = ROOT / "benchmarks" / "studies"
    studies = {name: yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in REDUCED}
    models = {
        name: [entry["name"] if isinstance(entry, dict) else entry for entry in study["models"]]
        for name, study in studies.items()
    }
    assert sorted(models["images"] + models["multiplicative"]) == sorted(CATALOG)
    assert models["authors"] == [name for name, row in CATALOG.items() if row.published]


LRNN_OF_THEN = {"dbar": 4, "omega_first": 80, "omega_hidden": 30, "first_scales": "equal", "hidden_rate": 1}
# (study, row) → settings that its stored results were taken with, where the defaults of now are others
THEN: dict[tuple[str, str], dict[str, Any]] = {
    ("images", "lrnn"): {**LRNN_OF_THEN, "optimizer": "nadam", "lr": 2e-3},
    ("images", "finer"): {"lr": 2e-3},
    ("images", "mfn"): {"lr": 4.3e-2},
    ("images-small", "lrnn"): {**LRNN_OF_THEN, "optimizer": "adam", "lr": 1e-3},
    ("images-small", "wire"): {"omega_first": 20, "omega_hidden": 20, "scale": 10, "lr": 5e-3},
    ("lrnn-adam", "lrnn by Adam"): {**LRNN_OF_THEN, "optimizer": "adam", "lr": 1e-3},
    ("ablations-small", "lrnn as it is"): {**LRNN_OF_THEN, "optimizer": "adam", "lr": 1e-3},
    ("ablations", "lrnn as it is"): {**LRNN_OF_THEN, "optimizer": "nadam", "lr": 2e-3},
}


@pytest.mark.parametrize(("name", "label"), THEN)
def test_reduced_studies_repeat_what_their_results_were_taken_with(name: str, label: str) -> None:
    study = Study(**yaml.safe_load((ROOT / "benchmarks" / "studies" / f"{name}.yaml").read_text()))
    tree = next(row.tree for row in study.combinations() if row.label == label)
    given = {**tree, **tree.get("model", {})}
    assert {key: given.get(key) for key in THEN[name, label]} == THEN[name, label]


# What makes a study tiny: its own settings and what is laid over them.
TINY: dict[str, dict[str, Any]] = {
    "images": {"centre_crop": "12x12", "models": ["siren"], "inputs": "camera256.png"},
    "audio": {"models": ["siren"], "inputs": "speech_numbers16k.wav", "settings": {"duration": "0.02s"}},
    "ct": {"models": [{"name": "siren", "params": 300}, "fbp"], "inputs": "ct_small128_u16.png",
           "settings": {"views": 6, "size": 16, "prior": "none"}},
    "poisson-scaling": {"models": ["siren"], "inputs": "high-frequency k=4", "grid": {"params": [60]}},
    "ablations": {"centre_crop": "12x12", "inputs": "camera256.png"},
    "functions": {"models": ["siren"], "inputs": "sharp-ring mesh=8"},
}  # fmt: skip


@pytest.mark.parametrize("name", KIT)
def test_a_tiny_version_of_a_study_of_the_kit_runs(lrnn: Lrnn, tmp_path: Path, name: str) -> None:
    study = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    tiny = TINY[name]
    settings = {k: v for k, v in study["settings"].items() if k != "time"} | {"steps": 2}
    settings |= {"params": 300} if "params" in settings else {}
    study |= {**tiny, "seeds": 1, "settings": settings | tiny.get("settings", {})}
    if study["task"] not in ("solve-poisson", "fit-function"):
        study["inputs"] = str(ROOT / "sample_data" / study["inputs"])
    if "variants" in study:
        study["variants"] = {"g instead of 1+γg": study["variants"]["g instead of 1+γg"]}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    done = lrnn("study", "run", "s.yaml", "-q")
    assert done.code == 0, done.err
    table = lrnn("study", "table", "s.yaml", "--json").json()["tables"][0]
    assert len(table["rows"]) == len(study["models"])
    assert all(row["failed"] == 0 for row in table["rows"])
    assert len(table["targets"]) == len(study["targets"])
