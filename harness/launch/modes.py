"""How the replicates of an arm are trained, as it becomes known: at once, or one by one and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.launch.pool import Ending
from harness.launch.tasks import Group
from harness.record.record import together_mode

Json = dict[str, Any]


class Modes:
    """What one run has found; a record's `mode` comes from here.

    Args:
        together: Replicates of an arm that the plan allows at once.
    """

    def __init__(self, together: int) -> None:
        self._together = together
        self._of_groups: dict[tuple[str, int], Json] = {}
        self._of_trials: dict[str, Json] = {}

    def learn(self, arm: str, width: int, mode: Mapping[str, Any]) -> None:
        """Note what a probe of so many replicates of an arm has decided."""
        self._of_groups[arm, width] = dict(mode)

    def of(self, group: Group) -> Json | None:
        """Return what is known of a group that is about to start; None for nothing, or where nobody asked."""
        if len(group) > 1:
            return self._of_groups.get((group[0].arm, len(group)))
        if self._together > 1:
            return self._of_trials.get(group[0].id) or together_mode(1, "no other replicate was missing")
        return None

    def split(self, group: Group) -> list[Group]:
        """Return a group that waits as it is, or its trials by themselves where a probe has decided so."""
        mode = self._of_groups.get((group[0].arm, len(group)))
        if len(group) == 1 or mode is None or mode["together"] > 1:
            return [group]
        self._of_trials |= {trial.id: mode for trial in group}
        return [(trial,) for trial in group]

    def give_up(self, group: Group, missing: Group, ending: Ending) -> Json:
        """Note that trials of a group are trained one by one now, and return why."""
        mode = self._why_one_by_one(group, ending)
        self._of_trials |= {trial.id: mode for trial in missing}
        return mode

    def _why_one_by_one(self, group: Group, ending: Ending) -> Json:
        mode = self._of_groups.get((group[0].arm, len(group)))
        if ending.status == "done" and mode is not None and mode["together"] == 1:
            return mode
        error = (ending.culprit or {}).get("error") or "it left no records"
        reason = f"trained at once, their process ended ({ending.status}): {error.partition(chr(10))[0]}"
        mode = together_mode(1, reason)
        self._of_groups[group[0].arm, len(group)] = mode
        return mode
