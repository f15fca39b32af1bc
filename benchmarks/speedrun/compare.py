"""The plain script against the suite's arm: same data, order, draws and initial weights; curves, and time interleaved.

    python benchmarks/speedrun/compare.py --data DIR                       # the small suite, on a CPU
    python benchmarks/speedrun/compare.py --data DIR --widths 64 256 256 --batch-size 1000 --epochs 1
    python benchmarks/speedrun/compare.py --data DIR --suite benchmarks/suites/speedrun.toml --device cuda

The clock covers initialisation from data, training and test-time augmentation; not loading, casting or compiling. On a
CPU it counts the process's CPU time, on a GPU the time between two events on the stream.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.contract import Closure, DataInfo, StepResult
from harness.engine.culprit import Owners
from harness.engine.evaluate import predict
from harness.engine.keys import Keys
from harness.engine.precision import PRECISIONS, apply_numerics
from harness.engine.tally import Tally
from harness.engine.trial import open_run, train
from harness.registry.discovery import discover
from harness.suite.load import load
from harness.suite.plan import Job
from harness.suite.prepare import default_cache, prepare

sys.path.insert(0, str(Path(__file__).parent))
from plain import Net, Recipe, Speedrun, accuracy

ROOT = Path(__file__).parents[2]
TRICKS = ["whitened-stem", "dirac-init", "freeze-norm-scale", "label-smoothing", "sum-loss", "lookahead"]


@dataclasses.dataclass(frozen=True)
class Side:
    """What one side gave.

    Attributes:
        losses: Of each step, the mean over the batch.
        top1: Points, on the test split.
        seconds: By the clock of the device.
    """

    losses: list[float]
    logits: Tensor
    top1: float
    seconds: float


class Clock:
    """CPU time of this process, or the time between two events on a GPU's stream."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.begin()

    def begin(self) -> None:
        if self.on_gpu:
            self.event = torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            self.event.record()
        else:
            self.begun = time.process_time()

    def seconds(self) -> float:
        if not self.on_gpu:
            return time.process_time() - self.begun
        end = torch.cuda.Event(enable_timing=True)
        end.record()
        torch.cuda.synchronize()
        return float(self.event.elapsed_time(end)) / 1000


class KeyedChance:
    """The plain script's chance, drawn from the keys that a trial draws from."""

    def __init__(self, job: Job, samples: int, moved: float = 0.0) -> None:
        self.job, self.samples, self.moved = job, samples, moved
        self.keys = Keys(job.seed, job.replicate)

    def weights(self, net: Net) -> None:
        """Fill the net with the backbone's initial weights, as they are before any trick."""
        registry = discover(allow="first-party")
        torch.default_generator.manual_seed(self.keys.torch_seeds("initial weights", 0, 1)[0])
        manifest = self.job.manifest
        shapes = {"image": tuple(manifest["modalities"]["image"]["shape"])}
        info = DataInfo(len(manifest["classes"]), shapes)
        model = registry.build("backbone", self.job.recipe["backbone"]).build(info)
        with torch.no_grad():
            kinds = (torch.nn.Conv2d, torch.nn.Linear)
            ours = [module for module in model.modules() if isinstance(module, kinds)]
            theirs = [module for module in net.modules() if isinstance(module, kinds)]
            for source, target in zip(ours, theirs, strict=True):
                target.weight.copy_(source.weight * (1 + self.moved * torch.randn_like(source.weight)))

    def stem_ids(self) -> Tensor:
        return torch.from_numpy(self.keys.generator("training batches").permutation(self.samples))

    def first_sides(self) -> Tensor:
        stream = "trial/augmentation alternating-flip/side in the first epoch"
        return self._uniform(stream, 0, 1)[:, 0] < 0.5

    def order(self, epoch: int) -> Tensor:
        return torch.from_numpy(self.keys.generator("order", epoch).permutation(self.samples))

    def corners(self, epoch: int) -> Tensor:
        return (self._uniform("sample/augmentation padded-crop/row and column", epoch, 2) * 5).long()

    def _uniform(self, stream: str, epoch: int, n: int) -> Tensor:
        return torch.from_numpy(
            self.keys.generator(stream, epoch).random((self.samples, n), dtype=np.float32)
        )


def plain_recipe(recipe: Mapping[str, Any]) -> Recipe:
    """Return the plain script's numbers for an arm's.

    Raises:
        ValueError: Where the arm is another recipe than the script's.
    """
    tricks = {normal["name"]: normal["params"] for normal in recipe["tricks"]}
    names = [normal["name"] for normal in recipe["optimizer"]]
    if set(tricks) != {*TRICKS, "test-time-augmentation"} or names != ["decoupled-sgd"] * 2:
        raise ValueError(f"the plain script has no arm with {', '.join((*tricks, *names))}; use airbench94")
    biases, others = (normal["params"] for normal in recipe["optimizer"])
    numerics = recipe["numerics"]
    mode = numerics["compile"]
    return Recipe(
        widths=tuple(recipe["backbone"]["params"]["widths"]),
        batch_size=recipe["batch_size"],
        epochs=recipe["budget"]["amount"],
        rate=others["lr"] * 1024 / others["examples"],
        bias_factor=biases["lr"] / others["lr"],
        momentum=others["momentum"],
        decay=others["weight_decay"],
        smoothing=tricks["label-smoothing"]["smoothing"],
        stem_images=tricks["whitened-stem"]["images"],
        stem_bias_share=tricks["whitened-stem"]["bias_share"],
        judged_at_once=recipe["evaluation"]["batch_size"],
        number=PRECISIONS[numerics["precision"]].weights or torch.float32,
        compile=("default" if mode is True else mode) or None,
    )


def run_plain(job: Job, judged: int | None = None, *, moved: float = 0.0) -> Side:
    """Run the plain script, its initial weights moved by random shares of themselves; judge so many images."""
    device = torch.device(job.device)
    apply_numerics(job.recipe["numerics"], device)
    arrays = [read(job, name) for name in ("train.image", "train.labels", "test.image", "test.labels")]
    images, labels, test, test_labels = arrays[0], arrays[1], arrays[2][:judged], arrays[3][:judged]
    modality = job.manifest["modalities"]["image"]
    mean, std = (torch.tensor(modality[name], dtype=torch.float32) for name in ("mean", "std"))
    recipe = plain_recipe(job.recipe)
    chance = KeyedChance(job, len(images), moved)
    run = Speedrun(recipe, chance, images, labels, test, mean, std, device, len(job.manifest["classes"]))
    if device.type == "cuda":
        warm(run)
    clock = Clock(device)
    losses = run.train()
    logits = run.judge()
    seconds = clock.seconds()
    return Side(losses.tolist(), logits.cpu(), accuracy(logits, test_labels), seconds)


def warm(run: Speedrun) -> None:
    """Compile, choose kernels and fill the allocator ahead of the clock: both states of the stem's bias."""
    kept = {name: tensor.clone() for name, tensor in run.net.state_dict().items()}
    images, labels = run.images[: run.recipe.batch_size], run.labels[: run.recipe.batch_size]
    for trained in (False, True):
        run.net.stem.bias.requires_grad_(trained)
        for _ in range(3):
            run.net.train()
            loss = torch.nn.functional.cross_entropy(run.forward(images).float(), labels, reduction="sum")
            run.net.zero_grad(set_to_none=True)
            loss.backward()
    run.net.zero_grad(set_to_none=True)
    run.judge()
    run.net.load_state_dict(kept)


def run_suite_arm(job: Job, judged: int | None = None) -> Side:
    """Run the arm as a trial does, with everything recorded; judge so many images."""
    run = open_run(job, Owners())
    clock = Clock(run.device)
    losses: list[Tensor] = []
    update = run.step.update

    def recorded(closure: Closure) -> StepResult:
        result = update(closure)
        losses.append(result.loss)
        return result

    run.step.update = recorded

    def report(message: Mapping[str, Any]) -> None:
        if message == {"kind": "phase", "name": "train"}:
            clock.begin()

    test = run.data.test()
    test = dataclasses.replace(test, ids=test.ids[:judged], labels=test.labels[:judged])
    if run.device.type == "cuda":
        predict(run, run.judged(), test)
    train(run, Tally(), report, lambda: False)
    logits = predict(run, run.judged(), test)
    seconds = clock.seconds()
    return Side(torch.stack(losses).tolist(), logits.cpu(), accuracy(logits, test.labels), seconds)


def interleave(job: Job, rounds: int, judged: int | None = None) -> list[tuple[Side, Side]]:
    """Return (plain, suite's arm) of each round; which goes first takes turns. A first round is thrown away."""
    pairs = []
    for round_ in range(rounds + 1):
        sides: list[Callable[..., Side]] = [run_plain, run_suite_arm]
        taken = {side: side(job, judged) for side in (sides if round_ % 2 else sides[::-1])}
        plain, ours = taken[run_plain], taken[run_suite_arm]
        kept = f"ratio {ours.seconds / plain.seconds:.4f}" if round_ else "not counted"
        print(
            f"round {round_}: plain {plain.seconds:.3f} s, harness {ours.seconds:.3f} s, {kept}", flush=True
        )
        pairs.append((plain, ours))
    return pairs[1:]


def read(job: Job, name: str) -> Tensor:
    return torch.from_numpy(np.load(Path(job.data) / f"{name}.npy", allow_pickle=False))


def make_job(options: argparse.Namespace, folder: str) -> Job:
    """Return the job of the suite's arm, with what the options change."""
    suite = load(options.suite)
    recipe = json.loads(json.dumps(suite.arms[options.arm].recipe))
    if options.widths:
        recipe["backbone"]["params"]["widths"] = options.widths
    if options.epochs:
        recipe["budget"] = {"unit": "epochs", "amount": options.epochs}
    if options.batch_size:
        for normal in recipe["optimizer"]:
            normal["params"]["weight_decay"] *= options.batch_size / recipe["batch_size"]
        recipe["batch_size"] = options.batch_size
    prepared = prepare(recipe["dataset"], suite.registry, options.data, default_cache())
    return Job(
        trial="c" * 32,
        arm=options.arm,
        replicate=0,
        attempt=1,
        seed=suite.seed,
        salt="",
        recipe=recipe,
        manifest=prepared.manifest,
        data=str(prepared.folder),
        plugins=tuple(str(file) for file in suite.plugins.values()),
        device=options.device,
        folder=folder,
        checkpoint_seconds=1e9,
    )


def show(pairs: Sequence[tuple[Side, Side]], twin: Side, device: str) -> float:
    """Print curves and times, and return the median ratio of the times.

    Args:
        pairs: (plain, suite's arm) of each round.
        twin: The plain script again, its initial weights moved by one rounding: how far two runs of one and the same
            recipe drift apart, since the recipe's large rates make of a last digit the third in a hundred steps.
        device: Where they ran.
    """
    plain, ours = pairs[-1]
    steps = len(plain.losses)
    shown = sorted({*range(0, steps, max(1, steps // 20)), steps - 1})
    print(f"{'step':>6} {'plain':>10} {'harness':>10} {'difference':>12}")
    for step in shown:
        one, other = plain.losses[step], ours.losses[step]
        print(f"{step:6d} {one:10.6f} {other:10.6f} {other - one:12.2e}")
    print(f"largest difference of {steps} losses: {largest_difference(plain.losses, ours.losses):.2e}")
    print(
        f"  the plain script against itself, one rounding moved: {largest_difference(plain.losses, twin.losses):.2e}"
    )
    first = slice(0, max(1, steps // 10))
    early = largest_difference(plain.losses[first], ours.losses[first])
    print(f"largest difference of the first {first.stop}: {early:.2e}")
    print(f"top-1 in points: plain {plain.top1:.2f}, harness {ours.top1:.2f}")
    print(f"largest difference of a logit: {float((plain.logits - ours.logits).abs().max()):.2e}")
    ratio = statistics.median(other.seconds / one.seconds for one, other in pairs)
    unit = "CUDA seconds" if device.startswith("cuda") else "CPU seconds, one thread"
    print(f"{unit}: median ratio of {len(pairs)} interleaved rounds: {ratio:.4f}")
    return ratio


def largest_difference(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--suite", type=Path, default=ROOT / "benchmarks" / "suites" / "speedrun-cpu.toml")
    parser.add_argument("--arm", default="airbench94")
    parser.add_argument("--data", type=Path, default=os.environ.get("HARNESS_DATA"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--judged", type=int, help="test images to judge; all where it is left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--widths", type=int, nargs=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(options, folder)
        pairs = interleave(job, options.rounds, options.judged)
        show(pairs, run_plain(job, options.judged, moved=2**-23), options.device)


if __name__ == "__main__":
    main()
