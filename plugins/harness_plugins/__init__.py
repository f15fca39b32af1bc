"""The first-party plugins. They come in by an entry point, as a stranger's do.

Each kind's folder lists what it offers in its `__init__.py`. Targets are strings, so listing them imports neither
torch nor timm.
"""

from harness.contract import RegistryView, hookimpl
from harness_plugins import (
    augmentations,
    backbones,
    datasets,
    metrics,
    optimizers,
    samplers,
    schedules,
    trackers,
    tricks,
)

_KINDS = {
    "dataset": datasets,
    "sampler": samplers,
    "augmentation": augmentations,
    "backbone": backbones,
    "optimizer": optimizers,
    "schedule": schedules,
    "trick": tricks,
    "metric": metrics,
    "tracker": trackers,
}


@hookimpl
def harness_register(registry: RegistryView) -> None:
    """Offer every first-party component."""
    for kind, folder in _KINDS.items():
        for name, target, summary, *preload in folder.COMPONENTS:
            registry.add(kind, name, f"{folder.__name__}.{target}", summary=summary, preload=tuple(preload))
