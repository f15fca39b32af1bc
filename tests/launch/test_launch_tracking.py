"""Trackers are told what the launcher hears; one that fails, hangs or falls behind changes nothing of a run."""

import threading
from types import SimpleNamespace

import pytest

from harness.contract import Tracker, TrialTracking
from harness.launch.tracking import Tracking, curve_points, mask

SECRET = "s3cr3t-of-mine"


class Told:
    """A progress that keeps what it is told."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments, **named: self.calls.append((name, *arguments))

    def said(self):
        return [call[1] for call in self.calls if call[0] == "say"]


class Memory(Tracker):
    """Keeps its calls; waits for `gate`, and raises where it is told to."""

    def __init__(self, raises_at=(), gate=None):
        self.calls = []
        self.threads = set()
        self.raises_at = raises_at
        self.gate = gate

    def call(self, name, *arguments):
        if self.gate is not None:
            self.gate.wait()
        self.threads.add(threading.current_thread().name)
        self.calls.append((name, *arguments))
        if name in self.raises_at:
            raise RuntimeError(f"no route to http://me:{SECRET}@tracker.example\nand more")

    def begin(self, trial, recipe):
        self.call("begin", trial, recipe)
        return Following(self, trial)

    def close(self):
        self.call("close")

    def names(self):
        return [call[0] for call in self.calls]


class Following(TrialTracking):
    def __init__(self, memory, trial):
        self.memory, self.trial = memory, trial

    def scalars(self, step, values):
        self.memory.call("scalars", self.trial.id, step, dict(values))

    def end(self, record):
        self.memory.call("end", record)


PLAN = {"suite": "toy", "hash": "abc", "arms": [{"name": "plain", "recipe": {"batch_size": 8}}]}
RECORD = {
    "status": "completed",
    "curves": {"epoch": [1, 2], "train_loss": [2.0, 1.0], "validation_loss": [None, 1.5]},
    "budget": {"steps": 10, "epochs": 2.0},
}


def trials(count):
    return [SimpleNamespace(id=f"id{r}", arm="plain", replicate=r) for r in range(count)]


def tracking_of(tmp_path, *trackers, **more):
    told = Told()
    names = {f"t{index}": tracker for index, tracker in enumerate(trackers)}
    return told, Tracking(names, tmp_path / "tracking", told, told.notify, **more)


def run_trials(tracking, count=2, record=RECORD):
    ours = trials(count)
    tracking.notify("harness_suite_started", suite=PLAN, trials=ours)
    tracking.begin("trials", count)
    for trial in ours:
        label = f"plain #{trial.replicate}"
        tracking.message(label, {"kind": "phase", "name": "train"})
        tracking.message(label, {"kind": "step", "step": 5, "total": 10})
        tracking.finished(label, "completed", 1.0)
        tracking.notify("harness_trial_finished", trial=trial, record=record)
    tracking.begin("timings", 3)
    tracking.message("plain round 0", {"kind": "step", "step": 1, "total": 2})
    tracking.close()


def test_a_tracker_hears_of_each_trial_in_order_and_in_a_thread_of_its_own(tmp_path):
    memory = Memory()
    told, tracking = tracking_of(tmp_path, memory)
    run_trials(tracking)
    assert memory.names() == [*(["begin", *["scalars"] * 3, "end"] * 2), "close"]
    _, first, recipe = memory.calls[0]
    assert (first.suite, first.plan, first.id, first.arm, first.replicate) == (
        "toy",
        "abc",
        "id0",
        "plain",
        0,
    )
    assert first.folder == tmp_path / "tracking" / "t0" and recipe == {"batch_size": 8}
    # Two epochs of five steps each; what is null is left out.
    assert memory.calls[1:4] == [
        ("scalars", "id0", 5, {"progress": 0.5}),
        ("scalars", "id0", 5, {"train_loss": 2.0}),
        ("scalars", "id0", 10, {"train_loss": 1.0, "validation_loss": 1.5}),
    ]
    assert memory.calls[4] == ("end", RECORD)
    assert memory.threads == {"tracker t0"}
    assert told.said() == []
    kinds = [call[0] for call in told.calls]
    # What shows the run and the plugins' hooks hear what they heard without trackers.
    assert kinds.count("begin") == 2 and kinds.count("finished") == 2 and kinds.count("message") == 5
    assert kinds.count("close") == 1


@pytest.mark.parametrize("place", ["begin", "scalars", "end", "close"])
def test_one_that_raises_is_told_once_and_left_out_and_the_others_go_on(tmp_path, place):
    bad, good = Memory(raises_at=(place,)), Memory()
    told, tracking = tracking_of(tmp_path, bad, good, wait_seconds=3600.0)
    run_trials(tracking, 3)
    assert bad.names().count(place) == 1 and bad.names()[-1] == place
    assert len(good.names()) == 3 * 5 + 1
    (line,) = told.said()
    assert line == (
        "tracker t0 is left out of the rest of this run: RuntimeError: no route to http://tracker.example"
    )


def test_one_that_hangs_holds_up_a_run_no_longer_than_stated(tmp_path):
    gate = threading.Event()
    hanging, good = Memory(gate=gate), Memory()
    told, tracking = tracking_of(tmp_path, hanging, good, wait_seconds=0.2)
    run_trials(tracking, 5)  # returns at all: the gate opens only afterwards
    gate.set()
    assert told.said() == ["tracker t0 is left out of the rest of this run: it had not caught up after 0.2 s"]
    assert good.names()[-1] == "close"


def test_one_that_falls_behind_loses_progress_first_and_is_then_left_out(tmp_path):
    gate = threading.Event()
    slow = Memory(gate=gate)
    told, tracking = tracking_of(tmp_path, slow, wait_seconds=0.1, room=20)
    tracking.notify("harness_suite_started", suite=PLAN, trials=trials(9))
    for _ in range(1000):
        tracking.message("plain #0", {"kind": "step", "step": 1, "total": 10})
    assert told.said() == []
    for trial in trials(9):
        tracking.notify("harness_trial_finished", trial=trial, record=RECORD)
    assert told.said() == ["tracker t0 is left out of the rest of this run: it is 20 calls behind"]
    gate.set()


def test_nothing_waits_for_a_tracker_between_the_two_places(tmp_path):
    gate = threading.Event()
    hanging = Memory(gate=gate)
    _, tracking = tracking_of(tmp_path, hanging, wait_seconds=3600.0)
    tracking.notify("harness_suite_started", suite=PLAN, trials=trials(50))
    for trial in trials(50):
        tracking.message(f"plain #{trial.replicate}", {"kind": "step", "step": 1, "total": 10})
        tracking.notify("harness_trial_finished", trial=trial, record=RECORD)
    gate.set()  # only now: had anything waited, this line would not have been reached
    tracking.close()
    assert hanging.names().count("end") == 50


def test_secrets_of_the_environment_do_not_reach_a_tracker(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", SECRET)
    monkeypatch.setenv("MY_PLAIN_WORD", "ordinary-word")
    memory = Memory()
    _, tracking = tracking_of(tmp_path, memory)
    record = {
        **RECORD,
        "culprit": {"error": f"401 for {SECRET}, ordinary-word", "traceback": f"https://u:{SECRET}@h/x"},
    }
    run_trials(tracking, 1, record)
    end = memory.calls[-2][1]
    assert end["culprit"] == {"error": "401 for (masked), ordinary-word", "traceback": "https://(masked)@h/x"}
    assert SECRET not in str(memory.calls)


def test_masking_leaves_numbers_and_shapes_alone():
    value = {"a": [1, 2.5, None, True, "x"], "b": {"c": ("secretword", 1)}}
    assert mask(value, ["secretword"]) == {"a": [1, 2.5, None, True, "x"], "b": {"c": ["(masked)", 1]}}


def test_curves_without_a_budget_are_by_epoch_and_a_dead_trials_record_has_none():
    points = list(curve_points({"curves": {"epoch": [1, 2], "train_loss": [0.5, 0.25]}}))
    assert points == [(1, {"train_loss": 0.5}), (2, {"train_loss": 0.25})]
    assert list(curve_points({"status": "crashed"})) == []
    assert list(curve_points({"curves": {"epoch": None}})) == []


def test_a_run_with_a_tracker_that_raises_has_the_records_of_one_without(launch, tmp_path):
    told = Told()
    tracking = Tracking({"bad": Memory(raises_at=("scalars",))}, tmp_path, told, told.notify)
    plan = launch.plan(arms=("plain", "other"), replicates=2, rounds=1)
    summary, store = launch(plan, progress=tracking, notify=tracking.notify)
    tracking.close()
    assert (summary.done, summary.failed, summary.exit_code) == (4, 0, 0)
    reading = store.read(plan.to_json())
    assert len(reading.good()) == 4 and len(reading.timings) == 2
    # The fake's records have no curves: the results at the end are all that it heard after begin, or its only call.
    assert len(told.said()) <= 1
