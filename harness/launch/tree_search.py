"""The tree-structured Parzen estimator, by Optuna: the next setting of an arm from those that were tried.

TPE (Bergstra et al. 2011) models the better and the worse settings by a density each, and takes the candidate with
the largest ratio of the two. Optuna's defaults, but for the first settings, which are quasi-random ones. A study is
made anew for each question from what the records say, with a seed of suite, arm and number: so the answer depends on
nothing else, and there is no state to keep.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from harness.errors import PluginError
from harness.suite.load import SuiteArm
from harness.suite.search import Setting, new_setting
from harness.suite.search_space import Choice, Domain, count_of, holds, rounded

_STARTUP = 10
"""Settings before the model is asked, at the most: Optuna's default."""

_ASKS = 8
"""How often the model is asked before a setting that was not tried yet comes from the sequence."""


def need_optuna() -> None:
    """See that Optuna is there.

    Raises:
        PluginError: Where it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise PluginError(
            'tuning.method = "tpe" needs optuna, which is not installed: pip install "harness-bench[tune]"; '
            'or take method = "quasi-random"'
        )


def startup_trials(trials: int) -> int:
    """Return how many of an arm's trials are not asked of the model: its own setting and quasi-random ones."""
    return min(_STARTUP, max(2, trials // 2))


def suggest(arm: SuiteArm, before: Sequence[tuple[Setting, float]], seed: int) -> dict[str, Any]:
    """Return the setting to try next.

    Args:
        arm: The arm, with what is searched.
        before: What was tried, and the score of each; larger is better.
        seed: The suite's seed.

    Raises:
        PluginError: Where Optuna is not installed.
    """
    need_optuna()
    import optuna

    text = f"{seed}\x00{arm.name}\x00{len(before)}"
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=0)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        distributions = {path: _distribution(domain) for path, domain in arm.space.items()}
        for setting, score in before:
            # The suite's own setting may lie outside of what is searched: the model has no place for it.
            if all(holds(domain, setting[path]) for path, domain in arm.space.items()):
                params = {path: _encoded(domain, setting[path]) for path, domain in arm.space.items()}
                study.add_trial(
                    optuna.trial.create_trial(params=params, distributions=distributions, value=score)
                )
        known = [setting for setting, _ in before]
        for _ in range(_ASKS):
            params = study.ask(distributions).params
            setting = {path: _decoded(domain, params[path]) for path, domain in arm.space.items()}
            if setting not in known:
                return setting
    finally:
        optuna.logging.set_verbosity(verbosity)
    return new_setting(arm, known, seed)


def _distribution(domain: Domain) -> Any:
    from optuna import distributions

    if isinstance(domain, Choice):
        return distributions.CategoricalDistribution(tuple(range(len(domain.values))))
    if domain.is_whole:
        step = 1 if domain.step is None else int(domain.step)
        return distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=step)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _encoded(domain: Domain, value: Any) -> Any:
    """Return a value as Optuna knows it: of choices, which may be anything, the number."""
    if not isinstance(domain, Choice):
        return value
    return next(index for index, one in enumerate(domain.values) if type(one) is type(value) and one == value)


def _decoded(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.values[value]
    if count_of(domain) is None:
        return rounded(domain, value)
    return int(value) if domain.is_whole else float(f"{value:.12g}")
