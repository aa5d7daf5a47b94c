"""On an NVIDIA GPU: the same results as on the CPU up to rounding. Run with `pytest -m cuda`."""

import pytest
import torch

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.device_steps import READ_EVERY
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.fitting.solve_settings import SolveSettings
from lrnn_cli.fitting.stacked import Member, fit_stacked
from lrnn_cli.kernels import triton
from lrnn_cli.kernels.dispatch import product_layer
from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.kernels.layer_norm import layer_norm
from lrnn_cli.models.catalog import build
from lrnn_cli.models.lrnn import LrnnConfig
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.taylor import Taylor
from lrnn_cli.objectives.poisson import ProblemConfig
from lrnn_cli.objectives.samples import Samples
from lrnn_cli.signals.image import ImageOptions, read_image
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression, make_plan
from lrnn_cli.tasks.solve_poisson import PoissonTask
from tests.cases import CASES, case_id, make, points
from tests.kernels.support import draw, value_and_gradients
from tests.kernels.test_jets import agree, inputs_of, jets_and_gradients, weights_of

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("case", CASES, ids=case_id)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_models_agree_with_the_cpu(case, dtype):
    """In float32 a model may amplify rounding: the GPU may err some times as much as the CPU does."""
    found = {}
    for where, precision in (("exact", torch.float64), ("cpu", dtype), ("cuda", dtype)):
        device = "cuda" if where == "cuda" else "cpu"
        model = make(case, dtype=dtype).to(device, precision)
        value = model(points(257, 2, dtype).to(device, precision))
        gradient = torch.autograd.grad(value.square().sum(), list(model.parameters()))
        found[where] = [t.detach().cpu().double() for t in (value, *gradient)]
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    for exact, on_cpu, on_cuda in zip(*found.values(), strict=True):
        scale = float(exact.abs().max()) + 1e-12
        allowed = tolerance * scale + 5 * float((on_cpu - exact).abs().max())
        assert float((on_cuda - exact).abs().max()) <= allowed


def test_a_picture_is_learnt():
    signal = read_image("sample_data/camera256.png", ImageOptions(resize=(64, 64)))
    settings = FitSettings(steps=300, device="cuda")
    plan = make_plan(signal, ModelChoice(params=20_000), settings)
    run = Regression(signal, ImageTask(signal).transform(), plan, settings)
    for _ in run.steps(lambda: False):
        pass
    assert run.trainer.samples.psnr_db(run.trainer.final_loss) > 28
    run.close()


def trainer_on(device, **settings):
    signal = read_image("sample_data/camera256.png", ImageOptions(resize=(64, 64)))
    fit = FitSettings(steps=60, device=device, **settings)
    plan = make_plan(signal, ModelChoice(params=5_000), fit)
    return Regression(signal, ImageTask(signal).transform(), plan, fit).trainer


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_triton_equals_the_reference(family):
    inputs = [t.cuda() for t in draw(300, 70, 4, 100, 2, seed=0, dtype=torch.float32)]
    inputs[1] = inputs[1] / 70**0.5
    inputs = [t.detach().requires_grad_() for t in inputs]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    upstream = torch.randn(300, 100, device="cuda")
    constants = {"family": family, "gamma": 0.5, "offset": 1.0, "centre": 0.1}
    found = value_and_gradients(inputs, upstream, "triton", **constants)
    expected = value_and_gradients(exact, upstream.double(), "reference", **constants)
    for mine, true in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        assert float((mine - true).abs().max()) <= 2e-5 * max(1.0, float(true.abs().max()))


@pytest.mark.parametrize(
    "shape",
    [(0, 2, 4, 5), (1, 1, 1, 1), (1000, 2, 16, 106), (513, 106, 16, 106), (65, 9, 3, 33), (777, 156, 4, 156)],
    ids=str,
)
@pytest.mark.parametrize("wants_dx", [True, False])
def test_triton_on_many_shapes(shape, wants_dx):
    """n, d, D, R; without a gradient of x the kernel sums up dW itself where d is small."""
    n, d, n_factors, n_neurons = shape
    inputs = [t.detach().cuda() for t in draw(n, d, n_factors, n_neurons, 1, seed=1, dtype=torch.float32)]
    inputs[1] /= d**0.5
    constants = {"family": "spder", "gamma": n_factors**-0.5, "offset": 1.0, "centre": 0.1}
    results = []
    for engine, dtype in (("triton", torch.float32), ("reference", torch.float64)):
        leaves = [t.to(dtype).requires_grad_(wants_dx or k > 0) for k, t in enumerate(inputs)]
        phi = product_layer(*leaves, engine=engine, **constants)
        upstream = torch.cos(torch.arange(phi.numel(), device="cuda", dtype=dtype)).view_as(phi)
        wanted = leaves if wants_dx else leaves[1:]
        results.append([phi.detach(), *torch.autograd.grad(phi, wanted, upstream)])
    for mine, true in zip(*results, strict=True):
        assert mine.shape == true.shape
        if true.numel():
            assert float((mine - true).abs().max()) <= 2e-5 * max(1.0, float(true.abs().max()))


@pytest.mark.parametrize("d", [9, 106, 156])
def test_projections_in_two_parts_and_chunks(d, monkeypatch):
    monkeypatch.setattr(triton, "SPLIT_FROM", 0)
    monkeypatch.setattr(triton, "CHUNK_BYTES", 2**20)
    inputs = [t.detach().cuda() for t in draw(1500, d, 4, 106, 1, seed=2, dtype=torch.float32)]
    inputs[1] /= d**0.5
    constants = {"family": "spder", "gamma": 0.5, "offset": 1.0, "centre": 0.1}
    for backward, tolerance in (("full", 2e-5), ("tf32", 3e-3)):
        results = []
        for engine, dtype in (("triton", torch.float32), ("reference", torch.float64)):
            leaves = [t.to(dtype).requires_grad_() for t in inputs]
            phi = product_layer(*leaves, engine=engine, backward=backward, **constants)
            results.append([phi.detach(), *torch.autograd.grad(phi.square().sum(), leaves)])
        for k, (mine, true) in enumerate(zip(*results, strict=True)):
            allowed = 2e-5 if k == 0 else tolerance  # values are never rounded
            assert float((mine - true).abs().max()) <= allowed * max(1.0, float(true.abs().max()))


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    "shape", [(0, 2, 2, 3, 5), (1, 1, 1, 1, 1), (1000, 2, 2, 8, 40), (513, 7, 10, 3, 33)], ids=str
)
def test_laplacians_by_triton(shape, constant):
    """n, d, m, D, R, in double precision."""
    n, d, m, n_factors, n_neurons = shape
    x, wanted = inputs_of(n, d, m, seed=0, constant=constant)
    weights = weights_of(d, n_factors, n_neurons, 2, seed=0)
    constants = {"family": "spder", "gamma": n_factors**-0.5, "offset": 1.0, "centre": 0.3}
    expected = jets_and_gradients(x, wanted, weights, "reference", **constants)
    there = [t.detach().cuda().requires_grad_() for t in (*wanted, *weights)]
    if wanted:
        moved = Taylor(*there[:3])
    else:  # scaled coordinates, whose gradient is one row expanded
        gradient = x.gradient[:, :1].cuda().expand_as(x.gradient)
        moved = Taylor(x.value.cuda(), gradient, x.laplacian.new_zeros(()).cuda().expand_as(x.laplacian))
    found = jets_and_gradients(moved, there[: len(wanted)], there[len(wanted) :], "triton", **constants)
    agree([[t.cpu() for t in part] for part in found], expected, 1e-11)


@pytest.mark.parametrize("engine", ["auto", "fused"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_equation_is_solved_as_on_the_cpu(solver, engine):
    problem = ProblemConfig(exact="x*(1-x)*y*(1-y)*exp(x)")
    residuals = []
    for device in ("cpu", "cuda"):
        settings = SolveSettings(
            solver=solver, model="lrnn", params=300, steps=30, device=device,
            engine=engine if device == "cuda" else None,
        )  # fmt: skip
        task = PoissonTask(problem, settings)
        assert device == "cpu" or task.engine.name == ("triton" if engine == "auto" else "fused")
        residuals.append([step.loss for step in task.steps(lambda: False)])
    assert residuals[1] == pytest.approx(residuals[0], rel=1e-6)


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (1000, 106), (777, 156), (65, 1025)], ids=str)
def test_layer_norm(shape):
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(s, generator=generator).cuda() for s in (shape, shape[1:], shape[1:]))
    upstream = torch.randn(shape, generator=generator).cuda()
    results = []
    for engine, dtype in (("triton", torch.float32), ("reference", torch.float64)):
        leaves = [t.to(dtype).requires_grad_() for t in (x + torch.arange(shape[1]).cuda(), weight, bias)]
        y = layer_norm(*leaves, eps=1e-5, engine=engine)
        results.append([y.detach(), *torch.autograd.grad(y, leaves, upstream.to(dtype))])
    for mine, true in zip(*results, strict=True):
        if true.numel():
            assert float((mine - true).abs().max()) <= 2e-5 * max(1.0, float(true.abs().max()))


@pytest.mark.parametrize("batch", [100, 1024])
def test_a_stack_is_the_same_training(batch):
    values = torch.from_numpy(read_image("sample_data/camera256.png").values)
    losses = []
    for device in ("cpu", "cuda"):
        members = []
        for k in range(3):
            tile = values[32 * k : 32 * (k + 1), :32].reshape(-1, 1).to(device)
            samples = Samples(Grid((32, 32)), tile, shift=0.5, scale=0.5, peak=1.0)
            options = {"rank": 8, "dbar": 2, "depth": 2}
            model = build("lrnn", LrnnConfig(**options), n_inputs=2, n_outputs=1, seed=k).to(device)
            members.append(Member(model, samples, seed=k))
        told = []
        fit_stacked(
            members, FitSettings(steps=60, device=device), BlockRunner(torch.device(device)), lr=2e-3,
            batch_points=batch, listener=lambda k, step, told=told: told.append(step.event),
        )  # fmt: skip
        assert not [event for event in told if event]
        losses.append([member.loss for member in members])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_auto_takes_triton_and_tf32():
    trainer = trainer_on("cuda")
    assert {layer.engine for layer in trainer.model.layers} == {"triton"}
    modern = torch.cuda.get_device_capability() >= (8, 0)
    assert trainer.backward.precision == ("tf32" if modern else "full")


def test_a_step_is_played_as_a_graph():
    trainer = trainer_on("cuda")
    happened = [step.event for step in trainer.run() if step.event]
    assert trainer.device_steps.work._graph is not None, happened
    assert not [event for event in happened if "CUDA graph" in event]


@pytest.mark.parametrize("settings", [{"lstsq": ()}, {"lstsq": (), "clip_norm": 0.01}], ids=str)
def test_launched_steps_train_as_on_the_cpu(settings):
    losses = []
    for device in ("cpu", "cuda"):
        trainer = trainer_on(device, backward="full", **settings)
        list(trainer.run())
        losses.append(trainer.final_loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_step_waits_for_nothing():
    trainer = trainer_on("cuda", batch_points="full", lstsq=())
    run = trainer.run()
    for _ in range(2 * READ_EVERY + 1):
        next(run)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(READ_EVERY - 2):  # up to the next reading
            next(run)
    finally:
        torch.cuda.set_sync_debug_mode("default")
