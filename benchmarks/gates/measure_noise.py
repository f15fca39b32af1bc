"""The noise of this machine as the gate meets it: pairs of fresh processes that take turns at a fixed training step.

    python benchmarks/gates/measure_noise.py 40     40 rounds, about five seconds each

Run it on an idle machine, and look the result up in what simulate_gate.py prints.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys

_CHILD = """
import sys, time, torch
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    torch.nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
images, labels = torch.randn(64, 3, 32, 32), torch.randint(0, 10, (64,))
def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()
for _ in range(20): step()
print("ready", flush=True)
for line in sys.stdin:
    begun = time.perf_counter()
    for _ in range(5): step()
    print(time.perf_counter() - begun, flush=True)
"""


def measure(pairs: int) -> None:
    """Print the noise of a fixed training step: two fresh processes a round take turns, medians of 20 windows."""
    ratios: list[float] = []
    middles: list[float] = []
    for index in range(pairs):
        windows: tuple[list[float], list[float]] = ([], [])
        with _child() as one, _child() as other:
            children = (one, other)
            for turn in range(20):
                for side in (0, 1) if (turn + index) % 2 else (1, 0):
                    windows[side].append(_ask(children[side]))
            for child in children:
                child.communicate()
        ratios.append(math.log(statistics.median(windows[1]) / statistics.median(windows[0])))
        middles.append(math.log(statistics.median([*windows[0], *windows[1]])))
        print(json.dumps({"ratio": ratios[-1], "seconds": math.exp(middles[-1])}), file=sys.stderr)
    center = statistics.median(ratios)
    deviation = 1.4826 * statistics.median(abs(ratio - center) for ratio in ratios)
    outside = sum(abs(ratio - center) > 3 * deviation for ratio in ratios) / pairs
    print(f"{pairs} rounds of two processes in turns, a training step on one thread")
    print(f"deviation of one sample, from the MAD of log ratios:  {100 * deviation / math.sqrt(2):.2f} %")
    print(
        f"the same from the mean square:                        {100 * statistics.stdev(ratios) / math.sqrt(2):.2f} %"
    )
    print(f"rounds beyond three deviations:                       {100 * outside:.0f} %")
    print(f"deviation of rounds among themselves:                 {100 * statistics.stdev(middles):.2f} %")


def _child() -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    if child.stdout.readline() != "ready\n":
        raise SystemExit("the measured process did not start")
    return child


def _ask(child: subprocess.Popen[str]) -> float:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    return float(child.stdout.readline())


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=int, nargs="?", default=40)
    measure(max(2, parser.parse_args().pairs))


if __name__ == "__main__":
    main()
