"""Every first-party component that acts in a step, at settings that act, through the conformance kit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.registry import FIRST_PARTY, discover
from harness.testing.conformance import BATCH_NORM, NonConformance, conform

SETTINGS: list[tuple[str, str, dict]] = [
    ("augmentation", "horizontal-flip", {"probability": 0.5}),
    ("augmentation", "alternating-flip", {}),
    ("augmentation", "padded-crop", {"padding": 2}),
    ("augmentation", "padded-crop", {"padding": 1, "mode": "zeros"}),
    ("augmentation", "translate", {"pixels": 2}),
    ("augmentation", "cutout", {"size": 3}),
    ("augmentation", "vertical-flip", {}),
    ("augmentation", "rotation", {"degrees": 30.0}),
    ("augmentation", "affine", {"degrees": 10.0, "translate": 0.2, "scale": 0.2, "shear": 10.0}),
    ("augmentation", "resized-crop", {}),
    ("augmentation", "random-erasing", {}),
    ("augmentation", "ricap", {}),
    ("augmentation", "mixup", {"alpha": 0.4}),
    ("augmentation", "cutmix", {"alpha": 1.0}),
    ("augmentation", "torchvision:RandAugment", {"options": {"num_ops": 2, "magnitude": 15}}),
    ("trick", "label-smoothing", {"smoothing": 0.1}),
    ("trick", "focal-loss", {"gamma": 2.0}),
    ("trick", "grad-clip", {"max_norm": 0.1}),
    ("trick", "grad-accumulation", {"micro_batches": 4}),
    ("trick", "grad-checkpointing", {}),
    ("trick", "ema", {"decay": 0.9}),
    ("trick", "ema", {"decay": 0.9, "warmup": False}),
    ("trick", "swa", {"start": 0.4, "batches": 3}),
    ("trick", "freeze", {"blocks": 2}),
    ("trick", "sam", {"rho": 0.05}),
    ("trick", "whitened-stem", {"images": 20, "bias_share": 0.5}),
    ("trick", "dirac-init", {}),
    ("trick", "freeze-norm-scale", {}),
    ("trick", "lookahead", {"interval": 3}),
    ("trick", "lookahead", {"interval": 4, "alpha": 0.2, "growth": 3.0}),
    ("trick", "sum-loss", {}),
    ("trick", "test-time-augmentation", {}),
    ("optimizer", "sgd", {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, "nesterov": True}),
    ("optimizer", "adam", {"lr": 1e-3}),
    ("optimizer", "adamw", {"lr": 1e-3}),
    ("optimizer", "decoupled-sgd", {"lr": 0.5, "weight_decay": 1e-3}),
    ("optimizer", "muon", {"lr": 0.02, "weight_decay": 0.1, "parameters": "matrices"}),
    ("optimizer", "muon", {"lr": 0.02, "unit_rows": True, "parameters": "matrices"}),
    ("optimizer", "adabound", {"lr": 1e-3, "gamma": 0.1}),
    ("optimizer", "lamb", {}),
    ("optimizer", "lion", {"lr": 1e-3}),
    ("optimizer", "torch:NAdam", {"lr": 1e-3}),
    ("optimizer", "timm:lamb", {"lr": 1e-3}),
    ("optimizer", "timm:lion", {"lr": 1e-3}),
    ("schedule", "constant", {}),
    ("schedule", "cosine", {"t_max": 0.5, "eta_min": 0.1}),
    ("schedule", "multi-step", {}),
    ("schedule", "one-cycle", {}),
    ("schedule", "step", {}),
    ("schedule", "linear", {"end": 0.1}),
    ("schedule", "triangular", {}),
    ("sampler", "shuffle", {}),
    ("sampler", "balanced", {}),
    ("metric", "top-k", {"k": 2}),
    ("metric", "calibration-error", {}),
    ("metric", "balanced-accuracy", {}),
]

CONVOLUTIONAL = {"name": "simple-cnn", "params": {"width": 8, "depth": 2}}

BACKBONES: dict[str, dict] = {
    # They act on convolutions, or on whole images.
    "whitened-stem": CONVOLUTIONAL,
    "dirac-init": CONVOLUTIONAL,
    "test-time-augmentation": CONVOLUTIONAL,
    # It acts on blocks, and the toy network has none.
    "grad-checkpointing": {"name": "resnet-cifar", "params": {"depth": 8, "width": 4, "stem_stride": 1}},
}


@pytest.mark.parametrize(("kind", "name", "params"), SETTINGS, ids=lambda value: str(value))
def test_a_component_conforms(kind: str, name: str, params: dict, tmp_path: Path) -> None:
    made = conform(kind, name, params, tmp_path, backbone=BACKBONES.get(name, BATCH_NORM))
    print(f"{kind} {name}: {len(made)} checks")
    assert len(made) >= 7


def unsettled() -> Iterator[str]:
    settled = {(kind, name.split(":")[0] + ":" if ":" in name else name) for kind, name, _ in SETTINGS}
    for entry in discover(allow="first-party").entries():
        in_a_step = entry.distribution == FIRST_PARTY and entry.kind not in ("dataset", "backbone")
        if in_a_step and (entry.kind, entry.name) not in settled:
            yield f"{entry.kind} {entry.name}"


def test_every_first_party_component_of_a_step_is_in_the_table() -> None:
    assert list(unsettled()) == []


LEAKY = """
from dataclasses import dataclass
from harness.contract import Slots, Stage, Trick, hookimpl

@dataclass(frozen=True)
class Stateful(Trick):
    stage = Stage.GRADIENT
    identity = {"scale": 0.5}
    scale: float = 0.5
    def bind(self, ctx):
        import torch
        count = torch.zeros(())
        def shrink(gradients):
            count.add_(1)
            for gradient in gradients:
                gradient.mul_(self.scale / count)
        return Slots(gradients=shrink)

@hookimpl
def harness_register(registry):
    registry.add("trick", "stateful", Stateful, summary="state that no checkpoint holds")
"""


def test_the_kit_finds_state_that_no_checkpoint_holds_and_a_false_identity(tmp_path: Path) -> None:
    file = tmp_path / "stateful.py"
    file.write_text(LEAKY)
    (tmp_path / "one").mkdir()
    with pytest.raises(NonConformance, match="identity"):
        conform("trick", "stateful", {"scale": 0.9}, tmp_path / "one", plugins=[str(file)])
    file.write_text(LEAKY.replace('    identity = {"scale": 0.5}\n', ""))
    (tmp_path / "two").mkdir()
    with pytest.raises(NonConformance, match="resumed"):
        conform("trick", "stateful", {"scale": 0.9}, tmp_path / "two", plugins=[str(file)])
