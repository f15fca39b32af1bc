"""Class weights against scikit-learn's, the paper's formula by hand, and torch's weighted cross-entropy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from harness.contract import Slots
from harness_plugins.tricks.class_weights import ClassWeights

COUNTS = (5, 20, 75)


def given(*weights: float) -> ClassWeights:
    return ClassWeights("given", weights=weights)


def bound(trick: ClassWeights, counts: tuple[int, ...] = COUNTS) -> Slots:
    ctx: Any = SimpleNamespace(class_counts=counts, num_classes=len(counts), device=torch.device("cpu"))
    return trick.bind(ctx)


def test_balanced_is_scikit_learns() -> None:
    labels = np.repeat(np.arange(3), COUNTS)
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert ClassWeights().by_class(COUNTS) == pytest.approx(theirs.tolist())


def test_the_effective_number_is_the_papers_by_hand() -> None:
    """beta 0.5 and 1, 2, 3 samples: 0.5/0.5, 0.5/0.75, 0.5/0.875 = 1, 2/3, 4/7, of a sum of 47/21."""
    expected = [63 / 47, 42 / 47, 36 / 47]
    assert ClassWeights("effective-number", 0.5).by_class((1, 2, 3)) == pytest.approx(expected)


def test_between_no_weights_and_inverse_frequency() -> None:
    assert ClassWeights("effective-number", 0.0).by_class(COUNTS) == [1.0, 1.0, 1.0]
    near = ClassWeights("effective-number", 1 - 1e-9).by_class(COUNTS)
    inverse = [1 / count for count in COUNTS]
    assert near == pytest.approx([3 * one / sum(inverse) for one in inverse], rel=1e-4)


@pytest.mark.parametrize("trick", [ClassWeights(), given(0.5, 2.0, 1.0)])
def test_the_loss_is_torchs_weighted_cross_entropy(trick: ClassWeights) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 3, generator=generator)
    target = torch.randint(0, 3, (40,), generator=generator)
    soft = torch.rand(40, 3, generator=generator).softmax(1)
    weight = torch.tensor(trick.by_class(COUNTS))
    loss = bound(trick).loss
    assert torch.equal(loss(logits, soft), F.cross_entropy(logits, soft, weight=weight))
    # torch divides by the sum of the weights; this one by the number of samples
    torchs = F.cross_entropy(logits, target, weight=weight)
    assert float(loss(logits, target)) == pytest.approx(float(torchs * weight[target].sum() / 40), rel=1e-6)


def test_indices_agree_with_one_hot_rows_and_the_parts_of_a_batch_with_the_whole() -> None:
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    target = torch.arange(12) % 3
    loss = bound(ClassWeights()).loss
    whole = float(loss(logits, target))
    assert float(loss(logits, F.one_hot(target, 3).float())) == pytest.approx(whole)
    parts = [float(loss(logits[i : i + 4], target[i : i + 4])) for i in (0, 4, 8)]
    assert sum(parts) / 3 == pytest.approx(whole)


def test_weights_that_do_not_fit_are_refused_by_their_key() -> None:
    with pytest.raises(ValueError, match="weights: has 2 numbers, and the data 3 classes"):
        bound(given(1.0, 2.0))
    for kind in ("balanced", "effective-number"):
        with pytest.raises(ValueError, match=f'method: "{kind}" divides .* class 1 has none'):
            bound(ClassWeights(kind), (3, 0, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"method": "given"}, {"weights": (1.0, 2.0)}])
def test_weights_and_the_method_that_takes_them_go_together(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='weights: go together with method = "given"'):
        ClassWeights(**settings)


def test_where_every_class_weighs_1_there_is_no_slot_and_the_observable_says_so() -> None:
    for slots in (bound(ClassWeights(), (4, 4)), bound(ClassWeights("effective-number", 0.0))):
        assert slots.loss is None
        assert slots.observe() == 0
    assert bound(given(1.0, 3.0, 2.0)).observe() == pytest.approx(1.0)
