"""A suite that tunes, from its file to its board: run, killed, run again, and looked at."""

import json
import time

import pytest

ARMS = """
[arms.fast]
optimizer = { name = "toy-sgd", lr = 0.1 }
[tuning]
trials = 3
[tuning.space]
optimizer.lr = { low = 1e-3, high = 0.5, log = true }
"""


def latest(place):
    name = (place.results / "plans" / "latest").read_text().strip()
    return json.loads((place.results / "plans" / f"{name}.json").read_text())


@pytest.mark.slow
def test_a_killed_search_goes_on_and_leads_to_the_board_of_its_winners(place):
    suite = place.suite(ARMS, epochs=1)
    told = json.loads(place.run("plan", suite, "--json").stdout)
    assert told["tuning"] == {
        "trials": 3,
        "method": "quasi-random",
        "replicates": 1,
        "arms": ["plain", "fast"],
        "total": 6,
        "reused": 0,
        "missing": 6,
        "hours": None,
    }
    launcher = place.start("run", suite, "--jobs", 1)
    deadline = time.monotonic() + 240
    while not place.completed() and time.monotonic() < deadline:
        time.sleep(0.05)
    launcher.kill()
    launcher.wait()
    assert place.all_gone(within=60)
    done = {record["trial"] for record in place.completed().values()}
    assert 1 <= len(done) < 6
    assert "not over" in place.run("leaderboard", place.results, code=2).stderr
    again = json.loads(place.run("plan", suite, "--json").stdout)["tuning"]
    assert (again["reused"], again["missing"]) == (len(done), 6 - len(done))

    place.run("run", suite, "--jobs", 1)
    plan, board = latest(place), place.board()
    assert plan["hash"] == board["plan"] and set(board["tuning"]["arms"]) == {"plain", "fast"}
    records = {record["trial"]: record for record in place.all_records() if record["status"] == "completed"}
    assert len(records) == 6 + 2 and done <= set(records)
    for arm in plan["arms"]:
        outcomes = plan["tuning"]["arms"][arm["name"]]
        seen = [records[one["trials"][0]]["results"]["validation"]["top1"] for one in outcomes]
        assert [one["validation_top1"] for one in outcomes] == seen and len(seen) == 3
        assert arm["tuned"]["k"] == seen.index(max(seen))
        assert arm["recipe"]["optimizer"][0]["params"]["lr"] == arm["tuned"]["setting"]["optimizer.lr"]
    before = place.snapshot()
    assert "0 trials run, 2 had a record" in place.run("run", suite, "--jobs", 1).stderr
    assert place.snapshot() == before
    # The trials of the search and those of the board have no order of the data in common.
    own = {trial["id"] for trial in plan["trials"]}
    orders = [
        {r["digests"]["order"] for t, r in records.items() if (t in own) == is_own}
        for is_own in (True, False)
    ]
    assert not orders[0] & orders[1]


def test_a_plan_says_what_a_search_takes(place):
    suite = place.suite(ARMS, epochs=1)
    said = place.run("plan", suite).stdout
    assert "tuning first (quasi-random): 2 arms × 3 settings = 6 trials, 0 reused, 6 to run" in said
