"""On an NVIDIA GPU: the same results as on the CPU up to rounding. Run with `pytest -m cuda`."""

import pytest
import torch

from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.signals.image import ImageOptions, read_image
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression, make_plan
from tests.cases import CASES, case_id, make, points

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("case", CASES, ids=case_id)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_models_agree_with_the_cpu(case, dtype):
    coords = points(257, 2, dtype)
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        model = make(case, dtype=dtype).to(device)
        value = model(coords.to(device))
        values.append(value.detach().cpu())
        gradient = torch.autograd.grad(value.square().sum(), list(model.parameters()))
        gradients.append([g.cpu() for g in gradient])
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-10}
    torch.testing.assert_close(values[1], values[0], **tolerance)
    for on_cpu, on_cuda in zip(*gradients, strict=True):
        scale = float(on_cpu.abs().max()) + 1e-12
        torch.testing.assert_close(on_cuda / scale, on_cpu / scale, **tolerance)


def test_a_picture_is_learnt():
    signal = read_image("sample_data/camera256.png", ImageOptions(resize=(64, 64)))
    settings = FitSettings(steps=300, device="cuda")
    plan = make_plan(signal, ModelChoice(params=20_000), settings)
    run = Regression(signal, ImageTask(signal).transform(), plan, settings)
    for _ in run.steps(lambda: False):
        pass
    assert run.trainer.samples.psnr_db(run.trainer.final_loss) > 28
    run.close()
