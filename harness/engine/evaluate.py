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
    import numpy.typing as npt
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
    guesses, target = logits.argmax(1).cpu().numpy(), labels.cpu().numpy()
    correct = guesses == target
    return {
        "count": len(labels),
        **score(logits, labels),
        "correct_bits": base64.b64encode(np.packbits(correct).tobytes()).decode(),
        **by_class(logits.cpu().numpy(), guesses, target),
        # Each has a copy of its own, out of inference mode: what one writes into it no other sees.
        "metrics": {
            label: check_metric(label, metric.compute(logits.clone(), labels.clone()))
            for label, metric in run.metrics.items()
        },
    }


CONFUSION_CLASSES = 32
"""Up to this many classes a record holds the confusion matrix: 3 KB of it."""
RELIABILITY_BINS = 15
"""Of confidence, equally wide, as in Guo et al. 2017, "On Calibration of Modern Neural Networks"."""


def by_class(
    logits: npt.NDArray[np.float32], guesses: npt.NDArray[np.int64], target: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Return what pictures of a split are drawn from: hits by class, confusions, and confidence against hits.

    Args:
        logits: (N, K).
        guesses: The class of the largest logit, (N,).
        target: (N,).
    """
    count, classes = logits.shape
    hits = guesses == target
    pairs = None
    if classes <= CONFUSION_CLASSES:
        pairs = np.bincount(target * classes + guesses, minlength=classes**2).tolist()
    weights = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    confidence = np.nan_to_num(weights[np.arange(count), guesses] / weights.sum(1), nan=0.0)
    # Bin m holds ((m - 1) / M, m / M], as in their equation 3.
    bins = np.clip(np.ceil(confidence * RELIABILITY_BINS).astype(np.int64) - 1, 0, RELIABILITY_BINS - 1)
    return {
        "class_correct": np.bincount(target[hits], minlength=classes).tolist(),
        "confusion": pairs,
        "reliability": {
            "count": np.bincount(bins, minlength=RELIABILITY_BINS).tolist(),
            "correct": np.bincount(bins[hits], minlength=RELIABILITY_BINS).tolist(),
            "confidence": np.bincount(bins, weights=confidence, minlength=RELIABILITY_BINS).round(6).tolist(),
        },
    }


def outputs_digest(logits: Tensor) -> str:
    """Return the digest of a split's logits."""
    return digest_bytes(logits.cpu().numpy().tobytes())
