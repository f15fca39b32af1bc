"""Where trials run: the devices, and how many trials each holds at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.launch.room import PLENTY_BYTES, how_many_fit


class Place(NamedTuple):
    """Where a trial runs: its record tells, so that what a place does to results can be tested.

    Attributes:
        device: In torch's name.
        slot: Which of the places on it, from 0: the lowest that is free.
    """

    device: str
    slot: int


class Places:
    """Deals trials to devices, and widens what was measured to have room.

    A number that was asked for is kept to. Where it is left to be found (0), the first trial on a GPU runs alone
    and its peak decides, later ones that need more make it fewer; on a CPU the cores decide, unless the host's
    memory holds fewer trials.

    Args:
        devices: In torch's names.
        jobs: Trials at a time on all devices; 0 to find it.
        per_device: Trials at a time on one GPU; 0 to find it, None for one, or for as many as `jobs` comes to.
        cores: Cores over the threads of a trial.
        free_host_bytes: What the host has while no trial runs.
    """

    def __init__(
        self, devices: Sequence[str], *, jobs: int, per_device: int | None, cores: int, free_host_bytes: int
    ) -> None:
        self._on_gpus = devices[0].startswith("cuda")
        self._running: dict[str, set[int]] = {device: set() for device in devices}
        self._alone: set[str] = set()
        self._jobs = jobs
        self._per_device = -(-jobs // len(devices)) or 1 if per_device is None else per_device
        self._cores = max(1, cores)
        self._cores_per_device = max(1, cores // len(devices))
        self._free_host = free_host_bytes
        self._host_need: int | None = None
        self._device_need: int | None = None
        self._free: dict[str, int] = {}

    @property
    def jobs(self) -> int:
        """Trials at a time, on all devices."""
        most = self._most()
        return min(most, sum(map(self.per_device, self._running))) if self._on_gpus else most

    def per_device(self, device: str) -> int:
        """Return the trials at a time on one device."""
        if not self._on_gpus:
            return self._most()
        if self._per_device:
            return self._per_device
        return how_many_fit(self._device_need, self._free.get(device), self._cores_per_device)

    def is_shared(self, device: str) -> bool:
        """Whether a trial may have neighbours on its device."""
        return self._on_gpus and device not in self._alone and self.per_device(device) > 1

    def is_empty(self) -> bool:
        """Whether nothing runs anywhere."""
        return not any(self._running.values())

    def find(self, alone: bool) -> str | None:
        """Return the device that has most room for another trial, or None where none has.

        Args:
            alone: Whether the trial is to have its device to itself, if that is a GPU.
        """
        if sum(map(len, self._running.values())) >= self._most():
            return None
        to_itself = alone and self._on_gpus
        open_to = [
            device
            for device, running in self._running.items()
            if not running
            or (not to_itself and device not in self._alone and len(running) < self.per_device(device))
        ]
        return min(open_to, key=lambda device: len(self._running[device]), default=None)

    def take(self, alone: bool) -> Place:
        """Put a trial on the device that `find` gives, in its lowest free slot.

        Raises:
            RuntimeError: Where there is no room.
        """
        device = self.find(alone)
        if device is None:
            raise RuntimeError("a trial was started without room for it")
        taken = self._running[device]
        slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        taken.add(slot)
        if alone and self._on_gpus:
            self._alone.add(device)
        return Place(device, slot)

    def leave(self, place: Place) -> None:
        """Take a trial that has ended from its place."""
        self._running[place.device].discard(place.slot)
        if not self._running[place.device]:
            self._alone.discard(place.device)

    def learn(self, device: str, found: Mapping[str, Any]) -> None:
        """Learn what a trial needed, as `room.needs` tells it."""
        self._host_need = _larger(self._host_need, found["host_bytes"])
        self._device_need = _larger(self._device_need, found["device_bytes"])
        if found["free_device_bytes"] is not None and len(self._running.get(device, ())) <= 1:
            # With neighbours, what is free says nothing of the device.
            self._free.setdefault(device, found["free_device_bytes"])

    def _most(self) -> int:
        """Return the trials at a time that were asked for, or that cores and host memory hold."""
        if self._jobs:
            return self._jobs
        if self._on_gpus and self._per_device:
            return self._per_device * len(self._running)
        return how_many_fit(
            self._host_need or PLENTY_BYTES, self._free_host, max(self._cores, len(self._running))
        )


def _larger(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)
