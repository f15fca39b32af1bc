"""A git repository with a `harness` of a few lines: the functions that a gate's driver asks a side for, no torch.

What it "measures" stands in `harness/plan.json`, so that a commit plants whatever a test wants to see caught.
"""

import json
import os
import subprocess
from pathlib import Path

SUITE = "suite.toml"

FILES = {
    "harness/__init__.py": "",
    "harness/suite/__init__.py": "",
    "harness/suite/load.py": """
from types import SimpleNamespace as Some
from harness.fake import PLAN
def load(path, *, allow=None, keep_going=False):
    path.read_text()
    if PLAN.get("refuses"):
        from harness.errors import SuiteError
        raise SuiteError(f"{path}:3: {PLAN['refuses']}")
    arms = {name: Some(name=name, failure=None, recipe={"dataset": {}}) for name in PLAN["arms"]}
    return Some(name="fake", path=path, baseline="plain", arms=arms, registry=None, plugins={})
""",
    "harness/suite/prepare.py": """
from pathlib import Path
from types import SimpleNamespace as Some
def default_cache():
    return Path("cache")
def prepare(dataset, registry, root, cache):
    return Some(manifest={"hash": "d", "splits": {"train": {"digest": "same"}}}, folder=Path("data"))
""",
    "harness/suite/expand.py": """
from types import SimpleNamespace as Some
from harness.fake import PLAN
RECIPE = {"batch_size": 8, "numerics": {"threads": 1}, "budget": {}, "evaluation": {}}
def expand(suite, manifests, *, arms=None, replicates=None):
    made = []
    for name in dict.fromkeys([*(arms if arms is not None else suite.arms), suite.baseline]):
        broken = PLAN["arms"].get(name, {}).get("broken")
        recipe = {**RECIPE, **PLAN["arms"].get(name, {}).get("recipe", {})}
        made.append(Some(name=name, recipe=recipe, data="d", failure=broken))
    trials = [Some(arm=arm.name, replicate=n, id=f"{arm.name}-{n}") for n in range(replicates) for arm in made]
    return Some(suite="fake", arms=made, trials=trials, manifests={"d": manifests["plain"]},
                timing={"seconds": 0.5}, to_json=lambda: {"seed": 3, "no_field_of_a_job": 1})
""",
    "harness/suite/plan.py": """
import dataclasses
@dataclasses.dataclass
class Job:
    trial: str
    arm: str
    replicate: int
    seed: int
    recipe: dict
    manifest: dict
    data: str
    device: str
    folder: str
    timing_seconds: float
    @classmethod
    def from_json(cls, value):
        return cls(**{f.name: value[f.name] for f in dataclasses.fields(cls)})
    def to_json(self):
        return dataclasses.asdict(self)
""",
    "harness/engine/__init__.py": "",
    "harness/engine/timing.py": """
import os, pathlib, time
from harness.fake import PLAN
def time_arm(job, *, report):
    print("noise of a plugin")
    print("noise", flush=True)
    arm = PLAN["arms"][job.arm]
    if arm.get("dies"):
        os._exit(7)
    if arm.get("hangs") == "at the start":
        time.sleep(1000)
    report({"kind": "phase", "name": "build"})
    failed = {"status": "failed", "culprit": {"error": arm.get("fails")}}
    if arm.get("fails"):
        return failed
    for name in ("warmup", "steady"):
        report({"kind": "phase", "name": name})
    windows = []
    for number in range(3):
        if arm.get("hangs") == "later" and number:
            time.sleep(1000)
        began = time.perf_counter()
        time.sleep(10 * arm["step"])
        windows.append(time.perf_counter() - began)
        if os.environ.get("GATE_TRACE"):
            with open(os.environ["GATE_TRACE"], "a") as file:
                file.write(f"{pathlib.Path.cwd().name} {os.getpid()} {number}\\n")
        report({"kind": "step", "step": 10 * number + 10, "total": 30})
    report({"kind": "phase", "name": "evaluate"})
    time.sleep(0.005)
    return {"status": "completed", "culprit": None, "window_seconds": windows, "steady_steps": 30,
            "evaluation_images_per_second": 1e4 + time.time_ns() // 1000 % 997 * 1e-3,
            "peak_memory_bytes": {"resident": arm["memory"] + os.getpid() % 7, "allocated": arm.get("allocated"),
                                  "reserved": None}}
""",
    "harness/engine/trial.py": """
from harness.fake import PLAN
def run_trial(job, *, report, stop):
    arm = PLAN["arms"][job.arm]
    if arm.get("diverges") == job.replicate:
        return {"status": "diverged", "culprit": {"error": "the loss is NaN"}, "results": {"test": None}}
    test = {"top1": arm["top1"] + 0.1 * (job.replicate % 3), "correct_bits": "x" * 100}
    return {"status": "completed", "culprit": None, "results": {"test": test, "validation": None}}
""",
    "harness/record/__init__.py": "",
    "harness/record/fingerprint.py": """
def host():
    return {"accuracy": {"cpu": "fake", "libraries": {}}, "speed": {"cores": 2}, "shown": {"host": "h"}}
""",
    "harness/errors.py": """
class SuiteError(Exception):
    exit_code = 2
""",
    "harness/fake.py": """
import json, pathlib
PLAN = json.loads(pathlib.Path(__file__).with_name("plan.json").read_text())
""",
    ".gitignore": "__pycache__/\nignored.txt\n",
    SUITE: 'name = "fake"\n',
}

ARM = {"step": 0.0005, "memory": 200 * 2**20, "top1": 90.0}


class Repository:
    """The repository; `commit(plain={...}, other={...})` gives the arms and what they measure."""

    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        for name, text in FILES.items():
            self.write(name, text)

    def git(self, *arguments):
        settings = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
        }
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=settings, capture_output=True, text=True, check=True
        )
        return done.stdout

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def plant(self, *, refuses=None, **arms):
        plan = {"arms": {name: {**ARM, **changes} for name, changes in arms.items()}, "refuses": refuses}
        self.write("harness/plan.json", json.dumps(plan))

    def commit(self, **arms):
        self.plant(**arms)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "state")
        return self.git("rev-parse", "HEAD").strip()

    @property
    def suite(self):
        return Path(self.root / SUITE)
