import signal
import subprocess
import sys

import pytest

from harness.errors import StoreError
from harness.record.store import Store

HOLDER = """
import sys, time
from pathlib import Path
from harness.record.store import Store
with Store(Path(sys.argv[1])).lock("harness run suite.toml"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "s")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_told_the_owner(tmp_path, holder):
    told = rf"process {holder.pid} on .* \(harness run suite.toml\)"
    with pytest.raises(StoreError, match=told), Store(tmp_path / "s").lock():
        pytest.fail("two runs on one folder")


def test_a_crash_frees_the_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Store(tmp_path / "s").lock():
        pass
    with Store(tmp_path / "s").lock():
        pass
