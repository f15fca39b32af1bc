"""Every precision against a loop written by hand, and what each of them keeps in which type."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.contract import Batch
from harness.engine.check import check_arm
from harness.engine.culprit import Owners
from harness.engine.evaluate import predict
from harness.engine.loop import steps
from harness.engine.precision import apply_numerics, cast_weights
from harness.engine.run import Run
from harness.engine.trial import open_run, run_trial
from harness.errors import HarnessError
from harness.suite.plan import Job

STEPS = 25
NET = {"name": "toy-net", "params": {"width": 8, "batch_norm": True, "dropout": 0.2}}
HALF = {"pure-bf16": torch.bfloat16, "pure-fp16": torch.float16}
PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "pure-bf16", "pure-fp16")


def numerics(precision: str, **changes: object) -> dict:
    plain = {"channels_last": False, "compile": False, "threads": 1, "deterministic": False}
    return {"precision": precision, **plain, **changes}


def opened(make_job: Callable[..., Job], precision: str, **changes: object) -> Run:
    return open_run(make_job(backbone=NET, numerics=numerics(precision), **changes), Owners())


def batches(run: Run) -> Iterator[tuple[Batch, int]]:
    for epoch in range(STEPS // run.steps_per_epoch + 1):
        made, seeds = run.begin_epoch(epoch)
        yield from zip(made, seeds, strict=False)


def in_half(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    for module in model.modules():
        if not isinstance(module, nn.BatchNorm1d):
            module._apply(lambda t: t.to(dtype) if t.is_floating_point() else t, recurse=False)
    return model


def by_hand(make_job: Callable[..., Job], precision: str) -> nn.Module:
    """Train as one would in a notebook, from the same initial weights, on the same batches."""
    run = opened(make_job, "fp32")
    model = copy.deepcopy(run.model)
    half = HALF.get(precision, torch.float32)
    if precision in HALF:
        model = in_half(model, half)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", enabled=precision == "fp16")
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    for (batch, seed), _ in zip(batches(run), range(STEPS), strict=False):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=kind, enabled=kind is not None):
            logits = model(batch.image.to(half))
        scaler.scale(F.cross_entropy(logits.float(), batch.target)).backward()
        scaler.step(optimizer)
        scaler.update()
    return model


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_trains_as_a_loop_written_by_hand(
    make_job: Callable[..., Job], precision: str
) -> None:
    run = opened(make_job, precision)
    for _ in steps(run, 0, STEPS):
        pass
    expected = by_hand(make_job, precision).state_dict()
    # fused SGD rounds a product and a sum at once; everything else is the same arithmetic
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if precision == "fp16" else {"rtol": 0, "atol": 0}
    for name, tensor in run.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], **tolerance)
    if precision not in ("fp32", "tf32"):
        plain = by_hand(make_job, "fp32").state_dict()
        assert any(
            not torch.equal(run.model.state_dict()[name].float(), plain[name].float()) for name in plain
        )


@pytest.mark.parametrize("precision", HALF)
def test_pure_precisions_hold_weights_and_gradients_in_half_and_norms_in_single(
    make_job: Callable[..., Job], precision: str
) -> None:
    run = opened(make_job, precision)
    _, result = next(steps(run, 0, 1))
    batch_norm = next(module for module in run.model.modules() if isinstance(module, nn.BatchNorm1d))
    single = {id(tensor) for tensor in (*batch_norm.parameters(), *batch_norm.buffers())}
    for parameter in run.model.parameters():
        expected = torch.float32 if id(parameter) in single else HALF[precision]
        assert parameter.dtype == expected and parameter.grad.dtype == expected
    assert batch_norm.running_mean.dtype == torch.float32
    assert result.loss.dtype == torch.float32
    assert run.step.scaler is None


@pytest.mark.parametrize("precision", PRECISIONS)
def test_logits_are_single_precision_and_close_to_those_of_fp32(
    make_job: Callable[..., Job], precision: str
) -> None:
    run, plain = opened(make_job, precision), opened(make_job, "fp32")
    logits = predict(run, run.judged(), run.data.test())
    assert logits.dtype == torch.float32
    torch.testing.assert_close(
        logits, predict(plain, plain.judged(), plain.data.test()), rtol=0.02, atol=0.02
    )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("trick", [None, {"name": "toy-parts", "params": {"parts": 3}}])
def test_a_resumed_trial_equals_a_straight_one(
    make_job: Callable[..., Job], precision: str, trick: dict | None
) -> None:
    job = make_job(backbone=NET, numerics=numerics(precision), tricks=[trick] if trick else [])
    straight = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert straight["status"] == "completed", straight["culprit"]
    assert straight["changes"] == []
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    assert run_trial(job, report=lambda _: None, stop=stop)["status"] == "preempted"
    resumed = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert resumed["resumed_from_step"]
    assert (resumed["digests"], resumed["curves"]) == (straight["digests"], straight["curves"])


def test_the_digest_of_the_initial_weights_does_not_depend_on_precision(make_job: Callable[..., Job]) -> None:
    assert opened(make_job, "pure-bf16").initial_parameters == opened(make_job, "fp32").initial_parameters


def test_two_passes_with_a_loss_scale_are_refused_by_key(make_job: Callable[..., Job]) -> None:
    ascent = [{"name": "toy-ascent", "params": {"rho": 0.1}}]
    with pytest.raises(HarnessError, match=r"numerics\.precision = \"fp16\".*trick toy-ascent.*bf16"):
        check_arm(make_job(numerics=numerics("fp16"), tricks=ascent))
    assert check_arm(make_job(numerics=numerics("bf16"), tricks=ascent)) == []
    assert check_arm(make_job(numerics=numerics("fp16"))) == []


@pytest.mark.parametrize(
    ("module", "shape"),
    [(nn.LayerNorm(6), (4, 6)), (nn.GroupNorm(2, 6), (4, 6, 5, 5)), (nn.BatchNorm2d(6), (4, 6, 5, 5))],
)
def test_norm_layers_between_half_layers_compute_in_single_precision(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    plain = copy.deepcopy(module).train()
    cast = copy.deepcopy(cast_weights(nn.Sequential(module, nn.Identity()), "pure-bf16"))
    input = torch.randn(shape).bfloat16()
    output = cast(input)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output, plain(input.float()).bfloat16(), rtol=1e-2, atol=1e-2)
    output.float().square().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in cast.parameters())


def test_a_device_without_the_precision_is_refused_with_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old one")
    threads = torch.get_num_threads()
    for precision in ("bf16", "tf32", "pure-bf16"):
        with pytest.raises(HarnessError, match=r"an old one has 7\.0; use \"fp32\" or \"fp16\""):
            apply_numerics(numerics(precision), torch.device("cuda:0"))
    assert torch.get_num_threads() == threads


def test_an_average_of_half_weights_is_kept_in_single_precision(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    """With a share of 1/1000 and weights that differ by 1/64 a bfloat16 average would never move."""
    del tmp_path
    run = opened(
        make_job,
        "pure-bf16",
        tricks=[{"name": "ema", "params": {"decay": 0.999, "warmup": False}}],
        optimizer=[{"name": "toy-sgd", "params": {"lr": 0.0, "momentum": 0.0}, "parameters": "all"}],
    )
    parameter = next(run.model.parameters())
    with torch.no_grad():
        parameter.fill_(1.0)
    next(steps(run, 0, 1))  # the average begins at the weights of step 0
    with torch.no_grad():
        parameter.fill_(1.015625)
    for _ in steps(run, 1, 21):
        pass
    expected = 1 + 0.015625 * (1 - 0.999**20)
    average = run.state["trick ema/averages"][0]
    torch.testing.assert_close(average, torch.full_like(average, expected), rtol=1e-6, atol=0)
    assert next(run.judged().parameters()).dtype == torch.bfloat16
