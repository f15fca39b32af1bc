"""A trick that misbehaves while it trains: its own trial tells who it was, and no other trial's numbers move."""

import time

import psutil
import pytest

pytestmark = pytest.mark.slow

PLUGIN = '''
"""A trick with every fault."""
import os, random, subprocess, sys, threading, time
from dataclasses import dataclass, replace
from pathlib import Path
from harness.contract import Slots, Trick, hookimpl

HERE = Path(__file__).parent

@dataclass(frozen=True)
class Fault(Trick):
    """Misbehave in one way."""
    how: str

    def bind(self, ctx):
        import numpy as np
        import torch
        steps = iter(range(10**9))
        match self.how:
            case "raises in bind":
                raise RuntimeError("not bound")
            case "misspelt slot":
                return Slots(btach=None)
            case "flips a flag":
                torch.set_default_dtype(torch.float64)
                torch.set_default_dtype(torch.float32)
                torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
            case "patches the clock":
                time.perf_counter = lambda: 0.0
            case "leaks a thread":
                threading.Thread(target=time.sleep, args=(600,)).start()

        def batch(batch):
            step = next(steps)
            match self.how:
                case "raises":
                    if step == 7:
                        raise RuntimeError("I do not like \\x1b[31mthis batch")
                case "none":
                    return None
                case "wrong shape":
                    return batch.with_image(batch.image[:-1])
                case "wrong type":
                    return batch.with_image(batch.image.double())
                case "wrong target":
                    return batch.with_target(batch.dense_target(ctx.num_classes) * 2)
                case "in place":
                    batch.target.zero_()
                case "nan":
                    if step == 7:
                        return batch.with_image(batch.image * float("nan"))
                case "nan at once":
                    return batch.with_image(batch.image * float("nan"))
                case "seeds":
                    torch.manual_seed(0); np.random.seed(0); random.seed(0)
                    torch.rand(3); np.random.rand(3); random.random()
                case "exits":
                    sys.exit(0)
                case "exits hard":
                    os._exit(0)
                case "prints":
                    print("x" * 1_000_000)
                case "leaks a process":
                    if step == 0:
                        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                        (HERE / "leaked").write_text(str(child.pid))
                case "hangs":
                    if step == 7:
                        hang_in_here()
                case "allocates":
                    if step == 7:
                        torch.empty(10**15)
            return batch

        return Slots(batch=batch)

def hang_in_here():
    while True:
        time.sleep(1)

@hookimpl
def harness_register(registry):
    registry.add("trick", "fault", Fault, summary="every fault")
'''

# By what it does: the status of its record, the slot that is named, and what is told.
STOPS = {
    "raises in bind": ("failed", "bind", "not bound"),
    "misspelt slot": ("failed", "bind", "btach"),
    "raises": ("failed", "batch", "I do not like"),
    "none": ("failed", "batch", "expected a Batch, got None"),
    "wrong shape": ("failed", "batch", "expected image like float32 (16, 1, 8, 8)"),
    "wrong type": ("failed", "batch", "got float64 (16, 1, 8, 8)"),
    "wrong target": ("failed", "batch", "does not sum to one"),
    "in place": ("failed", "batch", "wrote into the batch's target in place"),
    "nan at once": ("failed", "batch", "image holds NaN or infinite values"),
    "nan": ("diverged", None, "NaN or infinite"),
    "exits": ("failed", "batch", "SystemExit"),
    "exits hard": ("crashed", None, "exited with code 0 and left no record"),
    "hangs": ("timeout", None, "no progress for 20 s"),
    "allocates": ("oom", None, "out of memory at batch size 16"),
}
GOES_ON = ("flips a flag", "patches the clock", "seeds", "leaks a thread", "leaks a process", "prints")


def arm_name(how):
    return how.replace(" ", "-")


def arms_of(faults):
    return "".join(
        f'[arms.{arm_name(how)}]\ntricks = [{{ name = "fault", how = "{how}" }}]\n' for how in faults
    )


@pytest.fixture(scope="module")
def finished(new_place):
    """Run the baseline, an arm that works and every fault."""
    place = new_place()
    place.write("fault.py", PLUGIN)
    arms = '[arms.works]\ntricks = ["toy-penalty"]\n' + arms_of([*STOPS, *GOES_ON])
    place.suite(arms, plugins=["fault.py"], epochs=5)
    began = time.monotonic()
    done = place.run("run", "toy.toml", "--timeout", "20", code=5)
    print(f"{len(STOPS) + len(GOES_ON)} faults in {time.monotonic() - began:.0f} s")
    return place, done


@pytest.mark.parametrize("how", STOPS)
def test_a_trial_that_a_plugin_ends_names_it(finished, how):
    place, done = finished
    status, slot, told = STOPS[how]
    (record,) = [record for (arm, _, _), record in place.records().items() if arm == arm_name(how)]
    culprit = record["culprit"]
    assert record["status"] == status, culprit
    assert told in culprit["error"]
    assert culprit["slot"] == slot
    if status == "failed":
        assert culprit["plugin"] == "trick fault"
    if how in ("raises", "allocates"):
        assert culprit["step"] == 7
    if how == "hangs":
        assert "hang_in_here" in culprit["traceback"]
    assert record["results"] is None or record["results"]["test"] is None
    row = place.rows()[arm_name(how)]
    assert row["replicates"]["failed"] == 1
    assert row["verdict"] is None
    assert row["images_per_second"] is None
    (failure,) = [one for one in place.board()["failures"] if one["arm"] == arm_name(how)]
    assert (failure["status"], failure["counted"]) == (status, True)
    assert told in done.stderr or status == "diverged"


def test_terminal_escapes_of_a_plugin_reach_neither_terminal_nor_page(finished):
    place, done = finished
    assert "\x1b" not in done.stderr + done.stdout
    for path in place.results.glob("leaderboard.*"):
        assert "\x1b" not in path.read_text(), path.name


def test_the_other_trials_are_unaffected(finished, new_place):
    place, _ = finished
    alone = new_place()
    alone.suite('[arms.works]\ntricks = ["toy-penalty"]\n', epochs=5)
    alone.run("run", "toy.toml")
    for key, record in alone.completed().items():
        for field in ("digests", "results", "curves", "changes"):
            assert place.completed()[key][field] == record[field], (key, field)


def test_no_process_is_left_of_all_that(finished):
    place, _ = finished
    leaked = int((place.folder / "leaked").read_text())
    assert not psutil.pid_exists(leaked) or psutil.Process(leaked).status() == psutil.STATUS_ZOMBIE
    assert place.all_gone()


def test_what_is_printed_is_capped(finished):
    place, _ = finished
    logs = [path.stat().st_size for path in place.results.rglob("*.log")]
    assert logs
    assert 900_000 < max(logs) < 1_100_000


@pytest.mark.parametrize(
    ("how", "changed"),
    [
        ("flips a flag", "torch.backends.cudnn.benchmark"),
        ("patches the clock", "time.perf_counter"),
        ("seeds", "the global state of numpy.random"),
    ],
)
def test_changed_global_state_is_told_in_record_and_row(finished, how, changed):
    place, _ = finished
    record = place.completed()[arm_name(how), 0]
    assert changed in record["changes"]
    assert any(changed in stamp for stamp in place.rows()[arm_name(how)]["stamps"])


def test_streams_of_the_harness_do_not_hang_on_global_generators(finished):
    place, _ = finished
    plain = place.completed()["plain", 0]
    for how in ("seeds", "flips a flag", "patches the clock", "prints", "leaks a thread"):
        assert place.completed()[arm_name(how), 0]["digests"] == plain["digests"], how
    assert not plain["changes"]


def test_an_arm_that_changed_global_state_has_no_verdict_and_another_has_one(place):
    place.write("fault.py", PLUGIN)
    arms = '[arms.works]\ntricks = ["toy-penalty"]\n' + arms_of(["flips a flag"])
    place.suite(arms, plugins=["fault.py"], verdicts=True, replicates=3, epochs=3)
    place.run("run", "toy.toml")
    rows = place.rows()
    assert rows["works"]["verdict"] is not None
    assert rows["flips-a-flag"]["verdict"] is None
    assert "changed global state" in " ".join(rows["flips-a-flag"]["stamps"])


def test_check_finds_them_before_a_run(place):
    place.write("fault.py", PLUGIN)
    found = ("none", "wrong shape", "raises in bind", "misspelt slot", "exits", "exits hard")
    place.suite('[arms.works]\ntricks = ["toy-penalty"]\n' + arms_of(found), plugins=["fault.py"])
    done = place.run("check", "toy.toml", code=1)
    assert "works: ok" in done.stdout
    assert "plain: ok" in done.stdout
    for how in found:
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{arm_name(how)}: ")]
        assert how == "exits hard" or "fault" in line
    assert f"{len(found)} of {len(found) + 2} arms do not work" in done.stderr


def test_a_broken_file_stops_a_run_unless_it_is_to_keep_going_and_then_is_a_failed_row(place):
    place.write("broken.py", "import a_package_that_nobody_has\n")
    place.suite('[arms.gone]\ntricks = ["gone"]\n', plugins=["broken.py"])
    assert "a_package_that_nobody_has" in place.run("run", "toy.toml", code=2).stderr
    assert not place.results.exists()
    place.run("run", "toy.toml", "--keep-going", code=5)
    rows = place.rows()
    assert rows["plain"]["replicates"]["good"] == 1
    assert rows["gone"]["verdict"] is None
    assert any(stamp.startswith("not run: ") and "gone" in stamp for stamp in rows["gone"]["stamps"])
