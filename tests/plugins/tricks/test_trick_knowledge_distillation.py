"""Knowledge distillation by hand: two classes, a temperature of 2, softened shares that are simple fractions."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.contract import Batch
from harness.registry.discovery import discover
from harness_plugins.tricks.knowledge_distillation import KnowledgeDistillation

# Divided by 2, ln 9 is ln 3: shares 3/4 and 1/4. Divided by 2, ln 4 is ln 2: shares 2/3 and 1/3.
TEACHER = torch.tensor([[math.log(9), 0.0], [0.0, math.log(4)]])
STUDENT = torch.tensor([[0.0, 0.0], [0.0, math.log(9)]])
LABELS = torch.tensor([0, 1])
KL = [
    3 / 4 * math.log((3 / 4) / (1 / 2)) + 1 / 4 * math.log((1 / 4) / (1 / 2)),
    1 / 3 * math.log((1 / 3) / (1 / 4)) + 2 / 3 * math.log((2 / 3) / (3 / 4)),
]
# At temperature 1 the student's shares are 1/2, and 1/10 and 9/10.
HARD = [math.log(2), math.log(10 / 9)]


def batch_of(target: Tensor = LABELS) -> Batch:
    return Batch({"image": torch.arange(2.0).view(2, 1, 1, 1)}, target, torch.arange(2))


def bind(trick: KnowledgeDistillation, teacher: Tensor = TEACHER) -> Any:
    def forward(batch: Batch) -> Tensor:
        return teacher[batch.ids]

    return trick.bind(SimpleNamespace(parents={"teacher": forward}, device=torch.device("cpu")))  # type: ignore[arg-type]


def distilled(slots: Any, student: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    def plain(part: Batch) -> tuple[Tensor, Tensor]:
        logits = student[part.ids]
        return F.cross_entropy(logits, part.target), logits

    loss, logits = slots.objective(plain)(batch)
    return loss, logits


def test_the_worked_example() -> None:
    slots = bind(KnowledgeDistillation(temperature=2.0, alpha=0.75))
    loss, logits = distilled(slots, STUDENT, batch_of())
    by_hand = 0.75 * 2**2 * sum(KL) / 2 + 0.25 * sum(HARD) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    assert torch.equal(logits, STUDENT)
    assert slots.observe() == pytest.approx(sum(KL) / 2, rel=1e-6)


def test_the_soft_gradient_keeps_its_size_whatever_the_temperature() -> None:
    # d/dz of T^2 KL is T (student's share - teacher's share), a mean over the batch
    for temperature in (1.0, 2.0, 8.0):
        student = STUDENT.clone().requires_grad_()
        slots = bind(KnowledgeDistillation(temperature=temperature, alpha=1.0))
        distilled(slots, student, batch_of())[0].backward()
        closed = temperature * ((STUDENT / temperature).softmax(1) - (TEACHER / temperature).softmax(1)) / 2
        assert torch.allclose(student.grad, closed, atol=1e-7)


def test_at_a_high_temperature_it_is_the_matching_of_logits() -> None:
    # section 2.1: with zero-mean logits the gradient tends to (z - v) / K, here over the batch of 2 as well
    student = (STUDENT - STUDENT.mean(1, keepdim=True)).requires_grad_()
    teacher = TEACHER - TEACHER.mean(1, keepdim=True)
    slots = bind(KnowledgeDistillation(temperature=1000.0, alpha=1.0), teacher)
    distilled(slots, student, batch_of())[0].backward()
    assert torch.allclose(student.grad, (student.detach() - teacher) / 2 / 2, rtol=1e-2, atol=1e-4)


def test_the_teacher_gets_no_gradient_and_equal_logits_cost_nothing() -> None:
    slots = bind(KnowledgeDistillation(alpha=1.0), STUDENT)
    assert distilled(slots, STUDENT, batch_of())[0].item() == pytest.approx(0.0, abs=1e-7)
    assert slots.observe() == pytest.approx(0.0, abs=1e-7)


def test_soft_targets_reach_the_hard_loss_as_they_are() -> None:
    mixed = torch.tensor([[0.6, 0.4], [0.1, 0.9]])
    slots = bind(KnowledgeDistillation(temperature=2.0, alpha=0.5))
    loss, _ = distilled(slots, STUDENT, batch_of(mixed))
    hard = [math.log(2), -(0.1 * math.log(1 / 10) + 0.9 * math.log(9 / 10))]
    assert loss.item() == pytest.approx(0.5 * 4 * sum(KL) / 2 + 0.5 * sum(hard) / 2, rel=1e-6)


def test_parts_of_a_batch_weighted_by_their_samples_give_the_whole() -> None:
    slots = bind(KnowledgeDistillation(temperature=3.0, alpha=0.9))
    whole, _ = distilled(slots, STUDENT, batch_of())
    parts = [
        distilled(slots, STUDENT, Batch({}, LABELS[i : i + 1], torch.tensor([i])))[0] * 0.5 for i in (0, 1)
    ]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), rel=1e-6)


def test_without_a_share_nothing_is_asked_of_the_teacher() -> None:
    assert KnowledgeDistillation(alpha=0.0).bind(SimpleNamespace()).objective is None  # type: ignore[arg-type]


@pytest.mark.parametrize("params", [{"temperature": 0.0}, {"alpha": 1.5}, {"alpha": -0.1}])
def test_a_value_out_of_range_is_refused(params: dict[str, float]) -> None:
    _, problems = discover().validate("trick", {"name": "knowledge-distillation", **params}, "t")
    assert [problem.path for problem in problems] == [f"t.{next(iter(params))}"]
