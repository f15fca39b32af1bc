"""TensorBoard and MLflow: what is written is read back by their own readers, or seen by stand-ins of their modules."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from harness.contract import TrackedTrial, TrialTracking
from harness_plugins.trackers.mlflow import Mlflow
from harness_plugins.trackers.numbers import flat, results
from harness_plugins.trackers.tensorboard import TensorBoard

RECIPE = {"batch_size": 32, "tricks": [{"name": "sam", "params": {"rho": 0.05, "of": None}}]}
RECORD = {
    "status": "completed",
    "culprit": None,
    "results": {
        "test": {"top1": 97.5, "nll": 0.125, "metrics": {"top-5 <b>": 99.0}},
        "validation": None,
    },
    "seconds": {"train": 1.5},
    "budget": {"training_flops": 2.0},
    "parameters": 10,
    "memory": {"peak_resident_bytes": 4096, "peak_allocated_bytes": None},
}
RESULTS = {
    "test/top1": 97.5,
    "test/nll": 0.125,
    "test/top-5 <b>": 99.0,
    "train_seconds": 1.5,
    "training_flops": 2.0,
    "parameters": 10.0,
    "peak_resident_bytes": 4096.0,
}


def trial_in(folder: Path) -> TrackedTrial:
    return TrackedTrial("toy", "abc", "id0", "sam", 3, folder)


def follow(following: TrialTracking, record: dict[str, Any] = RECORD) -> None:
    following.scalars(5, {"progress": 0.5})
    following.scalars(10, {"train_loss": 0.25, "validation_top1": 90.0})
    following.end(record)


def test_a_recipe_becomes_text_by_key_path() -> None:
    assert flat(RECIPE) == {
        "batch_size": "32",
        "tricks.0.name": "sam",
        "tricks.0.params.rho": "0.05",
        "tricks.0.params.of": "None",
    }


def test_results_are_those_that_are_there() -> None:
    assert results(RECORD) == RESULTS
    assert results({"status": "crashed", "results": None, "memory": None}) == {}


def test_tensorboard_reads_back_what_was_written(tmp_path: Path) -> None:
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    follow(TensorBoard().begin(trial_in(tmp_path), RECIPE))
    assert [path.name for path in (tmp_path / "sam").iterdir()] == ["3"]
    read = accumulators.EventAccumulator(str(tmp_path / "sam" / "3"))
    read.Reload()
    scalars = {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    assert scalars["progress"] == [(5, 0.5)]
    assert scalars["train_loss"] == [(10, 0.25)]
    assert {tag: value for tag, [(step, value)] in scalars.items() if step == 10 and "/" in tag} == {
        name: pytest.approx(value) for name, value in RESULTS.items() if "/" in name
    }
    texts = {tag: read.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in read.Tags()["tensors"]}
    assert texts["status"] == "    completed: no error"
    assert '"batch_size": 32' in texts["recipe"]


def test_mlflow_reads_back_what_was_written(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    follow(Mlflow().begin(trial_in(tmp_path), RECIPE))
    follow(Mlflow().begin(trial_in(tmp_path), RECIPE), {"status": "crashed", "culprit": {"error": "boom"}})
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("toy")
    bad, good = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    assert (good.info.run_name, good.info.status, bad.info.status) == ("sam #3", "FINISHED", "FAILED")
    assert good.data.params == flat(RECIPE)
    assert good.data.metrics == {
        "progress": 0.5,
        "train_loss": 0.25,
        "validation_top1": 90.0,
        **{name.replace("<b>", "_b_"): value for name, value in RESULTS.items()},
    }
    assert [(one.step, one.value) for one in client.get_metric_history(good.info.run_id, "test/top1")] == [
        (10, 97.5)
    ]
    assert good.data.tags["harness.trial"] == "id0" and bad.data.tags["harness.error"] == "boom"
    # Neither the user's name nor the path of the command.
    assert good.info.user_id in ("", "unknown", None)
    assert "mlflow.source.name" not in good.data.tags


class Writer:
    made: list[Writer] = []

    def __init__(self, folder: str) -> None:
        self.folder, self.events, self.closed = folder, [], False
        self.made.append(self)

    def add_event(self, event: Any) -> None:
        assert not self.closed
        self.events.append(event)

    def close(self) -> None:
        self.closed = True


def record_of(**values: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(**values)


@pytest.fixture
def fake_tensorboard(monkeypatch: pytest.MonkeyPatch) -> type[Writer]:
    """Stand in for TensorBoard's modules: messages are plain records."""
    summary = type("Summary", (types.SimpleNamespace,), {"Value": record_of})
    shape = type("TensorShapeProto", (types.SimpleNamespace,), {"Dim": record_of})
    modules = {
        "tensorboard.summary.writer.event_file_writer": {"EventFileWriter": Writer},
        "tensorboard.compat.proto.summary_pb2": {"Summary": summary},
        "tensorboard.compat.proto.event_pb2": {"Event": record_of},
        "tensorboard.compat.proto.tensor_pb2": {"TensorProto": record_of},
        "tensorboard.compat.proto.tensor_shape_pb2": {"TensorShapeProto": shape},
        "tensorboard.plugins.text.metadata": {"create_summary_metadata": record_of},
    }
    for name, contents in modules.items():
        parts = name.split(".")
        for end in range(1, len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        module = types.ModuleType(name)
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    Writer.made = []
    return Writer


def test_the_calls_of_tensorboards_writer(fake_tensorboard: type[Writer], tmp_path: Path) -> None:
    follow(TensorBoard().begin(trial_in(tmp_path), RECIPE))
    (writer,) = fake_tensorboard.made
    assert writer.folder == str(tmp_path / "sam" / "3") and writer.closed
    told = [(event.step, {one.tag: one for one in event.summary.value}) for event in writer.events]
    assert [(step, sorted(values)) for step, values in told] == [
        (0, ["recipe"]),
        (5, ["progress"]),
        (10, ["train_loss", "validation_top1"]),
        (10, sorted(RESULTS)),
        (10, ["status"]),
    ]
    assert told[3][1]["test/top1"].simple_value == 97.5


class Client:
    """Keeps the calls of an MLflow client."""

    made: list[Client] = []

    def __init__(self, tracking_uri: str) -> None:
        self.uri, self.calls = tracking_uri, []
        self.made.append(self)

    def get_experiment_by_name(self, name: str) -> None:
        self.calls.append(("get_experiment_by_name", name))

    def create_experiment(self, name: str) -> str:
        self.calls.append(("create_experiment", name))
        return "7"

    def create_run(self, experiment: str, *, run_name: str, tags: dict[str, str]) -> Any:
        self.calls.append(("create_run", experiment, run_name, tags))
        return record_of(info=record_of(run_id="r"))

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.calls.append((name, *arguments, named))


@pytest.fixture
def fake_mlflow(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    module, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")
    module.MlflowClient = Client  # type: ignore[attr-defined]
    entities.Metric = lambda key, value, timestamp, step: (key, value, step)  # type: ignore[attr-defined]
    entities.Param = lambda key, value: (key, value)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    Client.made = []
    return Client


def test_the_calls_of_mlflows_client(fake_mlflow: type[Client], tmp_path: Path) -> None:
    many = {"values": [float(number) for number in range(250)], "long": "x" * 10_000}
    follow(Mlflow().begin(trial_in(tmp_path), many), {"status": "diverged", "culprit": {"error": "NaN"}})
    (client,) = fake_mlflow.made
    # By default a file of the suite's own results: no server, no telemetry.
    assert client.uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    names = [call[0] for call in client.calls]
    assert names == [
        "get_experiment_by_name",
        "create_experiment",
        "create_run",
        *["log_batch"] * 6,
        "set_tag",
        "set_tag",
        "set_terminated",
    ]
    tags = {
        "harness.trial": "id0",
        "harness.plan": "abc",
        "harness.arm": "sam",
        "harness.replicate": "3",
    }
    assert client.calls[2] == ("create_run", "7", "sam #3", tags)
    batches = [call[-1]["params"] for call in client.calls[3:6]]
    assert [len(batch) for batch in batches] == [100, 100, 51]
    assert max(len(value) for batch in batches for _, value in batch) == 5000
    assert client.calls[7] == (
        "log_batch",
        "r",
        {"metrics": [("train_loss", 0.25, 10), ("validation_top1", 90.0, 10)]},
    )
    assert client.calls[-3:] == [
        ("set_tag", "r", "harness.status", "diverged", {}),
        ("set_tag", "r", "harness.error", "NaN", {}),
        ("set_terminated", "r", "FAILED", {}),
    ]


def test_mlflow_goes_where_it_is_told(fake_mlflow: type[Client], tmp_path: Path) -> None:
    Mlflow(tracking_uri="http://tracker.example:5000", experiment="ours").begin(trial_in(tmp_path), {})
    (client,) = fake_mlflow.made
    assert client.uri == "http://tracker.example:5000"
    assert ("create_experiment", "ours") in client.calls
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("tracker", "module"), [(TensorBoard(), "tensorboard"), (Mlflow(), "mlflow")])
def test_what_is_not_installed_says_how_to_get_it(
    tracker: Any, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'harness-bench\[track\]'"):
        tracker.begin(trial_in(tmp_path), {})
    assert not list(tmp_path.iterdir())
