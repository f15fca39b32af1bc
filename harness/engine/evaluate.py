"""Evaluation: harness code only, every sample once, in a fixed order, at a fixed batch size and precision."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from harness.contract import Batch
from harness.engine.contract_check import check_logits, check_metric
from harness.registry.digests import digest_bytes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.engine.data import Part
    from harness.engine.run import Run


def predict(run: Run, model: Module, part: Part) -> Tensor:
    """Return the logits of a part, float32 (n, K), on the device, in the order of its ids.

    Raises:
        ContractError: Where the model gives something else.
    """
    modes = [(module, module.training) for module in model.modules()]
    forward = run.predict(model.eval())
    size = run.job.recipe["evaluation"]["batch_size"]
    images = run.loader.evaluated(part, size)
    try:
        with torch.inference_mode():
            logits = [
                # A model that takes the whole batch may not see what it is to guess.
                forward(Batch({"image": image}, torch.zeros_like(ids), ids))
                for image, ids in images
            ]
            check_logits(*run.judge_owner, logits[0], min(size, len(part)), run.data.num_classes)
            return torch.cat(logits).float()
    finally:
        images.close()
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
    return {
        "count": len(labels),
        **score(logits, labels),
        "correct_bits": base64.b64encode(np.packbits(correct).tobytes()).decode(),
        # Each has a copy of its own, out of inference mode: what one writes into it no other sees.
        "metrics": {
            label: check_metric(label, metric.compute(logits.clone(), labels.clone()))
            for label, metric in run.metrics.items()
        },
    }


def outputs_digest(logits: Tensor) -> str:
    """Return the digest of a split's logits."""
    return digest_bytes(logits.cpu().numpy().tobytes())
