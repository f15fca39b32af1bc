"""MLflow runs, in a local store unless a server is named."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.contract import TrackedTrial, Tracker, TrialTracking
from harness_plugins.trackers.numbers import INSTALL, flat, results

_NOT_IN_A_KEY = re.compile(r"[^\w .:/-]", re.ASCII)
_KEY_LENGTH, _VALUE_LENGTH, _BATCH = 250, 5000, 100
"""MLflow's own limits, with room to spare."""


@dataclass(frozen=True)
class Mlflow(Tracker):
    """A run for each trial, its recipe as parameters, its curves as metrics, its results under `test/`.

    By default nothing leaves the machine: the store is `results/<suite>/tracking/mlflow/mlflow.db` (MLflow 3 has given
    up its plain file store). MLflow's telemetry is switched off. Runs are made by its client, which adds neither the
    user's name nor the path of the command. Needs the extra `track`, and some seconds to import, in the launcher's
    process alone. The extra has MLflow's client without its pages (`mlflow-skinny`); the whole package shows the runs,
    in an environment of its own: `uvx mlflow ui --backend-store-uri sqlite:///…/mlflow.db`.

    When not to use it: with several launchers on one SQLite store; name a server then.

    Attributes:
        tracking_uri: Where runs are kept: `http://host:5000`, `sqlite:///file.db`; the local store where it is left
            out. Credentials belong in MLflow's own environment variables, not in a suite.
        experiment: Name of the experiment; the suite's where it is left out.
    """

    libraries: ClassVar[tuple[str, ...]] = ("mlflow", "sqlalchemy", "alembic")
    install: ClassVar[str] = INSTALL

    tracking_uri: str | None = None
    experiment: str | None = None

    def begin(self, trial: TrackedTrial, recipe: Mapping[str, Any]) -> TrialTracking:
        """Create the trial's run and write its recipe."""
        client = _client_class()(tracking_uri=self.tracking_uri or _local(trial))
        name = self.experiment or trial.suite
        known = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if known is None else known.experiment_id
        tags = {"harness.trial": trial.id, "harness.plan": trial.plan, "harness.arm": trial.arm}
        tags |= {"harness.replicate": str(trial.replicate)}
        run = client.create_run(experiment, run_name=f"{trial.arm} #{trial.replicate}", tags=tags)
        following = _Run(client, run.info.run_id)
        following.write_recipe(recipe)
        return following


class _Run(TrialTracking):
    def __init__(self, client: Any, run: str) -> None:
        self._client = client
        self._run = run
        self._step = 0

    def write_recipe(self, recipe: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        pairs = [Param(_key(name), text[:_VALUE_LENGTH]) for name, text in flat(recipe).items()]
        for start in range(0, len(pairs), _BATCH):
            self._client.log_batch(self._run, params=pairs[start : start + _BATCH])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        self._step = max(self._step, step)
        now = int(time.time() * 1000)
        metrics = [Metric(_key(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def end(self, record: Mapping[str, Any]) -> None:
        self.scalars(self._step, results(record))
        status = str(record.get("status"))
        self._client.set_tag(self._run, "harness.status", status)
        if error := (record.get("culprit") or {}).get("error"):
            self._client.set_tag(self._run, "harness.error", str(error)[:_VALUE_LENGTH])
        self._client.set_terminated(self._run, "FINISHED" if status == "completed" else "FAILED")


def _client_class() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise ImportError(f"{error}; get it: {INSTALL}") from error
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line for each table that it makes
    return MlflowClient


def _local(trial: TrackedTrial) -> str:
    trial.folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(trial.folder / 'mlflow.db').resolve()}"


def _key(name: str) -> str:
    return _NOT_IN_A_KEY.sub("_", name)[:_KEY_LENGTH]
