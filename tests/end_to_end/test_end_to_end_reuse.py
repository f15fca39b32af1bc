"""What is done is not done again, what is edited is, and neither order nor number of jobs moves a bit."""

import pytest

pytestmark = pytest.mark.slow

TRICK = '''
"""Scale the gradients."""
from dataclasses import dataclass
from harness.contract import Slots, Trick, hookimpl

@dataclass(frozen=True)
class Scale(Trick):
    """Scale."""
    def bind(self, ctx):
        def gradients(all_gradients):
            for gradient in all_gradients:
                gradient.mul_(0.5)
        return Slots(gradients=gradients)

@hookimpl
def harness_register(registry):
    registry.add("trick", "NAME", Scale, summary="scaled gradients")
'''
ARMS = """
[arms.scaled]
tricks = ["scale"]
[arms.other]
tricks = ["other-scale"]
[arms.averaged]
augmentations = ["toy-noise"]
tricks = ["ema", "sam"]
"""


def write(place, name, text=TRICK):
    return place.write(f"{name.replace('-', '_')}.py", text.replace("NAME", name))


def suite(place, **more):
    settings = {"plugins": ["scale.py", "other_scale.py"], "rounds": 1, **more}
    return place.suite(settings.pop("arms", ARMS), **settings)


@pytest.fixture(scope="module")
def finished(new_place):
    place = new_place()
    write(place, "scale")
    write(place, "other-scale", TRICK.replace("0.5", "0.25"))
    suite(place)
    place.run("run", "toy.toml", "--jobs", "2")
    return place


@pytest.fixture(scope="module")
def first_records(finished):
    return finished.completed()


def test_a_second_run_trains_nothing_and_leaves_every_byte(finished, first_records):
    place = finished
    before = place.snapshot()
    done = place.run("run", "toy.toml", "--jobs", "1")
    assert "0 trials run, 4 had a record" in done.stderr
    assert "to run" not in done.stderr
    assert place.snapshot() == before
    assert len(before) > 15
    assert place.completed() == first_records


def test_a_board_that_was_deleted_is_rebuilt_byte_for_byte(finished):
    place = finished
    boards = {path: path.read_bytes() for path in place.results.glob("leaderboard.*")}
    assert {path.suffix for path in boards} == {".md", ".csv", ".json", ".html", ".tex"}
    for path in boards:
        path.unlink()
    place.run("leaderboard", place.results, PYTHONHASHSEED="11", TZ="Pacific/Apia", LC_ALL="C", COLUMNS="40")
    assert {path: path.read_bytes() for path in place.results.glob("leaderboard.*")} == boards


def test_a_comment_runs_nothing_and_a_formula_its_own_arm_alone(finished):
    place = finished
    before = place.snapshot()
    edited = TRICK.replace('"""Scale."""', '"""Scale by a half (see the paper)."""')
    edited = edited.replace("        return Slots", "        # nothing else\n\n        return Slots")
    assert edited != TRICK
    write(place, "scale", edited)
    done = place.run("run", "toy.toml")
    assert "0 trials run, 4 had a record" in done.stderr
    assert "to run" not in done.stderr
    assert place.snapshot() == before

    trials = {record["trial"] for record in place.all_records()}
    old = place.completed()
    write(place, "scale", edited.replace("0.5", "0.6"))
    done = place.run("run", "toy.toml")
    assert "1 trials run, 3 had a record" in done.stderr
    (fresh,) = [record for record in place.all_records() if record["trial"] not in trials]
    assert fresh["arm"] == "scaled"
    assert fresh["digests"]["order"] == old["plain", 0]["digests"]["order"]
    assert fresh["digests"]["final_weights"] != old["scaled", 0]["digests"]["final_weights"]
    after = place.snapshot()
    assert all(after[path] == content for path, content in before.items() if "trials" in path.parts)


def test_order_and_number_of_jobs_change_no_bit(first_records, new_place):
    other = new_place()
    write(other, "scale")
    write(other, "other-scale", TRICK.replace("0.5", "0.25"))
    turned = "".join(f"[arms.{part}" for part in reversed(ARMS.split("[arms.")[1:]))
    suite(other, arms=turned, rounds=0)
    other.run("run", "toy.toml", "--jobs", "1")
    pairs = 0
    for key, record in other.completed().items():
        for field in ("trial", "digests", "results", "curves", "budget", "parameters", "observables"):
            assert record[field] == first_records[key][field], (key, field)
            pairs += 1
    assert pairs == 4 * 7
    digests = {record["digests"]["final_weights"] for record in other.completed().values()}
    assert len(digests) == 4
    print(f"{pairs} comparisons")
