"""`lrnn compare` on sounds, tomography and equations: real runs, as small as they can be."""

import wave
from pathlib import Path

import numpy as np

from tests.cli.conftest import Lrnn


def rows(record: dict) -> dict[str, dict]:
    return {row["label"]: row for row in record["tables"][0]["rows"]}


def test_sounds(lrnn: Lrnn, tmp_path: Path) -> None:
    samples = (8000 * np.sin(0.3 * np.arange(400))).astype("<i2")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    done = lrnn("compare", "a.wav", "--models", "siren,mlp-relu", "--seeds", 1, "-p", 300, "--steps", 3,
                "--targets", "mse=0.9", "--json", "--", "--start", "0.01s")  # fmt: skip
    assert done.code == 0, done.err
    record = done.json()
    assert record["tables"][0]["kind"] == "audio"
    assert {name: row["targets"][0]["n"] for name, row in rows(record).items()} == {"siren": 1, "mlp-relu": 1}
    assert all(row["measures"]["snr_db"]["mean"] is not None for row in rows(record).values())


def test_a_slice_by_a_network_and_without_one(lrnn: Lrnn, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.outer(np.hanning(16), np.hanning(16)))
    done = lrnn("compare", "s.npy", "--task", "reconstruct-ct", "--models", "siren,fbp", "--seeds", 1,
                "-p", 300, "--steps", 2, "--json", "--", "--views", 8, "--prior", "none")  # fmt: skip
    assert done.code == 0, done.err
    found = rows(done.json())
    assert done.json()["tables"][0]["kind"] == "slice"
    assert set(found) == {"siren", "fbp"}
    assert (found["fbp"]["params"], found["siren"]["failed"]) == ([], 0)
    assert all(row["measures"]["psnr_db"]["mean"] > 5 for row in found.values())


def test_a_poisson_problem_at_two_sizes(lrnn: Lrnn) -> None:
    done = lrnn("compare", "--problem", "high-frequency", "--k", 1, "--models", "siren", "--solver", "adam",
                "--params-list", "60,120", "--seeds", 1, "--steps", 12, "--targets", "rel_l2=10", "--json",
                "--", "--reference", "none")  # fmt: skip
    assert done.code == 0, done.err
    record = done.json()
    assert record["tables"][0]["inputs"] == ["high-frequency k=1"]
    found = rows(record)
    assert list(found) == ["siren 60", "siren 120"]
    assert [row["targets"][0]["reached"] for row in found.values()] == [1, 1]
    # Adam writes a record for ten steps; the steps are counted all the same
    assert record["tables"][0]["held_equal"][-1] == "steps (12 each)"
