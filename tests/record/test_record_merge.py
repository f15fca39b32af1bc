"""Records of several machines in one folder: nothing is lost, nothing is tried twice, and the order does not matter."""

import itertools
from pathlib import Path

import orjson
import pytest

from harness.board import render
from harness.board.leaderboard import build
from harness.errors import StoreError
from harness.record.merge import merge
from harness.record.plans import plan_hash
from harness.record.record import canonical, dead_outcome, seal, timing_record, trial_record
from harness.record.store import Store
from harness.record.unlike import flatten, unlike_plans

ARMS = ("plain", "mixup")
REPLICATES = 4


def a_plan(arms=ARMS, replicates=REPLICATES, *, name="p", seed=0, alpha=0.2, extra=""):
    def recipe(arm):
        return {
            "batch_size": 32,
            "tricks": [{"name": arm, "params": {"alpha": alpha}}] if arm != "plain" else [],
        }

    plan = {
        "schema": 1,
        "protocol": 1,
        "note": name,
        "suite": "s",
        "seed": seed,
        "replicates": replicates,
        "baseline": "plain",
        "alpha": 0.05,
        "margin_points": 0.1,
        "verdicts": False,
        "verdicts_reason": "few",
        "timing": {"rounds": 2, "seconds": 0.1},
        "arms": [
            {"name": arm, "recipe": recipe(arm), "components": [], "varies": [], "data": "m", "failure": None}
            for arm in arms
        ],
        "manifests": {"m": {"hash": "m", "dataset": "d", "classes": 10, "splits": {"test": {"count": 100}}}},
        "trials": [
            {"id": f"{arm}{extra}-{r}", "arm": arm, "replicate": r} for r in range(replicates) for arm in arms
        ],
        "plugins": [],
    }
    return rehashed(plan)


def rehashed(plan, **changes):
    plan = {**plan, **changes}
    return {**plan, "hash": plan_hash(plan)}


class Machine:
    """A results folder with what one machine made."""

    def __init__(self, folder: Path, host: str, plan=None) -> None:
        self.store, self.host = Store(folder), host
        self.plan = plan or a_plan()
        self.store.write_plan(self.plan)
        self.folder = folder

    def refs(self, arm):
        host = {"accuracy": {"cpu": self.host}, "speed": {"cores": 2}, "shown": {}}
        share = self.store.share
        made = {
            "recipe": share(next(one["recipe"] for one in self.plan["arms"] if one["name"] == arm)),
            "manifest": share(self.plan["manifests"]["m"]),
        }
        return {"host": share(host), "code": share({"commit": "c"}), "pipeline": None, **made}

    def trial(self, arm, replicate, top1=90.0, *, attempt=0, at="12:00", status="completed", **more):
        outcome = {**dead_outcome(status, None), **more}
        if status == "completed":
            outcome["results"] = {"test": {"count": 100, "top1": top1, "nll": 0.3}, "validation": None}
        ident = next(t["id"] for t in self.plan["trials"] if (t["arm"], t["replicate"]) == (arm, replicate))
        heading = {
            "protocol": 1,
            "suite": "s",
            "plan": self.plan["hash"],
            "trial": ident,
            "arm": arm,
            "replicate": replicate,
            "attempt": attempt,
        }
        record = trial_record(
            outcome,
            heading=heading,
            refs=self.refs(arm),
            started_at="2026-01-01T00:00",
            finished_at=f"2026-01-01T{at}",
        )
        return self.store.write_trial(record)

    def timing(self, arm, number, rate=100.0, at="13:00"):
        heading = {"protocol": 1, "suite": "s", "plan": self.plan["hash"], "arm": arm, "round": number}
        timing = {"status": "completed", "images_per_second": rate}
        return self.store.write_timing(
            timing_record(
                timing,
                heading=heading,
                refs=self.refs(arm),
                started_at="2026-01-01T00:00",
                finished_at=f"2026-01-01T{at}",
            )
        )


@pytest.fixture
def machine(tmp_path):
    return lambda host, plan=None: Machine(tmp_path / host / "s", host, plan)


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def board(folder):
    store = Store(folder)
    plan = store.read_plan()
    reading = store.read(plan)
    return build(plan, reading.records, reading.timings, reading.set_aside, shared=reading.shared)


def top1(folder, arm):
    return next(row for row in board(folder)["rows"] if row["arm"] == arm)["top1"]


def test_halves_of_a_study_come_together(machine, tmp_path):
    first, second = machine("a"), machine("b")
    for replicate in range(4):
        for arm in ARMS:
            (first if replicate < 2 else second).trial(arm, replicate, 80.0 + replicate)
    first.timing("plain", 0)
    into = tmp_path / "all" / "s"
    told = merge(into, [first.folder, second.folder])
    assert [one["copied"] for one in told["from"]] == [
        {"trials": 4, "timings": 1},
        {"trials": 4, "timings": 0},
    ]
    assert told["ended_twice"] == 0
    assert top1(into, "mixup")["count"] == 4
    assert top1(into, "mixup")["mean"] == 81.5
    assert len(board(into)["hosts"]) == 2
    assert not board(into)["set_aside"]


def test_merging_again_changes_no_file(machine, tmp_path):
    first, second = machine("a"), machine("b")
    first.trial("plain", 0)
    second.trial("plain", 0, 91.0)
    second.timing("plain", 0)
    into = tmp_path / "all" / "s"
    merge(into, [first.folder, second.folder])
    before = snapshot(into)
    told = merge(into, [second.folder, first.folder])
    assert snapshot(into) == before
    assert [one["present"]["trials"] for one in told["from"]] == [1, 1]
    assert all(not sum(one["copied"].values()) for one in told["from"])


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_the_first_that_ended_for_good_counts_whatever_the_order(machine, tmp_path, order):
    # c was first by the clock, but the machine stopped it; b ended for good before a, though as a later attempt.
    made = {"a": machine("a"), "b": machine("b"), "c": machine("c")}
    made["a"].trial("plain", 0, 70.0, at="12:30")
    made["b"].trial("plain", 0, status="preempted", at="11:00")
    made["b"].trial("plain", 0, 60.0, attempt=1, at="12:10")
    made["c"].trial("plain", 0, status="lost", at="10:00")
    for name, one in made.items():
        one.timing("plain", 0, rate=10.0 * ord(name), at=f"13:0{ord(name) - 97}")
    into = tmp_path / "all" / "s"
    told = merge(into, [made[name].folder for name in order])
    assert top1(into, "plain")["mean"] == 60.0
    assert told["ended_twice"] == 1
    assert board(into)["rows"][0]["attempts"] == 4
    bytes_now = render.json(board(into))
    # One after the other is the same as all at once, and as any other order.
    other = tmp_path / "other" / "s"
    for name in "abc":
        merge(other, [made[name].folder])
    assert render.json(board(other)) == bytes_now


def test_a_second_try_on_another_machine_does_not_replace_a_bad_result(machine):
    first, second = machine("a"), machine("b")
    first.trial("mixup", 0, status="diverged", at="12:00")
    second.trial("mixup", 0, 99.0, at="12:01")
    merge(first.folder, [second.folder])
    row = next(row for row in board(first.folder)["rows"] if row["arm"] == "mixup")
    assert row["statuses"]["diverged"] == 1
    assert row["top1"] is None  # no replicate has a result: the second try's is none
    assert Store(first.folder).good("mixup-0")["status"] == "diverged"


def test_timings_of_two_machines_both_stay_and_only_one_is_shown(machine):
    first, second = machine("a"), machine("b")
    for one, rate, rounds in ((first, 100.0, 2), (second, 500.0, 1)):
        for number, arm in itertools.product(range(rounds), ARMS):
            one.timing(arm, number, rate)
    first.trial("plain", 0)
    merge(first.folder, [second.folder])
    told = board(first.folder)
    assert [row["images_per_second"] for row in told["rows"]] == pytest.approx([100.0, 100.0])
    assert [group["timings"] for group in told["comparability"]["speed"]] == [4, 2]
    assert len(Store(first.folder).read(first.plan).timings) == 6


@pytest.mark.parametrize("dry_run", [False, True])
def test_damaged_files_are_told_and_left(machine, tmp_path, dry_run):
    first, second = machine("a"), machine("b")
    good, torn, edited = (second.trial("plain", replicate) for replicate in range(3))
    torn.write_bytes(torn.read_bytes()[:-40])
    edited.write_bytes(edited.read_bytes().replace(b'"top1":90.0', b'"top1":99.0'))
    good.with_name("7.json").write_bytes(good.read_bytes())  # a record under a number that is not its own
    second.store.root.joinpath("timings", second.plan["hash"]).mkdir(parents=True)
    second.store.timing_path(second.plan["hash"], 0, "plain").write_bytes(b"")
    [told] = merge(first.folder, [second.folder], dry_run=dry_run)["from"]
    assert told["copied"] == {"trials": 1, "timings": 0}
    reasons = {one["path"]: one["reason"] for one in told["damaged"]}
    assert "truncated" in reasons["trials/plain-1/0.json"]
    assert "content hash does not match" in reasons["trials/plain-2/0.json"]
    assert "duplicate" in reasons["trials/plain-0/7.json"]
    assert reasons[f"timings/{second.plan['hash']}/0-plain.json"] == "empty"
    assert first.store.trial_folder("plain-0").exists() is not dry_run


def test_what_a_record_refers_to_comes_with_it_and_mends_what_is_broken(machine):
    first, second = machine("a"), machine("b")
    second.trial("plain", 0)
    merge(first.folder, [second.folder])
    shared = [path.name for path in (second.folder / "shared").iterdir()]
    assert len(shared) == 4
    broken = first.folder / "shared" / shared[0]
    broken.write_bytes(b"{}")
    [told] = merge(first.folder, [second.folder])["from"]
    assert told["shared"] == 1
    assert broken.read_bytes() == (second.folder / "shared" / shared[0]).read_bytes()
    (second.folder / "shared" / shared[1]).unlink()
    broken_too = first.folder / "shared" / shared[1]
    broken_too.unlink()
    [told] = merge(first.folder, [second.folder])["from"]
    assert [one["path"] for one in told["damaged"]] == [f"shared/{shared[1]}"]


def test_a_dry_run_writes_nothing_and_tells_the_same(machine, tmp_path):
    first, second = machine("a"), machine("b")
    first.trial("plain", 0)
    second.trial("plain", 0, 91.0)
    second.trial("mixup", 1)
    into = tmp_path / "all" / "s"
    dry = merge(into, [first.folder, second.folder], dry_run=True)
    assert not into.exists()
    assert merge(into, [first.folder, second.folder]) == {**dry, "dry_run": False}


def test_weights_come_on_request_and_only_those_that_a_record_names(machine, tmp_path):
    from harness.registry.digests import digest_file

    one = machine("a")
    path = one.store.weights_path("plain-0")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    one.trial("plain", 0, weights={"digest": digest_file(path), "bytes": 7, "judged": False})
    one.trial("plain", 1, weights={"digest": "0" * 32, "bytes": 7, "judged": False})
    one.store.weights_path("plain-1").write_bytes(b"others")
    without, into = tmp_path / "without" / "s", tmp_path / "all" / "s"
    merge(without, [one.folder])
    assert not (without / "weights").exists()
    [told] = merge(into, [one.folder], weights=True)["from"]
    assert told["weights"] == 1
    assert [p.name for p in (into / "weights").iterdir()] == ["plain-0.safetensors"]


def test_fewer_replicates_or_arms_of_the_same_study_are_joined(machine, tmp_path):
    whole, part = machine("a"), machine("b", a_plan(replicates=2, name="q"))
    whole.trial("plain", 0)
    part.trial("plain", 1, 91.0)
    part.timing("plain", 0)
    [told] = merge(whole.folder, [part.folder])["from"]
    assert told["copied"] == {"trials": 1, "timings": 0}  # the timing pass is another plan's
    assert told["other_timings"] == 1
    assert top1(whole.folder, "plain")["count"] == 2
    # A new folder takes the larger plan, whichever comes first; what only the smaller has is told.
    more = machine("c", a_plan(arms=("plain", "other"), replicates=1, name="r"))
    more.trial("other", 0)
    for order in ([whole, more], [more, whole]):
        into = tmp_path / f"new-{order[0].host}" / "s"
        told = merge(into, [one.folder for one in order])
        assert told["plan"] == whole.plan["hash"]
        assert {one["folder"]: one["others"] for one in told["from"]}[str(more.folder)] == 1


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (
            a_plan(name="q", alpha=0.4, extra="x"),
            r"arm mixup: tricks\.mixup\.params\.alpha is 0.2 there, 0.4 here",
        ),
        (a_plan(name="q", seed=7, extra="x"), "seed: 0 there, 7 here"),
        (rehashed(a_plan(extra="x"), suite="other"), "suite: s there, other here"),
        (rehashed(a_plan(extra="x"), protocol=2), "protocol: 1 there, 2 here"),
        (a_plan(arms=("else",), name="q"), "no trial is in both plans"),
    ],
)
def test_a_folder_of_another_study_is_refused_with_what_differs(machine, plan, expected):
    first, second = machine("a"), machine("b", plan)
    first.trial("plain", 0)
    before = snapshot(first.folder)
    with pytest.raises(StoreError, match=expected):
        merge(first.folder, [second.folder])
    assert snapshot(first.folder) == before


def test_another_source_of_a_component_is_another_study():
    one, other = a_plan(), a_plan(name="q", extra="x")
    for plan, digest in ((one, "1"), (other, "2")):
        plan["arms"][1]["components"] = [{"full_name": "harness-bench/mixup", "source_digest": digest}]
    assert unlike_plans(one, other) == ["arm mixup: the source of harness-bench/mixup is another"]
    assert unlike_plans(one, {**a_plan(), "hash": "q"}) == []


def test_a_folder_without_a_plan_and_itself_are_refused(machine, tmp_path):
    one = machine("a")
    with pytest.raises(StoreError, match="holds no plan"):
        merge(one.folder, [tmp_path / "empty"])
    with pytest.raises(StoreError, match="itself"):
        merge(one.folder, [one.folder])


def test_flatten_names_every_leaf():
    leaves = dict(flatten(orjson.loads('{"a": [{"b": 1}, 2], "c": {}, "d": null}')))
    assert leaves == {"a[0].b": 1, "a[1]": 2, "c": {}, "d": None}


def rewrite(path, **changes):
    """Seal a record anew with other content, under its own name."""
    record = {**orjson.loads(path.read_bytes()), **changes}
    path.write_bytes(canonical(seal({k: v for k, v in record.items() if k != "content_hash"})))


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_contradicts_the_plan_is_told_and_left_and_takes_no_good_ones_place(machine, dry_run):
    first, second = machine("a"), machine("b")
    for replicate in range(3):
        path = second.trial("plain", replicate, 99.0, at="11:00")
        rewrite(
            path,
            **[{"suite": "t"}, {"replicate": 3}, {"refs": {"recipe": None, "manifest": None}}][replicate],
        )
    second.trial("mixup", 0)
    rewrite(second.timing("plain", 0), plan="0" * 16)
    kept = first.trial("plain", 0, 70.0, at="12:00")
    bytes_before = kept.read_bytes()
    [told] = merge(first.folder, [second.folder], dry_run=dry_run)["from"]
    assert told["copied"] == {"trials": 1, "timings": 0} and not told["damaged"]
    reasons = {one["path"]: one["reason"] for one in told["misfits"]}
    assert reasons == {
        "trials/plain-0/0.json": "of another suite: it says 't', the plan 's'",
        "trials/plain-1/0.json": "of another replicate: it says 3, the plan 1",
        "trials/plain-2/0.json": "it names no recipe and no manifest: with what it was made is not known",
        f"timings/{second.plan['hash']}/0-plain.json": f"of another plan: it says '{'0' * 16}', the plan "
        f"'{second.plan['hash']}'",
    }
    assert kept.read_bytes() == bytes_before and len(list(kept.parent.iterdir())) == 1
    assert not first.store.trial_folder("plain-1").exists()
    # Nothing is lost: what was left is where it was.
    assert all((second.folder / path).is_file() for path in reasons)
    if not dry_run:
        assert top1(first.folder, "plain")["mean"] == 70.0 and not board(first.folder)["set_aside"]


def test_what_contradicts_the_plan_in_the_target_is_no_second_end_and_makes_room_beside(machine):
    first, second = machine("a"), machine("b")
    path = first.trial("plain", 0, 99.0, at="11:00")
    rewrite(path, suite="t")
    second.trial("plain", 0, 70.0)
    told = merge(first.folder, [second.folder])
    assert told["ended_twice"] == 0 and told["from"][0]["beside"]["trials"] == 1
    assert path.is_file() and top1(first.folder, "plain")["mean"] == 70.0
