"""A folder to work in, the command line run from it, and what it leaves there."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from harness.testing import toys

TOYS = Path(toys.__file__).resolve()
MARK = "HARNESS_END_TO_END"

HEAD = """\
schema = 1
name = "toy"
replicates = {replicates}
baseline = "plain"
verdicts = {verdicts}
alpha = 0.5
plugins = {plugins}
[budget]
epochs = {epochs}
[timing]
rounds = {rounds}
seconds = 0.1
[recipe]
dataset = {{ name = "toy-dataset", samples = {samples} }}
sampler = "toy-shuffle"
backbone = {{ name = "toy-net", width = 16, batch_norm = true, dropout = 0.2 }}
optimizer = {{ name = "toy-sgd", lr = 0.02 }}
schedule = "toy-constant"
batch_size = 16
[arms.plain]
"""


class Place:
    """A folder, and the processes that were started from it: they carry a mark in their environment."""

    def __init__(self, folder, cache, pycache):
        self.folder = folder
        self.results = folder / "results" / "toy"
        self.mark = uuid.uuid4().hex
        self.environment = {
            **os.environ,
            MARK: self.mark,
            "HARNESS_CACHE": str(cache),
            "OMP_NUM_THREADS": "1",
            # Compiled modules spare each run seconds where the environment keeps none beside the sources.
            "PYTHONPYCACHEPREFIX": str(pycache),
        }
        for name in ("HARNESS_DATA", "HARNESS_PLUGINS", "PYTHONDONTWRITEBYTECODE"):
            self.environment.pop(name, None)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def suite(
        self,
        arms="",
        *,
        name="toy.toml",
        plugins=(),
        epochs=2,
        samples=96,
        replicates=1,
        rounds=0,
        verdicts=False,
    ):
        head = HEAD.format(
            plugins=json.dumps([str(TOYS), *map(str, plugins)]),
            epochs=epochs,
            samples=samples,
            replicates=replicates,
            rounds=rounds,
            verdicts=json.dumps(verdicts),
        )
        return self.write(name, head + arms)

    def start(self, *arguments, **more):
        return subprocess.Popen(
            [sys.executable, "-m", "harness", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            text=True,
            start_new_session=True,
            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **more},
        )

    def run(self, *arguments, code=0, timeout=300, **environment):
        """Run a command to its end; what it exits with has to be `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "harness", *map(str, arguments)],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        assert "Traceback" not in done.stderr.partition("culprit")[0]
        return done

    def running(self):
        """Return the processes that were started from here, directly or not, and still run."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def trial_processes(self):
        """Return the processes that are heads of sessions of their own, the launcher (whose parent is here) aside."""
        heads = []
        for process in self.running():
            try:
                if os.getsid(process.pid) == process.pid and process.ppid() != os.getpid():
                    heads.append(process)
            except (ProcessLookupError, psutil.Error):
                continue
        return heads

    def all_gone(self, within=30.0):
        deadline = time.monotonic() + within
        while self.running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def all_records(self):
        """Return all attempts' records, those of trials that are no longer in the plan among them."""
        return [json.loads(path.read_text()) for path in sorted(self.results.glob("trials/*/*.json"))]

    def records(self):
        """Return all attempts' records by (arm, replicate, attempt)."""
        return {(r["arm"], r["replicate"], r["attempt"]): r for r in self.all_records()}

    def completed(self):
        """Return by (arm, replicate) the records of trials that completed."""
        return {
            (arm, replicate): record
            for (arm, replicate, _), record in sorted(self.records().items())
            if record["status"] == "completed"
        }

    def board(self):
        return json.loads((self.results / "leaderboard.json").read_text())

    def rows(self):
        return {row["arm"]: row for row in self.board()["rows"]}

    def snapshot(self):
        """Return the bytes of every file under the results, and when each was written, the lock's aside."""
        return {
            path.relative_to(self.folder): (
                path.read_bytes(),
                path.stat().st_mtime_ns if path.name != ".lock" else 0,
            )
            for path in self.results.rglob("*")
            if path.is_file()
        }


@pytest.fixture(scope="session")
def shared_folders(tmp_path_factory):
    return tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("pycache")


@pytest.fixture(scope="session")
def new_place(tmp_path_factory, shared_folders):
    """Return a function that gives a place of one's own."""
    places = []

    def new():
        places.append(Place(tmp_path_factory.mktemp("place"), *shared_folders))
        return places[-1]

    yield new
    for place in places:
        for process in place.running():
            process.kill()


@pytest.fixture
def place(new_place):
    return new_place()
