"""How many trials a device holds: hand-worked numbers."""

import dataclasses

import pytest

from harness.launch.places import Place, Places
from harness.launch.room import CONTEXT_BYTES, how_many_fit, needs
from harness.suite.expand import expand

GIB = 2**30


@pytest.mark.parametrize(
    ("need", "free", "most", "wanted"),
    [
        (4 * GIB, 80 * GIB, 100, 18),  # 72 of 80 GiB
        (4 * GIB, 80 * GIB, 16, 16),  # bounded by the cores
        (40 * GIB, 80 * GIB, 16, 1),
        (39 * GIB, 87 * GIB, 16, 2),  # 78.3
        (100 * GIB, 80 * GIB, 16, 1),  # one there must be
        (None, 80 * GIB, 16, 1),
        (4 * GIB, None, 16, 1),
        (4 * GIB, 0, 16, 1),
    ],
)
def test_how_many_fit_in_nine_tenths_of_what_is_free(need, free, most, wanted):
    assert how_many_fit(need, free, most) == wanted


def gpus(count=2, cores=16, jobs=0, per_device=0, free_host=1000):
    names = [f"cuda:{number}" for number in range(count)]
    return Places(names, jobs=jobs, per_device=per_device, cores=cores, free_host_bytes=free_host * GIB)


def found(device_gib=None, free_gib=None, host_gib=2):
    device, free = (None if gib is None else gib * GIB for gib in (device_gib, free_gib))
    return {"host_bytes": host_gib * GIB, "device_bytes": device, "free_device_bytes": free}


def fill(places):
    taken = []
    while places.find(False) is not None:
        taken.append(places.take(False).device)
    return taken


def test_the_first_trial_on_each_gpu_runs_alone_and_decides():
    places = gpus()
    assert sorted(fill(places)) == ["cuda:0", "cuda:1"]
    assert not places.is_shared("cuda:0")
    places.learn("cuda:0", found(device_gib=10, free_gib=80))
    places.leave(Place("cuda:0", 0))
    # 72 / 10 = 7 on the one; the other has not been measured, its first trial still runs alone.
    assert fill(places) == ["cuda:0"] * 7
    assert places.is_shared("cuda:0") and not places.is_shared("cuda:1")
    places.learn("cuda:1", found(device_gib=20, free_gib=80))
    places.leave(Place("cuda:1", 0))
    # 72 / 20 = 3 for both now, of which the first holds more already.
    assert fill(places) == ["cuda:1"] * 3
    assert places.jobs == 6
    places.leave(Place("cuda:0", 0))
    assert fill(places) == []


def test_cores_and_the_hosts_memory_bound_what_the_gpus_hold():
    places = gpus(cores=8)
    places.learn("cuda:0", found(device_gib=1, free_gib=80))
    places.learn("cuda:1", found(device_gib=1, free_gib=80))
    assert (places.per_device("cuda:0"), places.jobs) == (4, 8)
    places = gpus(free_host=20)
    places.learn("cuda:0", found(device_gib=10, free_gib=80, host_gib=6))
    assert places.jobs == 3  # 18 / 6


def test_what_was_asked_for_is_kept_to():
    assert fill(gpus(per_device=3)) == ["cuda:0", "cuda:1"] * 3
    assert sorted(fill(gpus(per_device=None))) == ["cuda:0", "cuda:1"]
    assert sorted(fill(gpus(jobs=3, per_device=None))) == ["cuda:0", "cuda:0", "cuda:1"]
    cpu = Places(["cpu"], jobs=5, per_device=None, cores=2, free_host_bytes=GIB)
    assert fill(cpu) == ["cpu"] * 5


def test_a_trial_that_is_to_be_alone_waits_for_an_empty_gpu_and_keeps_it():
    places = gpus(count=1, per_device=2)
    places.take(False)
    assert places.find(True) is None
    places.leave(Place("cuda:0", 0))
    assert places.take(True) == ("cuda:0", 0)
    assert places.find(False) is None and not places.is_shared("cuda:0")
    places.leave(Place("cuda:0", 0))
    assert fill(places) == ["cuda:0"] * 2


def test_a_trial_takes_the_lowest_slot_that_is_free():
    places = gpus(count=1, per_device=3)
    first, second, third = (places.take(False) for _ in range(3))
    assert [place.slot for place in (first, second, third)] == [0, 1, 2]
    places.leave(second)
    assert places.take(False) == second


def test_on_a_cpu_the_cores_decide_unless_memory_is_short():
    def cpu(free):
        return Places(["cpu"], jobs=0, per_device=None, cores=8, free_host_bytes=free * GIB)

    assert fill(cpu(64)) == ["cpu"] * 8
    short = cpu(8)
    assert fill(short) == ["cpu"]  # 7.2 GiB are no plenty for two, so the first decides
    short.learn("cpu", found(host_gib=1))
    assert short.jobs == 7
    short.learn("cpu", found(host_gib=3))
    assert short.jobs == 2


def test_a_trial_needs_its_peaks(monkeypatch):
    memory = {"peak_tree_bytes": 7, "peak_resident_bytes": 5, "peak_reserved_bytes": None}
    nothing = {"device_bytes": None, "free_device_bytes": None}
    assert needs({"memory": memory}, "cpu") == {"host_bytes": 7, **nothing}
    assert needs({"memory": {"peak_resident_bytes": 5}}, "cpu") == {"host_bytes": 5, **nothing}
    assert needs({"memory": None}, "cpu") == {"host_bytes": None, **nothing}

    class Cuda:
        @staticmethod
        def mem_get_info(device):
            return 70 * GIB, 80 * GIB

        @staticmethod
        def memory_reserved(device):
            return 2 * GIB

    class Torch:
        cuda = Cuda

    monkeypatch.setitem(__import__("sys").modules, "torch", Torch)
    on_gpu = needs({"memory": {**memory, "peak_reserved_bytes": 3 * GIB}}, "cuda:0")
    assert on_gpu["device_bytes"] == 3 * GIB + CONTEXT_BYTES
    assert on_gpu["free_device_bytes"] == 72 * GIB


def test_only_replicates_at_once_have_trials_of_their_own(tmp_path):
    from harness.suite.load import load
    from harness.testing.jobs import TOYS

    file = tmp_path / "suite.toml"
    file.write_text(
        f"""
schema = 1
name = "ids"
replicates = 2
baseline = "plain"
plugins = ["{TOYS}"]
[budget]
epochs = 1
[recipe]
dataset = "toy-dataset"
sampler = "toy-shuffle"
backbone = "toy-net"
optimizer = "toy-sgd"
schedule = "toy-constant"
batch_size = 8
[arms.plain]
"""
    )
    suite = load(file, allow="none")
    manifest = {"hash": "toy", "splits": {"train": {"count": 96}, "test": {"count": 48}}}

    def ids(together):
        plan = expand(dataclasses.replace(suite, together=together), {"plain": manifest})
        return [trial.id for trial in plan.trials]

    assert ids(1) == [trial.id for trial in expand(suite, {"plain": manifest}).trials]
    assert len({*ids(1), *ids(2), *ids(3)}) == 6
