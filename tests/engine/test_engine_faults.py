"""Faults: who is blamed, what is put back, what memory running out looks like, and what a stopped trial keeps."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.culprit import Owners, is_out_of_memory
from harness.engine.timing import time_arm
from harness.engine.trial import open_run, run_trial
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

FILE = """
import random, time
from dataclasses import dataclass
import numpy, torch
from harness.contract import *

def helper():
    {helper}

@dataclass(frozen=True)
class Wrapping(Trick):
    stage = Stage.AVERAGE
    def plan(self, plan):
        {plan}
        return plan
    def model(self, model, ctx):
        {model}
        return model
    def bind(self, ctx):
        {bind}
        def wrap(inner):
            def update(closure):
                {update}
                return inner(closure)
            return update
        def batch(batch):
            {batch}
            return batch
        def observe():
            {observe}
            return 1.0
        return Slots(batch=batch, update=wrap, observe=observe)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 3)
    def forward(self, image):
        {forward}
        return self.layer(image.flatten(1){tail})

@dataclass(frozen=True)
class Small(Backbone):
    def build(self, info):
        {build}
        return Net()

@dataclass(frozen=True)
class Count(Metric):
    def compute(self, logits, target):
        {compute}
        return logits.zero_().sum()

@dataclass(frozen=True)
class Top(Metric):
    def compute(self, logits, target):
        return float((logits.argmax(1) == target).float().mean() * 100)

@dataclass(frozen=True)
class Steady(Schedule):
    def rate(self, progress):
        {rate}
        return 1.0

@hookimpl
def harness_register(registry):
    registry.add("trick", "wrapping", Wrapping, summary="an update around everything")
    registry.add("backbone", "small", Small, summary="one layer")
    registry.add("metric", "count", Count, summary="writes into what it is given")
    registry.add("metric", "top", Top, summary="top-1")
    registry.add("schedule", "steady", Steady, summary="the base rate")
"""
PLACES = (
    "helper",
    "plan",
    "model",
    "bind",
    "update",
    "batch",
    "observe",
    "forward",
    "build",
    "compute",
    "rate",
)


@pytest.fixture
def faulty(tmp_path: Path, make_job: Callable[..., Job]) -> Callable[..., Job]:
    def make(place: str = "", statement: str = "pass", *, tail: str = "", **changes: Any) -> Job:
        file = tmp_path / "faulty.py"
        file.write_text(
            FILE.format(**{**dict.fromkeys(PLACES, "pass"), place or "plan": statement}, tail=tail)
        )
        recipe = {
            "backbone": component("small"),
            "tricks": [component("wrapping")],
            "schedule": {**component("steady"), "warmup": 0.0},
            "metrics": [component("count"), component("top")],
        }
        return make_job(plugins=(TOYS, str(file)), **{**recipe, **changes})

    return make


def trial(job: Job, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    return run_trial(job, report=lambda _: None, stop=stop)


@pytest.mark.parametrize(
    ("place", "plugin", "slot"),
    [
        ("plan", "trick wrapping", "plan"),
        ("model", "trick wrapping", "model"),
        ("bind", "trick wrapping", "bind"),
        ("update", "trick wrapping", "update"),
        ("batch", "trick wrapping", "batch"),
        ("observe", "trick wrapping", "observe"),
        ("build", "backbone small", "build"),
        ("compute", "metric count", "compute"),
        ("rate", "schedule steady", "rate"),
    ],
)
@pytest.mark.parametrize("statement", ["raise ValueError('planted')", "torch.zeros(2) @ torch.zeros(3)"])
def test_the_component_and_its_slot_are_named_wherever_it_raises(
    faulty: Callable[..., Job], place: str, plugin: str, slot: str, statement: str
) -> None:
    outcome = trial(faulty(place, statement))
    assert outcome["status"] == "failed"
    assert (outcome["culprit"]["plugin"], outcome["culprit"]["slot"]) == (plugin, slot)


def test_a_helper_in_a_shared_file_stays_its_callers(faulty: Callable[..., Job]) -> None:
    job = faulty("batch", "helper()")
    path = Path(job.plugins[1])
    path.write_text(
        path.read_text().replace("def helper():\n    pass", "def helper():\n    raise KeyError(1)")
    )
    culprit = trial(job)["culprit"]
    assert (culprit["plugin"], culprit["slot"]) == ("trick wrapping", "batch")


def test_an_update_around_the_step_is_not_blamed_for_what_fails_in_the_backbone(
    faulty: Callable[..., Job],
) -> None:
    culprit = trial(faulty(tail="[:, :9]"))["culprit"]
    assert "shapes cannot be multiplied" in culprit["error"]
    assert culprit["plugin"] != "trick wrapping" and "backbone small" in culprit["plugin"]
    wrong = trial(faulty(tail=")[:, :2].clone(", backbone=component("small")))["culprit"]
    assert (wrong["plugin"], wrong["slot"]) == ("backbone small", "forward")


def test_no_metric_sees_what_another_wrote_into_its_logits(faulty: Callable[..., Job]) -> None:
    test = trial(faulty())["results"]["test"]
    assert test["metrics"] == {"count": 0.0, "top": pytest.approx(test["top1"], abs=1e-4)}
    culprit = trial(faulty("compute", "return None"))["culprit"]
    assert (culprit["plugin"], culprit["slot"]) == ("metric count", "compute")


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("torch.rand(1)", "torch's global generator, from which trick wrapping draws in its batch slot"),
        (
            "torch.manual_seed(0)",
            "torch's global generator, from which trick wrapping draws in its batch slot",
        ),
        ("numpy.random.rand()", "the global state of numpy.random"),
        ("random.random()", "the global state of Python's random"),
        ("torch.backends.cuda.matmul.fp32_precision = 'tf32'", "torch.set_float32_matmul_precision"),
    ],
)
def test_unkeyed_chance_and_global_flags_are_named_and_move_nobody(
    faulty: Callable[..., Job], statement: str, named: str
) -> None:
    clean = trial(faulty())
    meddled = trial(faulty("batch", statement))
    assert meddled["status"] == "completed", meddled["culprit"]
    assert clean["changes"] == [] and meddled["changes"] == [named]
    assert meddled["digests"] == clean["digests"]
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_was_changed_before_a_stop_is_in_the_record_of_the_resumed_trial(
    faulty: Callable[..., Job],
) -> None:
    once = "random.seed(0) if ctx.step == 0 else None"
    assert trial(faulty("batch", once), stop=lambda: True)["status"] == "preempted"
    resumed = trial(faulty("batch", once))
    assert resumed["resumed_from_step"] == 10
    assert resumed["changes"] == ["the global state of Python's random"]


def test_a_clock_that_a_plugin_replaces_times_nothing(faulty: Callable[..., Job]) -> None:
    clock = "time.perf_counter = time.monotonic = lambda: 0.0"
    import time

    kept = time.perf_counter, time.monotonic
    try:
        timing = time_arm(faulty("bind", clock), report=lambda _: None)
    finally:
        time.perf_counter, time.monotonic = kept
    # It ends at all: a measurement by the replaced clock would never come to its seconds.
    assert (timing["status"], timing["images_per_second"]) == ("failed", None)
    assert "a plugin changed time.perf_counter, time.monotonic" in timing["culprit"]["error"]
    assert trial(faulty("bind", clock))["changes"] == ["time.perf_counter", "time.monotonic"]
    assert (time.perf_counter, time.monotonic) == kept


@pytest.mark.parametrize(
    "statement",
    ["raise MemoryError", "raise RuntimeError('CUDA error: out of memory')", "torch.empty(2**60)"],
)
def test_memory_that_runs_out_is_nobodys_fault_and_a_result(
    faulty: Callable[..., Job], statement: str
) -> None:
    outcome = trial(faulty("update", statement))
    assert outcome["status"] == "oom"
    assert outcome["culprit"]["plugin"] is None
    assert "out of memory at batch size 8" in outcome["culprit"]["error"]
    assert outcome["memory"]["peak_resident_bytes"] > 0


def test_only_the_lack_of_memory_is_taken_for_it() -> None:
    assert is_out_of_memory(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("amount", [0.1, 2.35, 3.0])
def test_a_trial_stopped_anywhere_in_a_ragged_budget_goes_on_bit_for_bit(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, amount: float
) -> None:
    """With a window of three steps it stops in the middle of an epoch, and no validation split is there."""
    monkeypatch.setattr("harness.engine.trial.WINDOW", 3)
    changes: dict[str, Any] = {
        "dataset": {**component("toy-dataset"), "validation": 0.0},
        "backbone": component("toy-net", width=8, batch_norm=True, dropout=0.2),
        "augmentations": [component("toy-noise", strength=0.5)],
        "tricks": [component("toy-ascent", rho=0.05), component("toy-parts", parts=3)],
        "metrics": [component("toy-error")],
        "budget": {"unit": "epochs", "amount": amount},
    }
    straight = trial(make_job(**changes))
    assert straight["status"] == "completed", straight["culprit"]
    assert straight["results"]["validation"] is None and straight["curves"]["validation_loss"] == []
    assert straight["curves"]["epoch"][-1] == pytest.approx(round(amount * 12) / 12)
    attempts = []
    for _ in range(100):
        attempts.append(trial(make_job(**changes), stop=lambda: True))
        if attempts[-1]["status"] != "preempted":
            break
    assert len(attempts) > amount
    last = attempts[-1]
    for key in ("digests", "curves", "results", "budget"):
        assert last[key] == straight[key], key
    assert last["seconds"]["total"] >= sum(last["seconds"][name] for name in ("build", "train", "evaluate"))


def test_checkpoints_are_left_within_an_epoch_when_they_are_due(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr("harness.engine.trial.WINDOW", 4)
    monkeypatch.setattr(
        "harness.engine.trial.save_checkpoint", lambda run, folder, kept: saved.append(kept["step"])
    )
    job = make_job(budget={"unit": "epochs", "amount": 2})
    object.__setattr__(job, "checkpoint_seconds", 0.0)
    assert trial(job)["status"] == "completed"
    assert saved == [4, 8, 10, 14, 18]


def test_a_loss_that_is_no_number_in_the_only_step_is_seen(make_job: Callable[..., Job]) -> None:
    job = make_job(tricks=[component("toy-penalty", weight=1e300)], budget={"unit": "steps", "amount": 1})
    assert trial(job)["status"] == "diverged"


def test_an_eval_batch_that_gives_no_logits_is_refused(faulty: Callable[..., Job]) -> None:
    culprit = trial(faulty("forward", "return self.layer(image.flatten(1)) if self.training else image"))[
        "culprit"
    ]
    assert (culprit["plugin"], culprit["slot"]) == ("backbone small", "forward")
    assert "expected logits (7, 3)" in culprit["error"]


def test_the_generators_of_a_cpu_run_are_the_global_one_alone(make_job: Callable[..., Job]) -> None:
    assert open_run(make_job(), Owners()).step.generators == [torch.default_generator]


LOW = """
from dataclasses import dataclass
import torch
from harness.contract import *

class Momentum(torch.optim.Optimizer):
    def __init__(self, groups, lr):
        super().__init__(groups, {"lr": lr, "kind": torch.bfloat16, "bound": float("inf")})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            assert group["kind"] is torch.bfloat16 and group["bound"] == float("inf")
            for parameter in group["params"]:
                state = self.state[parameter]
                if "sum" not in state:
                    state["sum"] = torch.zeros_like(parameter, dtype=group["kind"])
                state["sum"].mul_(0.9).add_(parameter.grad)
                parameter.sub_(state["sum"].float(), alpha=group["lr"])

@dataclass(frozen=True)
class Low(Optimizer):
    lr: float = 0.05
    def build(self, groups):
        return Momentum(groups, self.lr)

@hookimpl
def harness_register(registry):
    registry.add("optimizer", "low", Low, summary="momentum in half precision")
"""


def test_an_optimizer_with_state_in_another_type_and_settings_that_are_no_json_resumes_exactly(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    file = tmp_path / "low.py"
    file.write_text(LOW)
    job = make_job(plugins=(TOYS, str(file)), optimizer=[{**component("low", lr=0.05), "parameters": "all"}])
    straight = trial(job)
    assert straight["status"] == "completed", straight["culprit"]
    assert trial(job, stop=lambda: True)["status"] == "preempted"
    resumed = trial(job)
    assert resumed["resumed_from_step"] == 10
    assert resumed["digests"] == straight["digests"]
