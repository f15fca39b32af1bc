"""The process in which one peer is measured.

It imports the peer once, then forks for every line that comes in: so each round has a fresh process, and no
round waits for imports. A line asks for cells, a model with a way of loading each; the fork answers with a
line of what it measured.
"""

from __future__ import annotations

import importlib
import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import torch
import torch.nn.functional as F
from task import BATCH_SIZE, Task, build_model

JUDGED = 2_000
"""Training images on which the loss is taken afterwards: did all train the same thing?"""


class Meter:
    """Reads the clocks ahead of two forward passes: the warm-up epoch's last, and the very last.

    Between them lie `epochs - 1` epochs' steps and as many changes of epoch. A hook on the model sees every
    peer's steps alike, and costs each the same microseconds.
    """

    def __init__(self, task: Task) -> None:
        per_epoch = task.total_steps // task.epochs
        self.first, self.last, self.seen = per_epoch, task.total_steps, 0
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def __call__(self, module: torch.nn.Module, inputs: Any) -> None:
        self.seen += 1
        if self.seen in (self.first, self.last):
            self.wall.append(time.perf_counter())
            self.cpu.append(processor_seconds())


def processor_seconds() -> float:
    """Return the processor time of this process and of the workers that it has now."""
    used = time.process_time()
    for child in psutil.Process().children(recursive=True):
        times = child.cpu_times()
        used += times.user + times.system
    return used


def measure(peer: ModuleType, cell: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Train one cell and return what was seen."""
    with tempfile.TemporaryDirectory() as scratch:
        task = Task(
            model=build_model(cell["model"], asked["seed"]),
            loading=cell["loading"],
            name=cell["model"],
            epochs=cell["epochs"],
            folder=Path(asked["folder"]),
            manifest=asked["manifest"],
            scratch=Path(scratch),
            seed=asked["seed"],
            workers=cell["workers"],
        )
        meter = Meter(task)
        handle = task.model.register_forward_pre_hook(meter)
        peer.train(task)
        handle.remove()
        if meter.seen != task.total_steps or torch.get_num_threads() != 1:
            raise RuntimeError(
                f"{peer.__name__} took {meter.seen} steps with {torch.get_num_threads()} threads, "
                f"expected {task.total_steps} with 1"
            )
        images, labels = task.normalised()
        with torch.no_grad():
            loss = F.cross_entropy(task.model.eval()(images[:JUDGED]), labels[:JUDGED]).item()
    if not math.isfinite(loss):
        raise RuntimeError(f"{peer.__name__}: the loss afterwards is {loss}: it trains something else")
    steps = meter.last - meter.first
    return {
        **cell,
        "images_per_second": steps * BATCH_SIZE / (meter.wall[1] - meter.wall[0]),
        "cpu_seconds_per_step": (meter.cpu[1] - meter.cpu[0]) / steps,
        "loss_afterwards": loss,
    }


def answer(peer: ModuleType, asked: dict[str, Any], descriptor: int) -> None:
    """Measure the cells that are asked for, in their order, and write them as one line."""
    torch.set_num_threads(1)
    lines = json.dumps([measure(peer, cell, asked) for cell in asked["cells"]])
    os.write(descriptor, lines.encode() + b"\n")


def main() -> None:
    """Serve until standard input ends; what peers print goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    peer = importlib.import_module(sys.argv[1])
    os.write(answers, b"ready\n")
    for line in sys.stdin:
        process = multiprocessing.get_context("fork").Process(
            target=answer, args=(peer, json.loads(line), answers)
        )
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"{sys.argv[1]}: the measuring process ended with {process.exitcode}")


if __name__ == "__main__":
    main()
