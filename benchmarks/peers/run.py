"""One interleaved run of all peers: `make peers`, or `python benchmarks/peers/run.py --help`.

Every round measures each peer once, in random order, in a fresh process; ratios are taken within a round. What
came out is written to results.json and results.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from report import findings, markdown, summarise

from harness.record.fingerprint import code, host, libraries
from harness.registry.discovery import discover
from harness.suite.prepare import default_cache, prepare

HERE = Path(__file__).resolve().parent
FRAMEWORK_CELLS = (("small-cnn", "tensors", 0), ("small-cnn", "pictures", 2), ("resnet-8", "tensors", 0))
PEERS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "hand_written": (
        ("small-cnn", "resident", 0),
        ("small-cnn", "tensors", 0),
        ("small-cnn", "pictures", 2),
        ("small-cnn", "pictures", 0),
        ("resnet-8", "resident", 0),
        ("resnet-8", "tensors", 0),
        ("resnet-8", "pictures", 2),
    ),
    "harness_trial": (("small-cnn", "resident", 0), ("resnet-8", "resident", 0)),
    "timm_loop": FRAMEWORK_CELLS,
    "lightning_trainer": FRAMEWORK_CELLS,
    "lightning_fabric": FRAMEWORK_CELLS,
    "accelerate_loop": FRAMEWORK_CELLS,
    "transformers_trainer": FRAMEWORK_CELLS,
}
"""By module in this folder: (model, loading, workers) of the cells that it is measured on."""

REFUSED = {"MosaicML Composer": "mosaicml>=0.32"}
"""Peers that cannot be installed beside this torch; the resolver is asked why. (Older releases want older torch,
and the oldest, which name no upper bound, are years older than this one.)"""

LIBRARIES = ("torch", "torchvision", "timm", "lightning", "accelerate", "transformers", "numpy", "pillow")
EPOCHS = {"small-cnn": 4, "resnet-8": 2}
"""By model, the first of them the warm-up."""


def main() -> int:
    """Measure, write, and return 0, or 1 where something that is wanted was not reached."""
    arguments = parse()
    names = arguments.peers.split(",") if arguments.peers else list(PEERS)
    unknown = [name for name in names if name not in PEERS]
    if unknown or "hand_written" not in names:
        sys.exit(f"--peers {arguments.peers}: expected hand_written and others of {', '.join(PEERS)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder, manifest, data = prepared(arguments.data, Path(temporary))
        servers = {name: start(name) for name in names}
        state = code()  # as imported just now: somebody may edit the tree meanwhile
        print("all peers are ready", flush=True)
        rounds = []
        for number in range(arguments.rounds):
            asked = {"folder": str(folder), "manifest": manifest, "seed": number}
            rounds.append(one_round(servers, asked, random.Random(number)))
            print(f"round {number + 1} of {arguments.rounds} done", flush=True)
        for server in servers.values():
            server.communicate()
    results = {
        "command": " ".join(["python", "benchmarks/peers/run.py", *sys.argv[1:]]),
        "data": data,
        "host": host(),
        "code": state,
        "versions": versions(),
        "refused": {peer: resolver_says(wanted) for peer, wanted in REFUSED.items()},
        "rounds": rounds,
    }
    results["summary"] = summarise(rounds)
    results["findings"] = findings(rounds)
    write(arguments.out, results)
    return 0 if all(finding["met"] is not False for finding in results["findings"]) else 1


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds; 3 show the order, a claim needs 7")
    parser.add_argument("--peers", help="module names, comma-separated, hand_written among them; default all")
    parser.add_argument("--data", type=Path, default=os.environ.get("HARNESS_DATA"), help="the data root")
    parser.add_argument("--out", type=Path, default=HERE, help="where results.json and results.md go")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return arguments


def prepared(root: Path | None, temporary: Path) -> tuple[Path, dict[str, Any], str]:
    """Return folder, manifest and description of 10,000 training images: CIFAR-10's, or noise of that shape."""
    registry = discover()
    if root is not None and (Path(root) / "cifar10").is_dir():
        table = {"name": "subset", "of": {"name": "cifar10"}, "samples": 10_000}
        dataset, problems = registry.validate("dataset", table, "dataset")
        if problems:
            raise SystemExit(f"the dataset's table is not valid: {problems}")
        ready = prepare(dataset, registry, Path(root), default_cache())
        return ready.folder, ready.manifest, "10,000 training images of CIFAR-10, 1,000 a class"
    generator = np.random.default_rng(0)
    for split, count in (("train", 10_000), ("test", 1_000)):
        images = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        np.save(temporary / f"{split}.image.npy", images)
        np.save(temporary / f"{split}.labels.npy", np.arange(count, dtype=np.int64) % 10)
    image = {"shape": [3, 32, 32], "dtype": "uint8", "mean": [0.5] * 3, "std": [0.29] * 3}
    manifest = {
        "hash": "noise",
        "dataset": "noise",
        "classes": [str(label) for label in range(10)],
        "modalities": {"image": image},
        "changes_label": [],
    }
    return temporary, manifest, "10,000 images of noise: the data root (HARNESS_DATA) holds no cifar10/"


def start(name: str) -> subprocess.Popen[str]:
    """Start the process that serves a peer, and wait until it has imported everything."""
    # No card, one thread, nothing asked of any hub.
    quiet = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(HERE / "measure.py"), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **quiet},
    )
    ask(server, None)
    return server


def ask(server: subprocess.Popen[str], line: str | None) -> str:
    """Send a line, if any, and return the answer."""
    if server.stdin is None or server.stdout is None:
        raise RuntimeError("a peer's process has no pipes")
    if line is not None:
        server.stdin.write(line + "\n")
        server.stdin.flush()
    answer = server.stdout.readline()
    if not answer:
        sys.exit(f"{' '.join(map(str, server.args))}: ended without an answer; what it said is above")
    return answer


def one_round(
    servers: dict[str, subprocess.Popen[str]], asked: dict[str, Any], order: random.Random
) -> list[dict[str, Any]]:
    """Measure every peer once, peers and each one's cells in random order."""
    measured = []
    for name in order.sample(sorted(servers), len(servers)):
        cells = [
            {"model": model, "loading": loading, "workers": workers, "epochs": EPOCHS[model]}
            for model, loading, workers in order.sample(PEERS[name], len(PEERS[name]))
        ]
        answers = json.loads(ask(servers[name], json.dumps({**asked, "cells": cells})))
        measured += [{"peer": name, **answer} for answer in answers]
    return measured


def versions() -> dict[str, str]:
    """Return the versions of everything that was compared."""
    from importlib.metadata import version

    return {**libraries(), **{name: version(name) for name in LIBRARIES}}


def resolver_says(requirement: str) -> str:
    """Return the installer's own words on installing a package beside this torch."""
    import torch

    uv = shutil.which("uv")
    installer = [uv, "pip", "install", "--python", sys.executable]
    command = installer if uv else [sys.executable, "-m", "pip", "install"]
    pin = f"torch=={torch.__version__.split('+')[0]}"
    done = subprocess.run(
        [*command, "--dry-run", "--quiet", requirement, pin], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return "it can be installed now: give it a module here"
    return " ".join(done.stderr.split())


def write(folder: Path, results: dict[str, Any]) -> None:
    """Write both files and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = markdown(results)
    (folder / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    sys.exit(main())
