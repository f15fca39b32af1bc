"""Evaluation: harness code only, every sample once, in a fixed order, at a fixed batch size and precision."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from harness.contract import Batch
from harness.registry.digests import digest_bytes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.engine.compile import Run
    from harness.engine.data import Part


def predict(run: Run, model: Module, part: Part) -> Tensor:
    """Return the logits of a part, float32 (n, K), on the device, in the order of its ids."""
    modes = [(module, module.training) for module in model.modules()]
    forward = run.predict(model.eval())
    size = run.job.recipe["evaluation"]["batch_size"]
    try:
        with torch.inference_mode():
            logits = [
                forward(Batch({"image": part.take(ids)}, target, ids))
                for ids, target in zip(part.ids.split(size), part.labels.split(size), strict=True)
            ]
            return torch.cat(logits).float()
    finally:
        for module, training in modes:
            module.training = training


def score(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return top-1 accuracy in points and mean negative log-likelihood in nats."""
    correct = (logits.argmax(1) == labels).sum()
    # In double: over 10,000 samples a float32 mean rounds in the fourth digit.
    nll = F.cross_entropy(logits.double(), labels)
    right, loss = torch.stack([correct.double(), nll]).tolist()
    return {"top1": 100 * right / len(labels), "nll": loss}


def result(run: Run, logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return all that the record holds of a split."""
    correct = (logits.argmax(1) == labels).cpu().numpy()
    logits, labels = logits.clone(), labels.clone()  # out of inference mode: metrics are plugins
    return {
        "count": len(labels),
        **score(logits, labels),
        "correct_bits": base64.b64encode(np.packbits(correct).tobytes()).decode(),
        "metrics": {label: float(metric.compute(logits, labels)) for label, metric in run.metrics.items()},
    }


def outputs_digest(logits: Tensor) -> str:
    """Return the digest of a split's logits."""
    return digest_bytes(logits.cpu().numpy().tobytes())
