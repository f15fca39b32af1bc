"""Records of several machines in one folder: what `harness merge` does.

Every record is copied as it is, under its own content hash; none is changed, replaced or dropped. Where the place of
a record is taken by another one, it gets a name of its own beside it (`record.names_of`). Which of several attempts at
a trial counts is not decided here and does not hang on who was merged into whom: the first that ended for good stands,
by the time at which it ended, then by content hash (`record.ended_order`). So a second machine cannot try again what
has come out badly on the first; what its clock says is taken for true, as its records are.

A folder is joined only where it holds trials of this study: those of the same plan, or of a plan in which every arm and
replicate of the same name is the same trial. What it has beyond that is left where it is and told; so is a record that
contradicts the plan (`place.Places`), which a board would set aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.record.history import carry_history
from harness.record.index import forget
from harness.record.joining import Joining
from harness.record.store import Store
from harness.record.unlike import unlike_plans

Json = dict[str, Any]


def merge(
    into: Path,
    sources: Sequence[Path],
    *,
    weights: bool = False,
    dry_run: bool = False,
    command: str = "harness",
) -> Json:
    """Join the records of `sources` to those of `into`; merging again changes nothing.

    Args:
        into: The results folder of a suite, or one that is not there yet: it begins with the plan of the source that
            has the most trials.
        sources: Results folders of the same suite; nothing is written to them.
        weights: Copy the weights of trials that others need, too. Without them they are trained again where needed.
        dry_run: Write nothing, and tell what would be.
        command: What another run on `into` is told.

    Returns:
        `{into, plan, dry_run, from: [Merged as JSON], ended_twice}`, the last being the number of trials of which
        several attempts ended for good.

    Raises:
        StoreError: Where a folder holds no plan, its plan is of another study, or the disk refuses.
    """
    froms = [Store(path) for path in sources]
    for store in froms:
        if store.root.resolve() == into.resolve():
            raise StoreError(f"{into}: cannot be merged into itself; name another folder first")
    latest = {store.root: store.read_plan() for store in froms}
    target = Store(into)
    is_new = not (into / "plans").is_dir()
    home = max(froms, key=lambda store: _size(latest[store.root])) if is_new else target
    plan = latest[home.root] if is_new else target.read_plan()
    for store in froms:
        if reasons := unlike_plans(plan, latest[store.root]):
            raise StoreError(
                f"{store.root}: is of another study than {home.root}, nothing was merged:\n  "
                + "\n  ".join(reasons)
            )
    work = Joining(target, _plans(home), weights=weights, dry_run=dry_run)
    room = 0 if dry_run else sum(_bytes(store.root, work.plans) for store in froms)
    with nullcontext() if dry_run else target.lock(command, needed_bytes=room):
        if is_new and not dry_run:
            for one in [*(other for other in work.plans.values() if other["hash"] != plan["hash"]), plan]:
                target.write_plan(one, is_noted=False)
        if not dry_run:
            carry_history([store.root for store in froms], into)
            forget(into)
        told = [work.join(store, latest[store.root]["hash"]) for store in froms]
    return {
        "into": str(into),
        "plan": plan["hash"],
        "dry_run": dry_run,
        "from": [one.to_json() for one in told],
        "ended_twice": work.ended_twice(),
    }


def _plans(store: Store) -> dict[str, Json]:
    """Return the intact plans of a folder by their hash; a suite that is tuned has two."""
    found = {}
    for path in sorted((store.root / "plans").glob("*.json")):
        try:
            found[path.stem] = store.read_plan(path.stem)
        except StoreError:
            continue
    return found


def _size(plan: Mapping[str, Any]) -> tuple[int, str]:
    return len(plan["trials"]), str(plan["hash"])


def _bytes(root: Path, plans: Mapping[str, Any]) -> int:
    """Return what a folder's records take at the most, weights left out."""
    paths = [*root.glob("shared/*.json"), *root.glob("trials/*/*.json")]
    paths += [path for name in plans for path in root.glob(f"timings/{name}/*.json")]
    return sum(map(_size_in_bytes, paths))


def _size_in_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it is left where it is, and told
        return 0
