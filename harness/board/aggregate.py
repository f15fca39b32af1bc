"""One figure over several data sets: interquartile mean, performance profile and mean rank, each with an interval.

Agarwal et al. 2021 (Deep Reinforcement Learning at the Edge of the Statistical Precipice). A task is a cell of the
grid; it takes three or more whose test data differ. A run's score is (top-1 - chance) / (100 - chance): 0 is guessing,
1 is perfect, so that tasks with ten and with a hundred classes may stand beside each other.

* Interquartile mean: of an arm's scores in all tasks and replicates, without the lowest and the highest quarter.
* Performance profile (their equation 1, run-score distribution): the mean over tasks of the share of replicates whose
  score is above tau, for each tau.
* Mean rank: over tasks, of the rank of the arm's mean among all arms; equal means share the mean of their ranks.

Intervals are percentiles of a stratified bootstrap: the replicates of each task are drawn anew, the same ones for every
arm, because a replicate's arms share seeds. With few replicates they are somewhat narrow, so no verdict rests on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.board.ranks import cells_of, is_ranked
from harness.board.rows import paired_values
from harness.board.select import ArmTrials, value_at
from harness.board.statistics import interquartile_mean, mean_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]

Json = dict[str, Any]

FEWEST = 3
DRAWS = 2000
THRESHOLDS = 51


def aggregate_of(
    plan: Mapping[str, Any],
    arms: Mapping[str, Json],
    rows: Mapping[str, Json],
    trials: Mapping[str, ArmTrials],
    chances: Mapping[str, float],
    against: Mapping[str, str],
    alpha: float,
) -> Json | None:
    """Return the figures over all tasks, or None where there are not three with test data of their own.

    Where no arm has a result in all of them there is a `reason` in the place of figures.

    Args:
        plan: The plan.
        arms: Of the plan, by name.
        rows: By arm, with their stamps.
        trials: By arm.
        chances: By arm, the accuracy of guessing.
        against: By arm, its baseline.
        alpha: Level of the intervals, each for itself.
    """
    cells = {base: members for base, members in cells_of(arms, against).items() if base in arms}
    tasks = {base: _members(plan, base, members, arms) for base, members in cells.items()}
    if len({_test_data(plan, arms[base]) for base in tasks} - {None}) < FEWEST:
        return None
    names = list(dict.fromkeys(name for members in tasks.values() for name in members))
    left_out, complete = [], []
    for name in names:
        missing = [
            base for base, found in tasks.items() if name not in found or not is_ranked(rows[found[name]])
        ]
        if missing:
            left_out.append({"arm": name, "reason": f"no result in {len(missing)} of {len(tasks)} tasks"})
        else:
            complete.append(name)
    scores = [_scores([found[name] for name in complete], trials, chances) for found in tasks.values()]
    told: Json = {
        "tasks": [
            {
                "baseline": base,
                "cell": dict(arms[base].get("cell") or {}),
                "data": arms[base].get("data"),
                "replicates": len(one[0]) if one else 0,
            }
            for base, one in zip(tasks, scores, strict=True)
        ],
        "left_out": left_out,
    }
    if not complete or not all(scores):
        return {**told, "reason": _why_none(complete, tasks, scores, rows), "arms": []}
    return {
        **told,
        "score": "(top-1 − chance) / (100 − chance)",
        "level": 1 - alpha,
        "draws": DRAWS,
        **_figures(complete, scores, int(plan.get("seed") or 0), alpha),
    }


def _why_none(
    complete: Sequence[str],
    tasks: Mapping[str, Mapping[str, str]],
    scores: Sequence[Sequence[Any]],
    rows: Mapping[str, Json],
) -> str:
    """Return why there are no figures, with the baselines of the tasks that keep them from being."""
    if complete:
        empty = [base for base, one in zip(tasks, scores, strict=True) if not one]
        return f"no replicate has a result of every arm in the data set of {_quoted(empty)}"
    empty = [base for base, found in tasks.items() if not any(is_ranked(rows[arm]) for arm in found.values())]
    nothing = f"; there is none in that of {_quoted(empty)}" if empty else ""
    return f"no arm has a result in all {len(tasks)} data sets{nothing}"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _members(
    plan: Mapping[str, Any], base: str, members: Sequence[str], arms: Mapping[str, Json]
) -> dict[str, str]:
    """Return a cell's arms by the name that they have in every cell: theirs without the number of the cell."""
    root = str(plan.get("baseline"))
    suffix = base[len(root) :] if base.startswith(root) else ""
    return {
        arm.removesuffix(suffix): arm
        for arm in members
        if arms[arm].get("compared", True) and not arms[arm].get("copy_of")
    }


def _test_data(plan: Mapping[str, Any], arm: Json) -> str | None:
    digest = value_at(plan.get("manifests"), str(arm.get("data")), "splits", "test", "digest")
    return None if digest is None else str(digest)


def _scores(
    members: Sequence[str], trials: Mapping[str, ArmTrials], chances: Mapping[str, float]
) -> list[list[float]]:
    """Return scores by arm and replicate of one task, over the replicates that all its arms have."""
    values = {arm: paired_values(trials[arm], chances[arm]) for arm in members}
    common = sorted(set.intersection(*(set(found) for found in values.values()))) if values else []
    return [
        [(values[arm][one] - chances[arm]) / (100.0 - chances[arm]) for one in common]
        for arm in members
        if common
    ]


def _figures(names: Sequence[str], scores: Sequence[list[list[float]]], seed: int, alpha: float) -> Json:
    """Return the thresholds and each arm's figures."""
    import numpy as np

    tasks = [np.asarray(one) for one in scores]
    every = np.concatenate([task.ravel() for task in tasks])
    thresholds = np.linspace(every.min(), every.max(), THRESHOLDS)
    chosen = _chosen(tasks, seed)
    drawn = [task.T[one].transpose(0, 2, 1) for task, one in zip(tasks, chosen, strict=True)]
    measured = [task[None] for task in tasks]
    seen = [np.ones((1, task.shape[1])) for task in tasks]
    drawn_times = [_times(one, task.shape[1]) for task, one in zip(tasks, chosen, strict=True)]
    ends = [alpha / 2, 1 - alpha / 2]
    ranks, drawn_ranks = _mean_ranks(measured)[0], _mean_ranks(drawn)
    arms: list[Json] = []
    for index, name in enumerate(names):
        own = [value for one in scores for value in one[index]]
        middle = _interquartile_means(np.concatenate([task[:, index] for task in drawn], axis=1))
        above = [task[index][:, None] > thresholds for task in tasks]
        profile = _profile(above, seen)[0]
        band = np.quantile(_profile(above, drawn_times), ends, axis=0)
        low, high = np.quantile(middle, ends)
        first, last = np.quantile(drawn_ranks[:, index], ends)
        arms.append(
            {
                "arm": name,
                "interquartile_mean": {
                    "mean": interquartile_mean(own),
                    "low": float(low),
                    "high": float(high),
                },
                "mean_score": mean_of([mean_of(one[index]) for one in scores]),
                "mean_rank": {"mean": float(ranks[index]), "low": float(first), "high": float(last)},
                "profile": {"share": profile.tolist(), "low": band[0].tolist(), "high": band[1].tolist()},
            }
        )
    arms.sort(key=lambda arm: (arm["mean_rank"]["mean"], arm["arm"]))
    return {"thresholds": thresholds.tolist(), "arms": arms}


def _chosen(tasks: Sequence[Scores], seed: int) -> list[npt.NDArray[np.int64]]:
    """Return by task (DRAWS, replicates): replicates drawn with replacement, the same for every arm."""
    import numpy as np

    found = []
    for number, task in enumerate(tasks):
        key = hashlib.blake2b(f"board/aggregate/{seed}/{number}".encode(), digest_size=16).digest()
        words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(DRAWS * task.shape[1])
        found.append((words % np.uint64(task.shape[1])).astype(np.int64).reshape(DRAWS, task.shape[1]))
    return found


def _times(chosen: npt.NDArray[np.int64], replicates: int) -> Scores:
    """Return (draws, replicates): how often each was drawn."""
    import numpy as np

    return np.stack([(chosen == one).sum(axis=1) for one in range(replicates)], axis=1).astype(np.float64)


def _interquartile_means(scores: Scores) -> Scores:
    """Return the interquartile mean of each row."""
    import numpy as np

    cut = scores.shape[1] // 4
    middle: Scores = np.sort(scores, axis=1)[:, cut : scores.shape[1] - cut].mean(axis=1)
    return middle


def _mean_ranks(tasks: Sequence[Scores]) -> Scores:
    """Return (draws, arms): the mean over tasks of each arm's rank by its mean, 1 being the highest."""
    import numpy as np

    total: Scores = np.zeros(tasks[0].shape[:2])
    for task in tasks:
        means = task.mean(axis=2)
        # Arm by arm: all pairs of some hundred arms at once would take gigabytes.
        for arm in range(means.shape[1]):
            own = means[:, arm, None]
            total[:, arm] += (means > own).sum(axis=1) + ((means == own).sum(axis=1) + 1) / 2
    return total / len(tasks)


def _profile(above: Sequence[npt.NDArray[np.bool_]], times: Sequence[Scores]) -> Scores:
    """Return (draws, thresholds): the mean over tasks of the share of replicates above each threshold.

    Args:
        above: By task (replicates, thresholds), whether a replicate's score is above.
        times: By task (draws, replicates), how often a replicate was drawn.
    """
    import numpy as np

    # Whole numbers, added up exactly in any order; so small a product takes longer by the threads of a BLAS.
    shares = [
        np.einsum("dr,rt->dt", often, one.astype(np.float64)) / len(one)
        for one, often in zip(above, times, strict=True)
    ]
    total: Scores = np.mean(shares, axis=0)
    return total
