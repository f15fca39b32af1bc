"""Imported by the process server, first of all, and by nobody else: ends it with its launcher.

It would hear the launcher's pipe close only once it has imported the rest, which takes seconds.
"""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
