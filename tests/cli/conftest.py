import os
import subprocess
import sys

import pytest

SUITE = """
schema = 1
name = "tiny"
replicates = 1
baseline = "plain"
verdicts = false
[budget]
epochs = 1
[timing]
rounds = 1
seconds = 0.1
[recipe]
dataset = { name = "subset", of = "digits", samples = 100 }
backbone = { name = "simple-cnn", width = 4 }
optimizer = { name = "sgd", lr = 0.1 }
schedule = "constant"
batch_size = 32
[arms.plain]
[arms.smooth]
tricks = ["label-smoothing"]
"""

# Runs the command line as the console script does, and tells on the last line whether torch came in.
PROGRAM = """
import sys
sys.argv[0] = "harness"
from harness.cli.main import main
try:
    main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def harness(cache):
    """Return a function that runs `harness …` and gives the finished process; `torch` tells if it was imported."""

    def run(*arguments, cwd=None, **environment):
        settings = {**os.environ, "HARNESS_CACHE": str(cache), "OMP_NUM_THREADS": "1", **environment}
        settings.pop("HARNESS_DATA", None)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=settings,
            timeout=120,
            check=False,
        )
        done.stderr, _, torch = done.stderr.rstrip("\n").rpartition("\n")
        done.torch = torch == "True"
        return done

    return run


@pytest.fixture(scope="session")
def suite_text():
    return SUITE
