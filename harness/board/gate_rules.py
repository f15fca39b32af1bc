"""What the gate goes by: the protocol's numbers, fixed before anything is measured (PROTOCOL.md, "Gates")."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

SCHEMA = 1
"""Number of the format of samples and reports."""

EXIT_FINE, EXIT_REGRESSION, EXIT_NOTHING, EXIT_NOISY, EXIT_FAILED = 0, 1, 3, 4, 5

VERDICTS = {
    "failed": EXIT_FAILED,
    "regression": EXIT_REGRESSION,
    "not measured": EXIT_NOTHING,
    "not comparable": EXIT_NOTHING,
    "too noisy": EXIT_NOISY,
    "improvement": EXIT_FINE,
    "fine": EXIT_FINE,
}
"""What a row can come out as, the gravest first, with its exit code. The gravest row decides: a sample that could
not be taken comes before a regression, because what is missing may be worse; a regression comes before what could
not be compared or told, because no more data would take it back."""


@dataclass(frozen=True, slots=True)
class GateRules:
    """The numbers of a verdict.

    Attributes:
        alpha: Level of the exact one-sided rank test that a hit needs, and of the one that rules out `catch`.
        samples: Fewest samples a side, whatever the test could do with fewer.
        looks: After how many rounds the verdict is looked at, ascending: it is open until a look settles it.
            Every look is one more chance to err; that a hit has to come twice pays for it (see
            benchmarks/gates/simulate_gate.py for the error rates of exactly these looks).
        time_threshold: Smallest slowdown that counts, relative.
        memory_threshold: Smallest growth that counts, relative.
        memory_bytes: The same, in bytes; the larger of the two holds.
        noise_factor: A slowdown also has to exceed this many A/A MADs (see `gate_rows.spread_of`).
        catch_factor: The gate is meant to catch this many thresholds (5 % of time); "fine" rules that out.
        noisy: Coefficient of variation of one sample above which nothing is called fine.
        accuracy_margin_points: Loss of accuracy that matters, in points, where a measurement names none. The
            differences of runs whose rounding differs scatter by about half a point on small sets, so that ten
            replicates tell half a point and could not tell 0.2.
        accuracy_alpha: Level of the one-sided test that the loss is below the margin.
        accuracy_replicates: Fewest paired replicates.
    """

    alpha: float = 0.002
    samples: int = 7
    looks: tuple[int, ...] = (10, 14, 20, 28, 40, 56, 80)
    time_threshold: float = 0.025
    memory_threshold: float = 0.03
    memory_bytes: int = 4 * 2**20
    noise_factor: float = 3.0
    catch_factor: float = 2.0
    noisy: float = 0.05
    accuracy_margin_points: float = 0.5
    accuracy_alpha: float = 0.05
    accuracy_replicates: int = 5

    def to_json(self) -> dict[str, Any]:
        """Return the rules as JSON."""
        return {**dataclasses.asdict(self), "looks": list(self.looks)}
