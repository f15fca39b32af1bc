"""What the first step of a trial would import lazily, paid for once by the process server.

Import this before forking. It touches no device, starts no thread pool and draws no random number.
"""

import contextlib
import io

import torch

import harness.engine.check
import harness.engine.timing
import harness.engine.trial  # noqa: F401


def _first_times() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    # The first optimizer imports torch._dynamo, the first deterministic switch half of inductor.
    optimizer = torch.optim.SGD([weight], lr=0.1)
    torch.use_deterministic_algorithms(False)
    weight.grad = torch.zeros(2)
    optimizer.step()


with contextlib.redirect_stderr(io.StringIO()):
    _first_times()
