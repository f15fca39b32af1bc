"""`harness reproduce`: what one trial takes, and with --run whether it comes out the same."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from harness.cli.output import complain, say, say_json
from harness.errors import StoreError
from harness.record.find import find_trial
from harness.record.record import measured_in
from harness.record.store import Store

if TYPE_CHECKING:
    from harness.suite.plan import Plan, Trial

_NOT_EQUAL = 1
Json = dict[str, Any]


def reproduce(
    trial: str,
    results: Path,
    suite: Path | None,
    data: Path | None,
    device: str | None,
    *,
    run: bool,
    as_json: bool,
) -> int:
    """Print what a trial takes to run again, and where asked train it again and compare; return the exit code.

    Raises:
        StoreError: Where no record has this id, or several do.
    """
    ident, stores = find_trial(trial, results)
    told, plan = _told(ident, stores)
    if run:
        told["again"] = _run(told, plan, _folders(suite, told), data, device)
    if as_json:
        say_json(told)
    else:
        for line in _lines(told):
            say(line)
    return 0 if not run or told["again"]["equal"] else _NOT_EQUAL


def _told(ident: str, stores: list[Store]) -> tuple[Json, Plan]:
    """Return what is known of a trial, from the first folder that has a record of it that counts.

    What of the record, or of what it refers to, is of another type than harness writes counts as absent.
    """
    from harness.board.select import number_at
    from harness.suite.plan import Plan

    known = [(store, record) for store in stores if (record := store.good(ident)) is not None]
    if not known:
        raise StoreError(f"{ident}: no attempt at it has ended for good in {stores[0].root}")
    store, record = known[0]
    plan = Plan.from_json(_plan_of(store, record))
    entry = _trial(plan, ident)
    shared = {
        name: _shared(store, record["refs"].get(name)) for name in ("host", "code", "session", "recipe")
    }
    code, session = shared["code"] or {}, shared["session"] or {}
    return {
        "trial": ident,
        "folders": [str(one.root) for one, _ in known],
        "suite": plan.suite,
        "plan": plan.hash,
        "arm": entry.arm,
        "replicate": entry.replicate,
        "seed": plan.seed,
        "salt": plan.arm(entry.arm).salt,
        "attempt": record["attempt"],
        "status": record["status"],
        "commit": _text(code, "commit"),
        "dirty": code.get("dirty"),
        "engine": code.get("engine"),
        "version": code.get("version"),
        "command": _text(session, "command"),
        "environment": _table(session.get("environment")),
        "host": shared["host"],
        "data": plan.arm(entry.arm).data,
        "top1": number_at(record, "results", "test", "top1"),
        "digests": record.get("digests"),
        "recipe": plan.arm(entry.arm).recipe or shared["recipe"],
        "record": record,
    }, plan


def _plan_of(store: Store, record: Mapping[str, Any]) -> Json:
    """Return a plan that the trial is of: the one that its record names, else the latest, else any."""
    hashes = [record.get("plan"), *sorted(path.stem for path in (store.root / "plans").glob("*.json"))]
    with suppress(StoreError):
        hashes.insert(1, store.latest())
    for name in filter(None, hashes):
        try:
            plan = store.read_plan(name)
        except StoreError:
            continue
        if any(trial["id"] == record["trial"] for trial in plan["trials"]):
            return plan
    raise StoreError(f"{store.root}: no intact plan has the trial {record['trial']}")


def _trial(plan: Plan, ident: str) -> Trial:
    return next(trial for trial in plan.trials if trial.id == ident)


def _shared(store: Store, name: str | None) -> Json | None:
    """Return the table that a record refers to; None where it is gone, or is no table."""
    try:
        return _table(store.shared(name)) if name else None
    except StoreError as error:
        complain(f"warning: {error}")
        return None


def _table(value: Any) -> Json | None:
    return value if isinstance(value, dict) else None


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) else None


def _folders(suite: Path | None, told: Mapping[str, Any]) -> list[Path]:
    """Return where the suite may be: where it is said to be, else here, else where the run was told."""
    if suite is not None:
        return [suite.resolve().parent]
    try:
        words = shlex.split(told["command"] or "")
    except ValueError:  # no closing quotation
        words = []
    return [Path.cwd(), *(Path(word).resolve().parent for word in words if word.endswith(".toml"))]


def _run(
    told: Mapping[str, Any], plan: Plan, folders: list[Path], data: Path | None, device: str | None
) -> Json:
    from harness.board.select import number_at, value_at
    from harness.launch.progress import Bars, Lines
    from harness.launch.reproduce import train_again
    from harness.record.fingerprint import code
    from harness.record.reproduced import compare_attempts, differing_environment

    record = told["record"]
    place = str(value_at(record, "place", "device") or "auto")
    progress = Bars() if sys.stderr.isatty() else Lines()
    try:
        again = train_again(
            plan,
            _trial(plan, told["trial"]),
            list(dict.fromkeys(folders)),
            data=data,
            device=device or place.partition(":")[0],
            progress=progress,
            record_of=Store(Path(told["folders"][0])).good,
        )
    finally:
        progress.close()
    host = again.shared.get(again.record["refs"].get("host") or "")
    differs = differing_environment(told["host"], host)
    if told["engine"] not in (None, code()["engine"]):
        differs.append("the harness's engine is another")
    differs += [f"the source of {name} is another" for name in again.sources]
    if (together := number_at(record, "mode", "together") or 1) > 1:
        differs.append(
            f"the record's replicate was trained at once with others ({together:g} together), now alone"
        )
    return {**compare_attempts(record, again.record), "differs": differs}


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    from harness.board.reproduce import DATA, ENVIRONMENT
    from harness.board.select import value_at

    state = " with changes that no commit holds" if told["dirty"] else ""
    where = f'replicate {told["replicate"]} of arm "{told["arm"]}"'
    yield f"trial {told['trial']}: {where}, suite {told['suite']} ({', '.join(told['folders'])})"
    top1 = "" if told["top1"] is None else f", top-1 {told['top1']:.2f} %"
    yield f"ended as {told['status']}{top1}, attempt {told['attempt']}, seed {told['seed']}"
    cpu = value_at(told, "host", "accuracy", "cpu") or "an unknown CPU"
    yield f"made by harness {told['version'] or 'of an unknown version'}{state}, on {cpu}"
    yield f"recipe {orjson.dumps(told['recipe']).decode()}"
    if seconds := measured_in(told.get("record")):
        came_to = f"{seconds['asked']:g} s of training, which came to {seconds['total_steps']:,} steps"
        yield f"budget: {came_to}; --run takes as many again, and the command below measures anew"
    yield ""
    if told["commit"]:
        yield f"git checkout {told['commit']}"
        yield ENVIRONMENT
    if (told["environment"] or {}).get("HARNESS_DATA"):
        yield DATA
    yield told["command"] or f"harness run {told['suite']}.toml --arms {shlex.quote(told['arm'])}"
    yield f"harness reproduce {told['trial']} --results {shlex.quote(told['folders'][0])} --run"
    if again := told.get("again"):
        yield ""
        yield from _verdict(again)


def _verdict(again: Mapping[str, Any]) -> Iterator[str]:
    if again["equal"]:
        yield "equal bit for bit: weights, outputs and accuracy"
    else:
        yield f"not equal: {'; '.join(_distances(again))}"
    if again["differs"]:
        yield "differs from then: " + "; ".join(again["differs"])
    elif not again["equal"]:
        yield "nothing that is recorded of the environment differs"


def _distances(again: Mapping[str, Any]) -> Iterator[str]:
    then, now = again["status"]
    if then != now:
        yield f"it ended as {then}, now as {now}"
    others = [name.replace("_", " ") for name, same in again["digests"].items() if same is False]
    if others:
        yield f"other bits in {', '.join(others)}"
    if again["top1_difference"] is not None:
        yield f"top-1 by {again['top1_difference']:+.2f} points"
    if again["nll_difference"] is not None:
        yield f"NLL by {again['nll_difference']:+.2g}"
    if examples := again["examples"]:
        yield f"{examples['otherwise']} of {examples['of']} test examples judged otherwise"
