"""What a trial's outcome holds, how it stops, and how it goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.engine.checkpoint import NAME
from harness.engine.culprit import Owners
from harness.engine.foundation import budget_steps, rate_table
from harness.engine.parameters import groups_by_selector
from harness.engine.timing import spread_of, time_arm
from harness.engine.trial import open_run, run_trial
from harness.errors import HarnessError
from harness.suite.plan import Job
from harness.testing.jobs import TOYS
from harness.testing.toys import ToyConstant

BACKBONE = {"name": "toy-net", "params": {"width": 8, "batch_norm": True, "dropout": 0.2}}
NOISE = [{"name": "toy-noise", "params": {"strength": 0.5}}]


def run(job: Job, stop: Callable[[], bool] = lambda: False) -> dict:
    return run_trial(job, report=lambda _: None, stop=stop)


def test_the_outcome_holds_curves_results_budget_and_memory(make_job: Callable[..., Job]) -> None:
    outcome = run(make_job(metrics=[{"name": "toy-error", "params": {}}]))
    assert outcome["status"] == "completed", outcome["culprit"]
    test = outcome["results"]["test"]
    assert test["count"] == 48
    assert test["metrics"]["toy-error"] == pytest.approx(100 - test["top1"], abs=1e-4)
    assert test["top1"] > 80 > outcome["chance_top1"] == pytest.approx(100 / 3)
    curves = outcome["curves"]
    assert curves["epoch"] == [1, 2, 3, 4, 5]
    assert curves["train_loss"][0] > curves["train_loss"][-1]
    assert len(curves["validation_loss"]) == len(curves["validation_top1"]) == 5
    # 96 samples, 32 a class, 3 of each held out: 87 are trained on, ten full batches of 8.
    assert outcome["budget"]["steps"] == 50
    assert outcome["budget"]["samples"] == 400
    # Two matrix products forward (64x8 and 8x3), their weights' gradients, and one gradient passed back:
    # 2 operations a multiply-add, batch of 8.
    assert outcome["budget"]["flops_per_step"] == 2 * 8 * (2 * 64 * 8 + 3 * 8 * 3)
    assert outcome["parameters"] == 64 * 8 + 8 + 8 * 3 + 3
    assert outcome["memory"]["peak_resident_bytes"] > 2**20
    assert outcome["memory"]["peak_allocated_bytes"] is None
    assert outcome["changes"] == []


def test_two_passes_show_in_the_flops(make_job: Callable[..., Job]) -> None:
    plain = run(make_job())["budget"]["training_flops"]
    ascent = run(make_job(tricks=[{"name": "toy-ascent", "params": {"rho": 0.05}}]))["budget"][
        "training_flops"
    ]
    assert ascent == 2 * plain


@pytest.mark.parametrize("stop_at", [1, 2, 3])
def test_a_resumed_trial_equals_a_straight_one_bit_for_bit(
    make_job: Callable[..., Job], stop_at: int
) -> None:
    changes = {
        "backbone": BACKBONE,
        "augmentations": NOISE,
        "tricks": [{"name": "toy-ascent", "params": {"rho": 0.05}}],
    }
    straight = run(make_job(**changes))
    asked = iter(range(1000))
    halted = run(make_job(**changes), stop=lambda: next(asked) >= stop_at)
    assert halted["status"] == "preempted"
    resumed = run(make_job(**changes))
    assert resumed["resumed_from_step"] == (stop_at + 1) * 10
    assert resumed["digests"] == straight["digests"]
    assert resumed["curves"] == straight["curves"]
    assert resumed["results"] == straight["results"]


def test_a_damaged_checkpoint_costs_time_and_nothing_else(make_job: Callable[..., Job]) -> None:
    straight = run(make_job())
    run(make_job(), stop=lambda: True)
    path = Path(make_job().folder) / NAME
    path.write_bytes(path.read_bytes()[:200])
    again = run(make_job())
    assert again["resumed_from_step"] is None
    assert again["digests"] == straight["digests"]


def test_a_loss_that_is_no_number_ends_the_trial_as_diverged(make_job: Callable[..., Job]) -> None:
    job = make_job(
        optimizer=[{"name": "toy-sgd", "params": {"lr": 1e20, "momentum": 0.9}, "parameters": "all"}],
        budget={"unit": "steps", "amount": 10_000},
    )
    outcome = run(job)
    assert outcome["status"] == "diverged"
    assert outcome["budget"]["steps"] <= 60
    assert outcome["results"]["test"] is None


FAULTY = """
from dataclasses import dataclass
from harness.contract import *

def once(batch):
    return {body}

@dataclass(frozen=True)
class Faulty(Trick):
    stage = Stage.TARGET
    def bind(self, ctx):
        import random, torch
        ctx_classes = ctx.num_classes
        def function(batch):
            {statement}
            return {body}
        return Slots(**{{"{slot}": function}})

@hookimpl
def harness_register(registry):
    registry.add("trick", "faulty", Faulty, summary="broken on purpose")
"""


@pytest.mark.parametrize(
    ("slot", "statement", "body", "said"),
    [
        ("batch", "", "None", "expected a Batch, got None"),
        ("batch", "", "batch.with_image(batch.image[:, :, 0])", "expected image like float32 (8, 1, 8, 8)"),
        ("batch", "", "batch.with_image(batch.image.double())", "got float64"),
        ("batch", "", "batch.with_image(batch.image / 0)", "NaN or infinite"),
        (
            "batch",
            "",
            "batch.with_target(batch.target.float())",
            "expected targets int64 (8,) or float (8, 3)",
        ),
        ("batch", "", "batch.with_target(torch.ones(8, 3))", "does not sum to one"),
        ("batch", "batch.target.zero_()", "batch", "wrote into the batch's target in place"),
        ("batch", "raise KeyError('lost')", "batch", "KeyError"),
        ("batch", "raise SystemExit(3)", "batch", "SystemExit"),
        ("eval_model", "", "None", "expected a Module, got None"),
    ],
)
def test_a_faulty_slot_fails_the_trial_and_is_named(
    make_job: Callable[..., Job], tmp_path: Path, slot: str, statement: str, body: str, said: str
) -> None:
    file = tmp_path / "faulty.py"
    file.write_text(FAULTY.format(slot=slot, statement=statement or "pass", body=body))
    base = make_job()
    outcome = run(make_job(plugins=(*base.plugins, str(file)), tricks=[{"name": "faulty", "params": {}}]))
    assert outcome["status"] == "failed"
    culprit = outcome["culprit"]
    assert culprit["plugin"] == "trick faulty"
    assert culprit["slot"] == slot
    assert said in culprit["error"]


def test_global_state_that_a_plugin_moves_is_put_back_and_named(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    file = tmp_path / "meddler.py"
    statement = "torch.set_num_threads(2); random.seed(0); torch.backends.cudnn.allow_tf32 = True"
    file.write_text(FAULTY.format(slot="batch", statement=statement, body="batch"))
    base = make_job()
    outcome = run(make_job(plugins=(*base.plugins, str(file)), tricks=[{"name": "faulty", "params": {}}]))
    assert outcome["status"] == "completed"
    assert "torch.set_num_threads" in outcome["changes"]
    assert "the global state of Python's random" in outcome["changes"]
    assert torch.get_num_threads() == 1
    assert run(base)["digests"] == outcome["digests"]


def test_on_an_ascent_pass_no_batch_norm_tracks_statistics(make_job: Callable[..., Job]) -> None:
    job = make_job(backbone=BACKBONE, tricks=[{"name": "toy-ascent", "params": {"rho": 0.05}}])
    held = open_run(job, Owners())
    batches, seeds = held.begin_epoch(0)
    held.step(next(iter(batches)), seeds[:1])
    (norm,) = held.step.norms
    assert int(norm.num_batches_tracked) == 1
    assert norm.track_running_stats


def test_rates_rise_over_the_warm_up_and_follow_the_schedule_after_it() -> None:
    assert rate_table(ToyConstant(), 0.2, 10) == [0.5, 1.0] + [1.0] * 8
    assert rate_table(ToyConstant(), 0.0, 3) == [1.0] * 3


def test_every_unit_of_the_budget_comes_to_steps() -> None:
    assert budget_steps({"unit": "epochs", "amount": 1.5}, 32, 10) == 15
    assert budget_steps({"unit": "samples", "amount": 320}, 32, 10) == 10
    assert budget_steps({"unit": "steps", "amount": 7}, 32, 10) == 7


def test_selectors_share_out_the_parameters_and_refuse_gaps_and_overlaps() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(2, 3))

    def shapes(*selectors: str) -> list[list[int]]:
        groups = groups_by_selector(model, [{"parameters": selector} for selector in selectors])
        return [[parameter.ndim for parameter in group["params"]] for group in groups]

    assert shapes("all") == [[4, 1, 2, 1]]
    assert shapes("matrices", "rest") == [[2], [4, 1, 1]]
    assert shapes("filters", "vectors", "1.weight") == [[4], [1, 1], [2]]
    with pytest.raises(HarnessError, match=r"no entry takes the parameter 0\.weight"):
        shapes("matrices")
    with pytest.raises(HarnessError, match=r"two entries take the parameter 1\.weight"):
        shapes("matrices", "1.*", "rest")
    with pytest.raises(HarnessError, match=r'"head\.\*" takes no parameter'):
        shapes("all", "head.*")


def test_the_timing_pass_measures_steps_spread_and_memory(make_job: Callable[..., Job]) -> None:
    timing = time_arm(make_job(), report=lambda _: None)
    assert timing["status"] == "completed", timing["culprit"]
    assert timing["steady_steps"] >= 40 and 20 <= timing["warmup_steps"] <= 100
    median = timing["step_seconds"]["median"]
    assert timing["images_per_second"] == pytest.approx(8 / median)
    assert sum(timing["window_seconds"]) == pytest.approx(timing["seconds"]["steady"])
    assert timing["peak_memory_bytes"]["resident"] > 2**20
    assert timing["peak_memory_bytes"]["allocated"] is None


def test_a_timing_under_other_numerics_than_the_recipes_is_no_timing(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    file = tmp_path / "meddler.py"
    file.write_text(FAULTY.format(slot="batch", statement="torch.set_num_threads(2)", body="batch"))
    job = make_job(plugins=(TOYS, str(file)), tricks=[{"name": "faulty", "params": {}}])
    timing = time_arm(job, report=lambda _: None)
    assert (timing["status"], timing["images_per_second"]) == ("failed", None)
    assert "torch.set_num_threads" in timing["culprit"]["error"]
    assert torch.get_num_threads() == 1


def test_spread_by_hand() -> None:
    spread = spread_of([1.0, 2.0, 3.0, 4.0, 10.0])
    assert (spread["median"], spread["iqr"], spread["mad"]) == (3.0, 2.0, 1.0)
    assert spread["cv"] == pytest.approx(12.5**0.5 / 4)


FREEZER = """
from dataclasses import dataclass, replace
from harness.contract import Slots, Trick, hookimpl

@dataclass(frozen=True)
class Freezer(Trick):
    def plan(self, plan):
        return replace(plan, boundaries=(0.3, 0.7))
    def bind(self, ctx):
        layers = [m for m in ctx.model if list(m.parameters())]
        def phase():
            layers[0].requires_grad_(not 0.3 <= ctx.progress < 0.7)
        return Slots(phase=phase)

@hookimpl
def harness_register(registry):
    registry.add("trick", "freezer", Freezer, summary="a layer that rests in the middle")
"""


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_trial_that_resumes_behind_a_boundary_stands_where_a_straight_one_does(
    make_job: Callable[..., Job], tmp_path: Path, stop_at: int
) -> None:
    file = tmp_path / "freezer.py"
    file.write_text(FREEZER)
    changes = {"plugins": (TOYS, str(file)), "tricks": [{"name": "freezer", "params": {}}]}
    straight = run(make_job(**changes))
    assert straight["status"] == "completed", straight["culprit"]
    assert straight["digests"]["final_weights"] != run(make_job())["digests"]["final_weights"]
    asked = iter(range(1000))
    assert run(make_job(**changes), stop=lambda: next(asked) >= stop_at)["status"] == "preempted"
    assert run(make_job(**changes))["digests"] == straight["digests"]


def test_a_slot_that_does_not_exist_is_refused_with_the_nearest(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    file = tmp_path / "faulty.py"
    file.write_text(FAULTY.format(slot="btach", statement="pass", body="batch"))
    outcome = run(make_job(plugins=(TOYS, str(file)), tricks=[{"name": "faulty", "params": {}}]))
    assert 'there is no slot "btach"; did you mean "batch"?' in outcome["culprit"]["error"]
    assert (outcome["culprit"]["plugin"], outcome["culprit"]["slot"]) == ("trick faulty", "bind")


def test_bf16_trains_and_judges_in_float32_logits(make_job: Callable[..., Job]) -> None:
    numerics = {**make_job().recipe["numerics"], "precision": "bf16"}
    half, full = run(make_job(numerics=numerics)), run(make_job())
    assert half["status"] == "completed", half["culprit"]
    assert half["digests"]["initial_weights"] == full["digests"]["initial_weights"]
    assert half["digests"]["final_weights"] != full["digests"]["final_weights"]
    assert abs(half["results"]["test"]["nll"] - full["results"]["test"]["nll"]) < 0.1
