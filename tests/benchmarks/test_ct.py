"""The benchmark of networks on CT: equal trials, nothing done twice, a table of what is stored."""

import json
from pathlib import Path

import pytest

from benchmarks import ct

ARGUMENTS = [
    *"--size 16 --steps 2 --seeds 1 --params 300 --settings 20".split(),
    *"--models lrnn,siren --trials 2 --batch-points 64".split(),
]


def test_trials_are_factors_on_each_models_own_defaults() -> None:
    assert ct.options_of("siren", (3.0, 0.5), 128) == (3e-3, {"omega_first": 15.0})
    assert ct.options_of("wire", (1.0, 1.0), 128) == (5e-3, {"omega_first": 20.0})
    assert ct.options_of("relu-pe", (10.0, 0.5), 128) == (1e-2, {"octaves": 6})
    assert set(ct.FREQUENCY) == set(ct.MODELS)


def test_a_benchmark_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.jsonl"
    monkeypatch.setattr("sys.argv", ["ct", *ARGUMENTS, "--name", str(tmp_path / "small")])
    ct.main()
    lines = path.read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    networks = [run for run in runs if run["method"] in ("lrnn", "siren")]
    tuned = [run for run in networks if run["stage"] == "tune"]
    assert [(run["method"], run["trial"]) for run in tuned] == [
        (model, list(trial)) for trial in ct.TRIALS[:2] for model in ("lrnn", "siren")
    ]
    scored = [run for run in networks if run["stage"] == "score"]
    for run in scored:
        best = max((r for r in tuned if r["method"] == run["method"]), key=lambda r: r["psnr_db"])
        assert run["trial"] == best["trial"] and run["lr"] == best["lr"]
        assert run["slice"] == "chest" and run["scan"]["views"] == 20 and run["about"]["steps"] == 2
    classical = {run["method"] for run in runs if run["stage"] == "score"} - {"lrnn", "siren"}
    assert classical == {"fbp", "sart", "sirt", "tv"}
    table = path.with_suffix(".md").read_text()
    assert "| method | parameters | chest, 20 views |" in table and "| tv | – | " in table
    assert "(1 seed)" in table and table in capsys.readouterr().out

    # interrupted in the middle: what is missing is done again, with the same figures
    path.write_text("".join(f"{line}\n" for line in lines[:-1]))
    ct.main()
    again = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(again) == len(runs)
    assert [run["psnr_db"] for run in again] == [run["psnr_db"] for run in runs]

    monkeypatch.setattr("sys.argv", ["ct", *ARGUMENTS, "--name", str(tmp_path / "late"), "--until", "00:00"])
    ct.main()
    assert not (tmp_path / "late.jsonl").exists()


def test_cells() -> None:
    runs = [{"psnr_db": psnr, "ssim": 0.5} for psnr in (20.0, 21.0, 23.5)]
    assert ct.cell(runs) == "21.50 / 0.500 (20.00 … 23.50, 3 seeds)"
    assert ct.cell(runs[:1]) == "20.00 / 0.500 (1 seed)" and ct.cell([]) == "–"
