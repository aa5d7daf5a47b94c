"""How many points a step takes when nobody says, and in which blocks they are worked on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting.checkpoint import RESUME_FORMAT, encode, read
from lrnn_cli.fitting.launch import Place
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.kernels.dispatch import Engine
from lrnn_cli.kernels.precision import Backward
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks import regression
from lrnn_cli.tasks.regression import ModelChoice, auto_batch, make_plan
from lrnn_cli.tasks.segments import SegmentedRegression, cut


@pytest.mark.parametrize(
    ("device", "n_points", "batch"),
    [
        ("cpu", 500, 500), ("cpu", 2000, 1024), ("cpu", 65_536, 2048), ("cpu", 10**7, 8192),
        ("cuda", 500, 500), ("cuda", 2000, 1024), ("cuda", 65_536, 8192), ("cuda", 10**7, 65_536),
    ],
)  # fmt: skip
def test_the_batch_follows_signal_and_device(device, n_points, batch):
    assert auto_batch(n_points, torch.device(device)) == batch


SOUND = Signal(
    values=np.sin(np.arange(3000, dtype=np.float32) / 20)[:, None],
    kind="audio",
    peak=1.0,
    name="a",
    path="a.wav",
    sha256="0",
    notes=(),
    format={"sample_rate": 4000, "channels": 1},
)
TINY = ModelChoice(options={"rank": 4, "dbar": 2, "depth": 1})
FIT = FitSettings(steps=6, batch_points=2048, engine="fused", device="cpu")


def plan_with(monkeypatch, *, cores=2, threads=None, processes=1):
    """Plan as on another machine."""
    monkeypatch.setattr(regression, "resolve_threads", lambda asked: asked or cores)
    monkeypatch.setattr(regression, "place", lambda: Place(size=processes, local_size=processes))
    return make_plan(SOUND, TINY, FIT.model_copy(update={"threads": threads}))


@pytest.mark.parametrize(("cores", "block"), [(1, 1024), (2, 1024), (3, 342), (4, 512), (8, 256), (64, 256)])
def test_every_core_has_its_block_whatever_the_threads(monkeypatch, cores, block):
    for threads in (None, 1, 8):
        assert plan_with(monkeypatch, cores=cores, threads=threads).block_points == block


def test_a_process_shares_out_its_own_part_of_a_batch(monkeypatch):
    """Two processes of two cores each: 1024 points and two blocks for both."""
    assert plan_with(monkeypatch, cores=2, processes=2).block_points == 512


def test_a_shown_block_is_no_larger_than_the_batch(monkeypatch):
    plan = replace(plan_with(monkeypatch), block_points=2**17)
    assert plan.as_dict()["block_points"] == plan.batch_points == 2048


def test_segments_resume_in_the_blocks_that_they_began_with(monkeypatch, tmp_path):
    """On a machine with another number of cores the segments still to come keep them, too."""

    def begin(cores):
        plan = replace(plan_with(monkeypatch, cores=cores), segments=cut(3000, 2, 20))
        return SegmentedRegression(SOUND, (0.0, 1.0), plan, FIT)

    before, after = begin(4), begin(2)
    next(iter(before.steps(lambda: False)))
    (tmp_path / "state").write_bytes(before.state("key"))
    after.resume_from(tmp_path / "state", "key")
    assert after.runner.block_points == before.runner.block_points == 512
    whole, header = read(tmp_path / "state", RESUME_FORMAT)
    (tmp_path / "bad").write_bytes(encode(whole, {**header, "block_points": "many"}))
    with pytest.raises(CheckpointError, match="resume state is incomplete"):
        begin(2).resume_from(tmp_path / "bad", "key")
    list(after.steps(lambda: False))
    assert len(after.records) == 2 and after.runner.block_points == 512
    before.close()
    after.close()


@pytest.mark.parametrize(
    ("asked", "found", "said"),
    [
        ("auto", "fused", ("engine fused in place of triton: too old",)),
        ("auto", "triton", ()),
        ("fused", "fused", ()),
    ],
)
def test_a_gpu_without_triton_is_told(monkeypatch, asked, found, said):
    monkeypatch.setattr(regression, "resolve_device", lambda asked: torch.device("cuda"))
    monkeypatch.setattr(regression, "choose_engine", lambda *asked, **where: Engine(found, "too old"))
    monkeypatch.setattr(
        regression, "choose_backward", lambda *asked, **where: Backward("full", "none is here")
    )
    assert make_plan(SOUND, TINY, FIT.model_copy(update={"engine": asked})).notes == said
