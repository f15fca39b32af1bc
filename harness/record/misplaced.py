"""Records that stand where others belong: copies, and records that were moved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.record.record import names_of, open_sealed


def why_misplaced(root: Path, record: Mapping[str, Any]) -> str:
    """Return why a record is set aside that does not stand where it says that it belongs.

    It is a duplicate only where its own place holds the very same record. Of two that were exchanged neither is:
    each of them is out of place, and the study lacks both.

    Args:
        root: The results folder of the suite.
        record: Intact, of a trial's attempt or of a round of the timing pass.
    """
    trial = record.get("trial")
    if isinstance(trial, str):
        kind, owner, slot = "trials", trial, f"{record.get('attempt')}"
        told = f"attempt {slot} of {trial}"
    else:
        number, arm = record.get("round"), record.get("arm")
        kind, owner, slot = "timings", f"{record.get('plan')}", f"{number}-{arm}"
        told = f"round {number} of {arm}"
    # What is no plain name leads elsewhere: no record of this folder stands there.
    has_home = all(Path(name).name == name for name in (owner, slot))
    homes = [root / kind / owner / name for name in names_of(record, slot)] if has_home else []
    is_copy = any(_hash_in(home) == record["content_hash"] for home in homes)
    return f"{'a duplicate' if is_copy else 'out of place'}: it says that it is {told}"


def _hash_in(path: Path) -> str | None:
    """Return the content hash of the record in a file, None where it holds none that is intact."""
    try:
        return str(open_sealed(path.read_bytes())["content_hash"])
    except (ValueError, OSError):
        return None
