"""Compiled steps and the warm-up ahead of the clock: no bit moves, and the compiler's failures are its own."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor.exc import InvalidCxxCompiler

from harness.engine import compiled
from harness.engine.check import check_arm
from harness.engine.culprit import Owners
from harness.engine.first import first_step
from harness.engine.loop import steps
from harness.engine.run import Run
from harness.engine.trial import open_run, run_trial
from harness.engine.warm_up import warm_up
from harness.errors import PluginError
from harness.suite.plan import Job

NET = {"name": "toy-net", "params": {"width": 8, "batch_norm": True, "dropout": 0.2}}
NO_DROPOUT = {"name": "toy-net", "params": {"width": 8, "batch_norm": True, "dropout": 0.0}}
PARTS = [{"name": "toy-parts", "params": {"parts": 3}}]
STEPS = 15


def numerics(compile: bool | str, precision: str = "fp32") -> dict:
    plain = {"channels_last": False, "threads": 1, "deterministic": False}
    return {"precision": precision, "compile": compile, **plain}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    torch._dynamo.reset()


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Compile down to operators only: all of torch.compile but the code generator, which takes a minute."""
    asked: list[dict[str, Any]] = []
    real = torch.compile

    def compile(model: Any, **options: Any) -> Any:
        asked.append(options)
        return real(model, backend="aot_eager", dynamic=options["dynamic"])

    monkeypatch.setattr(torch, "compile", compile)
    return asked


def train(run: Run, first: int = 0) -> list[torch.Tensor]:
    first_step(run, first)
    losses = [result.loss for _, result in steps(run, first + 1, STEPS)]
    return [*losses, *run.model.state_dict().values()]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize(("precision", "tricks"), [("fp32", PARTS), ("fp16", []), ("pure-bf16", [])])
def test_a_warm_up_moves_nothing_and_leaves_nothing_to_compile(
    make_job: Callable[..., Job], traced: list, precision: str, tricks: list
) -> None:
    job = make_job(backbone=NET, numerics=numerics(True, precision), tricks=tricks)
    cold = train(open_run(job, Owners()))
    torch._dynamo.reset()
    run = open_run(job, Owners())
    state = copy.deepcopy(run.model.state_dict())
    generators = [generator.get_state() for generator in run.step.generators]
    moment = (run.moment.step, run.moment.epoch, run.moment.index)
    assert warm_up(run) > 0
    assert equal(list(run.model.state_dict().values()), list(state.values()))
    assert equal([generator.get_state() for generator in run.step.generators], generators)
    assert (run.moment.step, run.moment.epoch, run.moment.index) == moment
    assert all(parameter.grad is None for parameter in run.model.parameters())
    assert run.order_digests == {}
    graphs = counters["stats"]["unique_graphs"]
    assert equal(train(run), cold)
    assert counters["stats"]["unique_graphs"] == graphs
    assert len(traced) == 2


def test_no_compiler_and_no_gpu_is_nothing_to_warm_up(make_job: Callable[..., Job]) -> None:
    assert warm_up(open_run(make_job(), Owners())) == 0.0


@pytest.mark.parametrize(("compile", "mode"), [(True, None), ("reduce-overhead",) * 2, ("max-autotune",) * 2])
def test_the_mode_is_handed_to_the_compiler(
    make_job: Callable[..., Job], traced: list, compile: bool | str, mode: str | None
) -> None:
    open_run(make_job(numerics=numerics(compile)), Owners())
    assert traced == [{"mode": mode, "dynamic": False}]


def test_inductor_keeps_its_work_in_the_harness_cache_unless_the_user_names_a_place(
    make_job: Callable[..., Job], traced: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torch._inductor.runtime.cache_dir_utils import cache_dir, default_cache_dir

    job = make_job(numerics=numerics(True))
    monkeypatch.setenv(compiled.CACHE_VARIABLE, default_cache_dir())  # as importing torch._dynamo does
    open_run(job, Owners())
    assert cache_dir() == str(tmp_path / "cache" / "inductor")
    monkeypatch.setenv(compiled.CACHE_VARIABLE, str(tmp_path / "mine"))
    open_run(job, Owners())
    assert cache_dir() == str(tmp_path / "mine")


def test_evaluation_and_an_average_work_beside_a_compiled_model(
    make_job: Callable[..., Job], traced: list
) -> None:
    ema = [{"name": "ema", "params": {"decay": 0.9}}]
    outcomes = [
        run_trial(
            make_job(backbone=NO_DROPOUT, numerics=numerics(compile), tricks=ema),
            report=lambda _: None,
            stop=lambda: False,
        )
        for compile in (False, True)
    ]
    for outcome in outcomes:
        assert (outcome["status"], outcome["changes"]) == ("completed", []), outcome["culprit"]
    # operators are the same ones: so are the bits
    assert outcomes[0]["digests"] == outcomes[1]["digests"]
    assert outcomes[0]["budget"]["flops_per_step"] == outcomes[1]["budget"]["flops_per_step"]


def test_without_a_compiler_check_says_what_to_install(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", find)
    job = make_job(numerics=numerics(True))
    with pytest.raises(PluginError, match=r"compile.*C\+\+ compiler.*install g\+\+.*compile = false"):
        check_arm(job)
    culprit = run_trial(job, report=lambda _: None, stop=lambda: False)["culprit"]
    assert (culprit["plugin"], culprit["slot"]) == ("compile", "forward")


def test_what_the_compiler_cannot_do_is_blamed_on_compile_and_the_model_s_own_errors_on_the_model(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(graph: Any, inputs: Any) -> Any:
        raise ValueError("no such instruction")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **_: real(model, backend=fails))
    outcome = run_trial(make_job(numerics=numerics(True)), report=lambda _: None, stop=lambda: False)
    assert outcome["status"] == "failed"
    assert (outcome["culprit"]["plugin"], outcome["culprit"]["slot"]) == ("compile", "forward")
    assert "no such instruction" in outcome["culprit"]["error"]

    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    job = make_job(
        plugins=(str(file), *make_job().plugins),
        numerics=numerics(True),
        backbone={"name": "broken", "params": {}},
    )
    outcome = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert outcome["culprit"]["plugin"] == "backbone broken", outcome["culprit"]


BROKEN = '''
from dataclasses import dataclass
from harness.contract import *

@dataclass(frozen=True)
class Broken(Backbone):
    """Has a layer of a wrong size."""
    def build(self, info):
        from torch import nn
        return nn.Sequential(nn.Flatten(), nn.Linear(3, 3))

@hookimpl
def harness_register(registry):
    registry.add("backbone", "broken", Broken, summary="broken")
'''


@pytest.mark.slow
def test_inductor_s_code_trains_as_eager_does_and_is_found_in_the_cache_again(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    job = make_job(backbone=NO_DROPOUT, numerics=numerics(True), tricks=PARTS)
    eager = train(open_run(make_job(backbone=NO_DROPOUT, tricks=PARTS), Owners()))
    trained = []
    for _ in range(2):
        torch._dynamo.reset()
        counters.clear()
        run = open_run(job, Owners())
        warm_up(run)
        trained.append(train(run))
    assert (tmp_path / "cache" / "inductor").is_dir()
    hits = counters["aot_autograd"]["autograd_cache_hit"] + counters["inductor"]["fxgraph_cache_hit"]
    assert hits >= 1 and counters["inductor"]["fxgraph_cache_miss"] == 0
    assert equal(*trained)
    for ours, theirs in zip(trained[0], eager, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.slow
def test_logits_outlive_a_step_that_is_recorded_as_cuda_graphs(make_job: Callable[..., Job]) -> None:
    job = make_job(numerics=numerics("reduce-overhead"), tricks=PARTS)
    run = open_run(Job.from_json({**job.to_json(), "device": "cuda:0"}), Owners())
    warm_up(run)
    batches = run.training_batches(2)
    kept = []
    for batch in batches:
        torch.compiler.cudagraph_mark_step_begin()
        logits = run.forward(batch)
        kept.append((logits, logits.clone()))
    for logits, copied in kept:
        assert torch.equal(logits, copied)
    train(run)
