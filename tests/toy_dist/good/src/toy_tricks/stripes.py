"""Stripes: which way do they run?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.contract import Dataset, Prepared, Split


@dataclass(frozen=True)
class Stripes(Dataset):
    """16x16 noisy stripes, horizontal (0) or vertical (1)."""

    samples: int = 200

    def prepare(self, root: Path | None) -> Prepared:
        """Draw them."""
        import numpy as np

        del root
        generator = np.random.default_rng(0)

        def split(count: int) -> Split:
            labels = np.arange(count, dtype=np.int64) % 2
            wave = 40 * np.sin(np.arange(16)[None, :] * 1.3 + generator.uniform(0, 6, (count, 1)))
            images = np.where((labels == 0)[:, None, None], wave[:, :, None], wave[:, None, :])
            images = 128 + images + generator.normal(0, 30, (count, 16, 16))
            return Split({"image": images.clip(0, 255).astype(np.uint8)[:, None]}, labels)

        return Prepared(split(self.samples), split(self.samples // 2), ("horizontal", "vertical"))
