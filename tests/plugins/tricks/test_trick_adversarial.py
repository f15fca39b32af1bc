"""Adversarial examples against loops written by hand, and what they leave alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.contract import Batch
from harness_plugins.tricks.adversarial import Adversarial, uniform_like

torch.set_num_threads(1)
MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.3, 0.2)
SAMPLES = 256


@dataclass
class Attacked:
    """What the trick may use of a context, over a small network with batch norm and dropout."""

    model: nn.Module
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    image_mean: Tensor = field(default_factory=lambda: torch.tensor(MEAN))
    image_std: Tensor = field(default_factory=lambda: torch.tensor(STD))
    table: Tensor = field(
        default_factory=lambda: torch.rand(SAMPLES, 3, generator=torch.Generator().manual_seed(2))
    )

    def draws(self, name: str, n: int) -> Any:
        assert n == 3
        return lambda ids: self.table[ids]

    def forward(self, batch: Batch) -> Tensor:
        return self.model(batch.image)


@pytest.fixture
def ctx() -> Attacked:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(6 * 48, 4),
    )
    for _ in range(3):
        model(torch.randn(16, 3, 6, 8))  # so that running statistics are not those of a fresh layer
    return Attacked(model.train())


def make_batch(count: int = SAMPLES) -> Batch:
    """Whole pixel levels, black and white among them, normalised; not in the order of the ids."""
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(-40, 296, (count, 3, 6, 8), generator=generator).clamp(0, 255)
    image = (levels / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    target = torch.randint(0, 4, (count,), generator=generator)
    return Batch({"image": image}, target, torch.randperm(SAMPLES, generator=generator)[:count])


def in_levels(image: Tensor) -> Tensor:
    """Pixel levels of 255, in double."""
    mean, std = (torch.tensor(v, dtype=torch.float32).double()[:, None, None] for v in (MEAN, STD))
    return 255 * (image.double() * std + mean)


def attack_by_hand(
    ctx: Attacked, batch: Batch, epsilon: float, steps: int, size: float, start: Tensor | None = None
) -> Tensor:
    """Madry et al.'s loop in pixel levels; of one step of epsilon it is Goodfellow et al.'s."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    ctx.model.eval()
    clean = 255 * (batch.image * std + mean)
    x = clean.clone() if start is None else start
    for _ in range(steps):
        x = x.detach().requires_grad_()
        loss = F.cross_entropy(ctx.model((x / 255 - mean) / std), batch.target)
        (gradient,) = torch.autograd.grad(loss, x)
        x = x.detach() + size * gradient.sign()
        x = torch.min(torch.max(x, clean - epsilon), clean + epsilon).clamp(0, 255)
    ctx.model.train()
    return x.detach()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(
    ("trick", "steps", "size"),
    [
        (Adversarial(8.0, share=1.0), 1, 8.0),  # FGSM
        (Adversarial(8.0, 7, 2.0, share=1.0), 7, 2.0),  # Madry et al.'s setting for CIFAR-10
        (Adversarial(4.0, 10, share=1.0), 10, 1.0),  # 2.5 * 4 / 10
    ],
)
def test_it_is_the_papers_loop(
    ctx: Attacked, trick: Adversarial, steps: int, size: float, dense: bool
) -> None:
    batch = make_batch(64)
    if dense:
        batch = batch.with_target(0.9 * batch.dense_target(4) + 0.025)
    by_hand = attack_by_hand(ctx, batch, trick.epsilon, steps, size)
    ours = in_levels(trick.bind(ctx).batch(batch).image)
    # a gradient that is nearly nought may have another sign there
    assert float(((ours - by_hand).abs() < 1e-3).float().mean()) > 0.999
    assert float((by_hand - in_levels(batch.image)).abs().max()) > trick.epsilon - 1e-3


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 8.0, 200.0])
@pytest.mark.parametrize("random_start", [False, True])
def test_the_bound_holds_exactly_over_many_samples(ctx: Attacked, epsilon: float, random_start: bool) -> None:
    """In double from what is stored in float32: no pixel is a hair's breadth over, and 0 and 255 are the ends."""
    batch = make_batch()
    moved = Adversarial(epsilon, 3, share=1.0, random_start=random_start).bind(ctx).batch(batch).image
    before, after = in_levels(batch.image), in_levels(moved)
    assert float((after - before).abs().max()) <= epsilon
    assert float((after - before).abs().max()) > 0.99 * min(epsilon, 127)
    inside = (before >= 0) & (before <= 255)
    assert float(after[inside].min()) >= 0
    assert float(after[inside].max()) <= 255
    assert inside.float().mean() > 0.7  # black and white ones are off by a rounding, either way
    assert float(after.min()) >= min(0.0, float(before.min()))
    assert float(after.max()) <= max(255.0, float(before.max()))


def test_the_share_is_attacked_that_the_draws_name_and_the_rest_is_left_bit_for_bit(ctx: Attacked) -> None:
    batch = make_batch(100)
    moved = Adversarial(share=0.3).bind(ctx).batch(batch)
    attacked = (moved.image != batch.image).flatten(1).any(1)
    assert int(attacked.sum()) == 30
    draw = ctx.table[batch.ids, 0]
    assert float(draw[attacked].max()) < float(draw[~attacked].min())
    assert moved.target is batch.target
    assert torch.equal(batch.image, make_batch(100).image)
    whole = Adversarial(share=1.0).bind(ctx).batch(batch).image
    assert torch.allclose(moved.image[attacked], whole[attacked])


def test_a_share_below_one_sample_is_one(ctx: Attacked) -> None:
    batch = make_batch(10)
    moved = Adversarial(share=0.01).bind(ctx).batch(batch).image
    assert int((moved != batch.image).flatten(1).any(1).sum()) == 1


def test_the_model_is_left_as_it_was(ctx: Attacked) -> None:
    ctx.model[3].eval()  # a module that stood in evaluation mode stays there
    ctx.model[5].weight.grad = torch.ones_like(ctx.model[5].weight)
    modes = [module.training for module in ctx.model.modules()]
    state = {name: value.clone() for name, value in ctx.model.state_dict().items()}
    torch.manual_seed(4)
    generator = torch.get_rng_state()
    image = Adversarial(steps=3, random_start=True).bind(ctx).batch(make_batch()).image
    assert [module.training for module in ctx.model.modules()] == modes
    assert all(torch.equal(state[name], value) for name, value in ctx.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(ctx.model[5].weight.grad, torch.ones_like(ctx.model[5].weight))
    assert ctx.model[0].weight.grad is None
    assert not image.requires_grad


def test_a_model_that_raises_is_put_back_into_its_mode(ctx: Attacked) -> None:
    slots = Adversarial().bind(ctx)
    with pytest.raises(RuntimeError):
        slots.batch(Batch({"image": torch.zeros(2, 3, 5, 5)}, torch.tensor([0, 1]), torch.arange(2)))
    assert all(module.training for module in ctx.model.modules())


def test_channels_last_images_give_the_same_and_stay_channels_last(ctx: Attacked) -> None:
    batch = make_batch(32)
    last = batch.with_image(batch.image.contiguous(memory_format=torch.channels_last))
    trick = Adversarial(steps=2, share=0.5, random_start=True)
    ours, theirs = trick.bind(ctx).batch(last).image, trick.bind(ctx).batch(batch).image
    assert ours.is_contiguous(memory_format=torch.channels_last)
    # the kernels of another layout round otherwise, and a gradient of nearly nought has another sign
    assert float((ours - theirs).abs().lt(1e-5).float().mean()) > 0.995


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_the_bound_holds_with_a_model_of_half_precision(ctx: Attacked, precision: torch.dtype) -> None:
    def forward(batch: Batch) -> Tensor:
        with torch.autocast("cpu", dtype=precision):
            logits = ctx.model(batch.image)
        return logits.float()

    ctx.forward = forward  # type: ignore[method-assign]
    batch = make_batch(64)
    moved = Adversarial(8.0, 3, share=1.0).bind(ctx).batch(batch).image
    assert moved.dtype == torch.float32
    change = (in_levels(moved) - in_levels(batch.image)).abs()
    assert 7.99 < float(change.max()) <= 8.0


def splitmix64(seed: int, count: int) -> list[int]:
    """The algorithm as published, in Python's own integers."""
    mask, outputs = 2**64 - 1, []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        outputs.append(z ^ (z >> 31))
    return outputs


def test_the_random_start_is_splitmix64_with_the_draws_as_its_seed() -> None:
    assert splitmix64(0, 1) == [0xE220A8397B1DCDAF]  # the first output of the reference code at seed 0
    start = torch.tensor([[0.0, 0.0], [0.25, 0.5], [1 - 2**-24, 2**-24]])
    numbers = uniform_like(torch.empty(3, 2, 4, 5), start)
    for row, (high, low) in zip(numbers, ((0, 0), (2**22, 2**23), (2**24 - 1, 1)), strict=True):
        expected = [(output >> 40) / 2**24 for output in splitmix64(high * 2**24 + low, 40)]
        assert row.flatten().tolist() == expected


def test_a_start_is_spread_over_the_whole_bound(ctx: Attacked) -> None:
    batch = make_batch().with_image(torch.zeros(SAMPLES, 3, 6, 8))  # the mean: far from black and white
    tiny = Adversarial(8.0, 1, step_size=1e-6, share=1.0, random_start=True).bind(ctx)
    change = in_levels(tiny.batch(batch).image) - in_levels(batch.image)
    assert float(change.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(change.std()) == pytest.approx(16 / 12**0.5, rel=0.02)


def test_the_observable_is_the_mean_change_and_nothing_happens_at_its_identity(ctx: Attacked) -> None:
    slots = Adversarial(8.0, share=1.0).bind(ctx)
    assert slots.observe() == 0
    batch = make_batch()
    change = (in_levels(slots.batch(batch).image) - in_levels(batch.image)).abs().mean()
    assert slots.observe() == pytest.approx(float(change), rel=1e-4)
    assert Adversarial(0.0).bind(ctx).batch is None
    assert Adversarial(share=0.0).bind(ctx).batch is None


def robust_top1(trick: Adversarial | None, epsilon: float) -> tuple[float, float]:
    """Train on digits; return the test accuracy in points on clean images and under FGSM by hand."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    levels = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
    labels = torch.from_numpy(digits.target)
    mean, std = levels.mean() / 255, levels.std() / 255
    image, train = (levels / 255 - mean) / std, slice(0, 1200)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )
    ctx = Attacked(model, image_mean=mean[None], image_std=std[None])
    ctx.table = torch.rand(1200, 3, generator=torch.Generator().manual_seed(0))
    function = trick.bind(ctx).batch if trick else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(12):
        order = torch.randperm(1200, generator=torch.Generator().manual_seed(epoch))
        for ids in order.split(50):
            batch = Batch({"image": image[train][ids]}, labels[train][ids], ids)
            batch = function(batch) if function else batch
            optimizer.zero_grad()
            F.cross_entropy(model(batch.image), batch.target).backward()
            optimizer.step()
    model.eval()
    x, y = image[1200:].clone().requires_grad_(), labels[1200:]
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), y), x)
    attacked = (x + epsilon / 255 / std * gradient.sign()).clamp(-mean / std, (1 - mean) / std)
    return tuple(100 * float((model(seen).argmax(1) == y).float().mean()) for seen in (x, attacked))  # type: ignore[return-value]


@pytest.mark.slow
def test_trained_with_it_a_network_stands_the_same_attack_better_than_without() -> None:
    plain_clean, plain = robust_top1(None, 24.0)
    clean, attacked = robust_top1(Adversarial(24.0, share=0.5), 24.0)
    print(f"clean {plain_clean:.1f} and {clean:.1f}, under attack {plain:.1f} and {attacked:.1f} points")
    assert attacked > plain + 10
    assert clean > 85
    assert plain_clean > 85
