"""The timing pass beside its steps: compute alone, waiting, latency, energy; on a GPU where there is one."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.engine import latency as latency_module
from harness.engine.culprit import Owners
from harness.engine.energy import energy_counter, energy_of
from harness.engine.latency import latency, spread_of_calls
from harness.engine.parameters import weights_digest
from harness.engine.timing import empty_timing, time_arm
from harness.engine.trial import open_run
from harness.engine.windows import on_one_batch
from harness.suite.plan import MEASURE, Job


def timed(job: Job) -> dict[str, Any]:
    timing = time_arm(job, report=lambda _: None)
    assert timing["status"] == "completed", timing["culprit"]
    return timing


def test_a_slow_loader_binds_the_steps_and_not_compute_alone(
    make_job: Callable[..., Job], machine: Any
) -> None:
    """Eight images a step of 10 ms, which waits for its batch half a millisecond, or two steps long."""
    machine.wait_seconds = 0.0005
    prompt = timed(make_job())
    assert prompt["input_bound"] is False
    assert prompt["data_wait_share"] == pytest.approx(0.0005 / 0.0105)
    machine.wait_seconds = 0.02
    bound = timed(make_job())
    assert bound["input_bound"] is True
    assert bound["data_wait_share"] == pytest.approx(0.02 / 0.03)
    assert bound["images_per_second"] == pytest.approx(8 / 0.03)
    assert bound["compute_images_per_second"] == pytest.approx(8 / 0.01)


def test_the_phases_are_told_apart_and_every_key_is_always_there(make_job: Callable[..., Job]) -> None:
    timing = timed(make_job())
    assert timing.keys() == empty_timing().keys()
    assert timing["seconds"].keys() == empty_timing()["seconds"].keys()
    seconds = timing["seconds"]
    assert seconds["compile"] is None
    assert 0 < seconds["data"] < seconds["build"]
    assert min(seconds[name] for name in ("warmup", "steady", "compute", "evaluate", "latency")) > 0
    assert timing["loader"] == {"mode": "resident", "workers": 0, "reason": timing["loader"]["reason"]}
    assert timing["energy"] is None
    memory = timing["peak_memory_bytes"]
    # What earlier tests of this process have started may still be there.
    has_children = any(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    assert memory["tree"] >= memory["resident"] > 2**20
    assert has_children or memory["tree"] == memory["resident"]
    assert memory["allocated"] is memory["reserved"] is memory["device"] is None
    failed = time_arm(make_job(tricks=[{"name": "absent", "params": {}}]), report=lambda _: None)
    assert failed["status"] == "failed" and failed.keys() == timing.keys()


def test_compute_alone_takes_the_arms_own_step_on_one_batch(make_job: Callable[..., Job]) -> None:
    noise = [{"name": "toy-noise", "params": {"strength": 0.5}}]
    run = open_run(make_job(augmentations=noise), Owners())
    seen: list[torch.Tensor] = []
    batch = next(iter(run.training_batches(1)))
    kept = batch.image.clone()
    function = run.step.batch_functions[0]
    run.draws.begin_epoch(0)
    run.step.batch_functions = [lambda one: seen.append(one.ids) or function(one)]  # type: ignore[func-returns-value]
    before = weights_digest(run.model)
    stream = on_one_batch(run, batch)
    for _ in range(run.steps_per_epoch + 3):
        next(stream)
    assert len(seen) == run.steps_per_epoch + 3
    assert all(torch.equal(ids, batch.ids) for ids in seen)
    assert torch.equal(batch.image, kept)
    assert weights_digest(run.model) != before


def test_percentiles_of_calls_by_hand() -> None:
    seconds = iter([float(number) for number in range(1, 201)])
    spread = spread_of_calls(lambda: next(seconds))
    # 200 values 1 ... 200, linear between neighbours: 1 + 199 q.
    assert spread == {"p50": pytest.approx(100.5), "p99": pytest.approx(198.01), "calls": 200}


def test_slow_calls_end_with_their_time_and_tell_no_99th_percentile(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = SimpleNamespace(now=0.0)
    monkeypatch.setattr(latency_module, "perf_counter", lambda: machine.now)

    def call(seconds: float) -> float:
        machine.now += seconds
        return seconds

    assert spread_of_calls(lambda: call(0.25)) == {"p50": 0.25, "p99": None, "calls": 8}  # two seconds
    assert spread_of_calls(lambda: call(60.0))["calls"] == 2


def test_latency_waits_for_each_call_and_leaves_the_model_as_it_was(make_job: Callable[..., Job]) -> None:
    backbone = {"name": "toy-net", "params": {"width": 8, "batch_norm": True, "dropout": 0.2}}
    run = open_run(make_job(backbone=backbone), Owners())
    sizes: list[int] = []

    def slow(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))
        assert not module.training and torch.is_inference_mode_enabled()
        sleep(0.001)

    run.model.register_forward_pre_hook(slow)
    before = weights_digest(run.model)
    spread = latency(run, next(iter(run.training_batches(1))).image[:1])
    assert 0.001 < spread["p50"] <= spread["p99"]
    assert set(sizes) == {1} and len(sizes) == spread["calls"] + latency_module.WARMUP_CALLS
    assert weights_digest(run.model) == before
    assert all(module.training for module in run.model.modules())


def test_latency_is_left_out_where_nobody_asks(make_job: Callable[..., Job]) -> None:
    assert timed(make_job())["latency_seconds"]["calls"] == latency_module.CALLS
    job = replace(make_job(), measure={**MEASURE, "latency": False})
    timing = timed(job)
    assert timing["latency_seconds"] is timing["seconds"]["latency"] is None


def test_energy_by_hand() -> None:
    assert energy_of(300.0, 1000, 2.0) == {"joules_per_image": 0.3, "seconds": 2.0, "source": "nvml"}
    assert energy_of(None, 1000, 2.0) is None
    assert energy_of(0.0, 1000, 2.0) is None  # a counter that stood still says nothing
    assert energy_of(300.0, 1000, 0.1) is None


class FakeNvml(SimpleNamespace):
    class NVMLError(Exception):
        pass

    millijoules = 5_000_000
    asked: list[str]

    def nvmlInit(self) -> None:
        self.asked = []

    def nvmlDeviceGetHandleByUUID(self, name: str) -> str:
        self.asked.append(name)
        return name

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if self.millijoules is None:
            raise self.NVMLError("not supported")
        return self.millijoules


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-34"))
    return fake


def test_the_counter_of_the_device_itself_is_read_in_joules(nvml: FakeNvml) -> None:
    counter = energy_counter(torch.device("cuda:1"))
    assert counter is not None and counter() == 5000.0
    assert nvml.asked == ["GPU-12-34"]
    nvml.millijoules += 1500
    assert counter() == 5001.5


def test_without_a_package_a_driver_or_a_counter_there_is_no_energy(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert energy_counter(torch.device("cpu")) is None
    nvml.millijoules = None  # type: ignore[assignment]
    assert energy_counter(torch.device("cuda:0")) is None

    def no_driver() -> None:
        raise FakeNvml.NVMLError("no driver")

    monkeypatch.setattr(nvml, "nvmlInit", no_driver, raising=False)
    assert energy_counter(torch.device("cuda:0")) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_counter(torch.device("cuda:0")) is None


@pytest.mark.gpu
def test_on_a_gpu_times_come_from_events_and_memory_from_the_device(make_job: Callable[..., Job]) -> None:
    timing = timed(replace(make_job(), device="cuda:0", timing_seconds=1.0))
    memory = timing["peak_memory_bytes"]
    assert 0 < memory["allocated"] <= memory["reserved"] < memory["device"]
    assert timing["seconds"]["steady"] >= 1.0
    assert sum(timing["window_seconds"]) == pytest.approx(timing["seconds"]["steady"])
    assert 0 <= timing["data_wait_share"] < 1
    assert 0 < timing["latency_seconds"]["p50"] <= timing["latency_seconds"]["p99"]
    if timing["energy"] is not None:
        assert timing["energy"]["joules_per_image"] > 0
