import itertools
import statistics
import tempfile
from pathlib import Path

import psutil
import pytest

from harness.board.gate import judge
from harness.launch import gate_sample
from harness.launch.gate_build import GateRefused, open_sides
from harness.launch.gate_measures import Series, measures_of, order_of
from harness.launch.gate_open import Sampling
from harness.launch.gate_sample import Bench
from harness.launch.progress import Lines

SAMPLING = {
    "arms": None,
    "replicates": 0,
    "margin": None,
    "data": None,
    "device": "cpu",
    "timeout_seconds": 60.0,
}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Return a function that commits base and candidate as told and gives their bench, opened."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from gate_fakes import Repository

    repository = Repository(tmp_path / "repository")
    monkeypatch.chdir(repository.root)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    opened = []

    def make(base, candidate, **sampling):
        repository.commit(**base)
        repository.commit(**candidate)
        context = open_sides(repository.suite, "HEAD~1", "HEAD", Lines())
        sides = context.__enter__()
        opened.append(context)
        return Bench(*sides, Sampling(**{**SAMPLING, **sampling}), Lines())

    make.repository = repository
    yield make
    for context in opened:
        context.__exit__(None, None, None)
    assert list(scratch.iterdir()) == []


def measurements(bench):
    return {one["name"]: one for one in bench.samples()["measurements"]}


def test_a_round_is_one_sample_of_each_side_and_each_side_runs_its_own_code(bench):
    made = bench({"plain": {"step": 0.001}}, {"plain": {"step": 0.002, "memory": 300 * 2**20}})
    made.warm_up()
    made.take(3)
    found = measurements(made)
    assert set(found) == {"plain/step_seconds", "plain/peak_resident_bytes"}
    # On a CPU the steps' time comes from the turns, which the fake takes in no time; memory is its own.
    memory = found["plain/peak_resident_bytes"]
    assert len(memory["base"]) == len(memory["candidate"]) == 3
    assert statistics.median(memory["base"]) == pytest.approx(200 * 2**20, rel=1e-6)
    assert statistics.median(memory["candidate"]) == pytest.approx(300 * 2**20, rel=1e-6)
    assert {one["kind"] for one in found.values()} == {"time", "memory"}


def test_both_sides_work_in_turns_the_order_reversed_each_time(bench, tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    monkeypatch.setenv("GATE_TRACE", str(trace))
    made = bench({"plain": {}}, {"plain": {}})
    made.take(2)
    sides = [line.split()[0] for line in trace.read_text().splitlines()]
    processes = {line.split()[1] for line in trace.read_text().splitlines()}
    assert len(processes) == 4  # a fresh process each
    # The first turn of each is the warm-up; then three windows a side, the next round the other way round.
    first = ["candidate", "base", "base", "candidate", "candidate", "base"]
    assert sides in ([*first, *reversed(first)], [*reversed(first), *first])


def test_who_goes_first_is_drawn_for_every_two_rounds_and_turned_in_the_second():
    orders = [order_of("a/b/plain", number) for number in range(400)]
    assert set(orders) == {(0, 1), (1, 0)}
    assert all(first == second[::-1] for first, second in zip(orders[::2], orders[1::2], strict=True))
    base_first = orders[::2].count((0, 1))  # of 200 coins: five deviations are 35
    assert 65 < base_first < 135
    # No pair tells the next one: as many runs of equal pairs as coins have.
    changes = sum(one != other for one, other in itertools.pairwise(orders[::2]))
    assert 65 < changes < 135
    assert orders == [order_of("a/b/plain", number) for number in range(400)]
    assert orders != [order_of("a/b/other", number) for number in range(400)]


def test_the_rounds_of_an_arm_go_as_drawn(bench, tmp_path, monkeypatch):
    # With loader workers, or on a GPU, one process runs after the other.
    trace = tmp_path / "trace"
    monkeypatch.setenv("GATE_TRACE", str(trace))
    made = bench({"plain": {}}, {"plain": {}})
    monkeypatch.setattr(made, "_has_workers", lambda arm: True)
    made.take(8)
    lines = [line.split() for line in trace.read_text().splitlines()]
    sides = [side for side, _, window in lines if window == "0"]
    seed = "/".join([*(made.samples()[side]["commit"] for side in ("base", "candidate")), "plain"])
    names = ("base", "candidate")
    assert sides == [names[side] for number in range(8) for side in order_of(seed, number)]


def test_a_step_s_time_leaves_out_what_other_processes_took_and_the_slower_half(bench):
    turns = [
        {"steps": 10, "seconds": 0.10, "delay_seconds": 0.0},
        {"steps": 10, "seconds": 0.90, "delay_seconds": 0.78},
        {"steps": 20, "seconds": 0.40, "delay_seconds": 0.0},
        {"steps": 10, "seconds": 0.30, "delay_seconds": 0.0},
    ]
    timing = {
        "window_seconds": [0.5, 0.7, 0.9],
        "steady_steps": 30,
        "peak_memory_bytes": {"resident": 5, "allocated": None},
    }
    answer = {"timing": timing, "turns": turns}
    assert dict(measures_of(answer, "cpu")) == {
        "step_seconds": pytest.approx((0.010 + 0.012) / 2),  # of 10, 12, 20 and 30 ms a step
        "peak_resident_bytes": 5.0,
    }
    # A device works on while its host waits for a core.
    assert dict(measures_of(answer, "cuda:0"))["step_seconds"] == pytest.approx(0.07)


def test_only_the_names_asked_for_grow_and_a_second_series_shares_no_sample(bench):
    made = bench({"plain": {}, "other": {}}, {"plain": {}, "other": {}})
    made.take(2)
    made.begin_again(["plain/peak_resident_bytes"])
    made.take(3, ["plain/peak_resident_bytes"])
    found = measurements(made)
    memory = found.pop("plain/peak_resident_bytes")
    assert [len(memory["base"]), len(memory["candidate"])] == [2, 2]
    assert [len(memory["again"]["base"]), len(memory["again"]["candidate"])] == [3, 3]
    assert all(len(one["base"]) == 2 and one["again"] is None for one in found.values())


def test_an_arm_that_one_side_lacks_is_listed_as_vanished_or_new(bench):
    made = bench({"plain": {}, "old-name": {}}, {"plain": {}, "new-name": {}})
    made.warm_up()
    made.take(1)
    report = judge(made.samples())
    assert {name.partition("/")[0] for name in report["vanished"]} == {"old-name"}
    assert {name.partition("/")[0] for name in report["new"]} == {"new-name"}
    assert made.arms == ["plain"]


@pytest.mark.parametrize(("lacks", "listed"), [("candidate", "vanished"), ("base", "new")])
def test_a_measure_that_one_side_lacks_is_listed_as_vanished_or_new(bench, lacks, listed):
    arms = [{"plain": {"allocated": None if side == lacks else 2**20}} for side in ("base", "candidate")]
    made = bench(*arms)
    made.take(9)
    report = judge(made.samples())
    assert report[listed] == ["plain/peak_allocated_bytes"]
    assert (report["exit_code"] == 3) == (lacks == "candidate") or report["exit_code"] == 4
    assert len(measurements(made)["plain/peak_resident_bytes"]["base"]) == 9


def test_a_measure_that_a_side_lacks_now_and_then_stays_paired_and_is_no_verdict():
    series = Series("memory")
    for number in range(9):
        series.add(None if number == 2 else 1.0, None if number == 5 else 1.0)
    assert [series.side(side).index(None) for side in ("base", "candidate")] == [2, 5]
    assert len(series.side("base")) == len(series.side("candidate")) == 9


def test_the_samples_name_their_suite_and_a_device_that_is_not_the_cpu(bench, monkeypatch):
    assert bench({"plain": {}}, {"plain": {}}).samples()["suite"] == "fake"
    monkeypatch.setattr(gate_sample, "devices", lambda _: ["cuda:1"])
    assert bench({"plain": {}}, {"plain": {}}).samples()["suite"] == "fake on cuda"


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ({"fails": "ValueError: no"}, "candidate: failed: ValueError: no"),
        ({"dies": True}, "candidate: exited with code 7 without an answer"),
        ({"broken": "there is no trick"}, "candidate: there is no trick"),
    ],
)
def test_a_failure_on_one_side_is_named_and_ends_that_arm_alone(bench, arm, said):
    made = bench({"plain": {}, "bad": {}}, {"plain": {}, "bad": arm})
    made.take(2)
    failures = [one["failures"] for one in measurements(made).values() if one["name"].startswith("bad/")]
    assert failures
    assert all(texts[0].startswith(said) for texts in failures)
    assert made.arms == ["plain"]
    assert len(measurements(made)["plain/step_seconds"]["base"]) == 2
    assert judge(made.samples())["exit_code"] == 5


@pytest.mark.parametrize(
    ("which", "first", "when"),
    [
        ("base", "base", "at the start"),
        ("candidate", "candidate", "at the start"),
        ("base", "base", "later"),
        ("candidate", "base", "later"),
    ],
)
def test_a_sample_without_a_word_is_ended_with_all_its_processes_and_it_alone_is_blamed(
    bench, monkeypatch, which, first, when
):
    # The other one waits for its turn for as long, or has said something that nobody listened to.
    monkeypatch.setattr(gate_sample, "order_of", lambda *_: (0, 1) if first == "base" else (1, 0))
    arms = [{"plain": {"hangs": when} if name == which else {}} for name in ("base", "candidate")]
    made = bench(*arms, timeout_seconds=4.0)
    made.take(1)
    assert measurements(made)["plain/step_seconds"]["failures"] == [f"{which}: no word for 4 s: ended"]
    assert not [
        p for p in psutil.Process().children(recursive=True) if "gate_driver" in " ".join(p.cmdline())
    ]


def test_accuracy_is_paired_by_replicate(bench):
    made = bench({"plain": {"top1": 90.0}}, {"plain": {"top1": 89.0}}, replicates=5, margin=0.3)
    made.train()
    top1 = measurements(made)["plain/top1"]
    assert top1["base"] == pytest.approx([90.0, 90.1, 90.2, 90.0, 90.1])
    assert [b - c for b, c in zip(top1["base"], top1["candidate"], strict=True)] == pytest.approx([1.0] * 5)
    assert (top1["kind"], top1["unit"], top1["margin"]) == ("accuracy", "points", 0.3)


def test_a_replicate_that_diverges_on_one_side_is_a_failure(bench):
    made = bench({"plain": {}}, {"plain": {"diverges": 2}}, replicates=5)
    made.train()
    top1 = measurements(made)["plain/top1"]
    assert top1["failures"] == ["replicate 2: candidate: diverged: the loss is NaN"]
    assert judge(made.samples())["exit_code"] == 5


def test_a_recipe_that_differs_is_not_comparable_but_what_only_one_side_knows_is(bench):
    changed = {"batch_size": 16, "numerics": {"threads": 1, "fused": True}}
    made = bench({"plain": {}}, {"plain": {"recipe": changed}})
    made.take(1)
    assert {tuple(one["differs"]) for one in measurements(made).values()} == {("batch_size",)}


def test_a_changed_suite_file_is_noted(bench):
    bench.repository.commit(plain={})
    bench.repository.write("suite.toml", 'name = "fake" # edited\n')
    with open_sides(bench.repository.suite, "HEAD", None, Lines()) as sides:
        notes = Bench(*sides, Sampling(**SAMPLING), Lines()).notes
    assert notes == ["suite.toml itself differs between base and candidate"]


def test_a_suite_that_a_side_refuses_is_shown_by_its_own_name(bench):
    with pytest.raises(GateRefused) as caught:
        bench({"plain": {}}, {"plain": {}, "refuses": "no such key"})
    assert caught.value.exit_code == 2
    assert "candidate (HEAD): SuiteError: suite.toml:3: no such key" in str(caught.value)
    with pytest.raises(GateRefused) as caught:
        bench({"plain": {}, "refuses": "no such key"}, {"plain": {}})
    assert caught.value.exit_code == 3


def test_an_arm_that_is_nowhere_is_a_mistake(bench):
    with pytest.raises(GateRefused, match='no arm "plane" on either side; did you mean "plain"'):
        bench({"plain": {}}, {"plain": {}}, arms=("plane",))


@pytest.mark.parametrize("module", ["harness/suite/load.py", "harness/engine/timing.py"])
def test_code_from_the_checkout_in_place_of_a_side_s_own_is_refused(bench, module):
    # As an editable install of another folder does: the side's module comes from the checkout itself.
    root = bench.repository.root
    bench.repository.write("elsewhere/stray.py", "")
    path = f"import sys; sys.path.insert(0, {str(root / 'elsewhere')!r}); import stray\n"
    bench.repository.write(module, path + (root / module).read_text())
    with pytest.raises(GateRefused, match=r"stray\.py from the checkout") as caught:
        bench({"plain": {}}, {"plain": {}}).take(1)
    assert caught.value.exit_code == 3


def test_a_harness_from_elsewhere_is_refused(bench):
    text = "import pathlib; __file__ = str(pathlib.Path('/somewhere/harness/__init__.py'))\n"
    bench.repository.write("harness/__init__.py", text)
    with pytest.raises(GateRefused, match="imported harness from /somewhere/harness") as caught:
        bench({"plain": {}}, {"plain": {}})
    assert caught.value.exit_code == 3


def test_processes_start_in_their_own_tree_with_no_output_mixed_in(bench):
    made = bench({"plain": {}}, {"plain": {}})
    made.warm_up()
    made.take(1)  # the fake prints to standard output, where the answers go
    assert not made.samples()["measurements"][0]["failures"]
    assert Path.cwd() == bench.repository.root
