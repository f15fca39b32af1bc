"""From labels as files hold them, names or numbers, to classes and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

NAMES_SHOWN = 10


def number_labels(
    train: Sequence[int | str],
    test: Sequence[int | str],
    classes: Sequence[str] | None,
    place: Callable[[str, int], str],
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return the classes' names, and the labels of both splits, int64 (N,).

    Names are numbered by `classes`, or else in sorted order (names that are all whole numbers by their value).
    Numbers stay as they are, and are named by `classes` or by themselves.

    Args:
        train: Labels of the training split: all names or all numbers.
        test: Labels of the test split, likewise.
        classes: The classes' names, in the order of their numbers; None takes what the training split holds.
        place: From split and row to what an error names.

    Raises:
        ValueError: Where a split is empty, names and numbers are mixed, or a label is none of the classes, naming its
            place.
    """
    import numpy as np

    splits = {"train": train, "test": test}
    for split, labels in splits.items():
        if not labels:
            raise ValueError(f"no sample of the {split} split")
    is_name = isinstance(train[0], str)
    for split, labels in splits.items():
        for row, label in enumerate(labels):
            if isinstance(label, str) != is_name:
                raise ValueError(
                    f"{place(split, row)}: the label {label!r} is a {'number' if is_name else 'name'}, those "
                    f"before are {'names' if is_name else 'numbers'}"
                )
    if is_name:
        names = (
            tuple(classes) if classes is not None else tuple(_sorted_names({str(label) for label in train}))
        )
        allowed: dict[int | str, int] = {name: number for number, name in enumerate(names)}
    else:
        count = len(classes) if classes is not None else max(int(label) for label in train) + 1
        names = tuple(classes) if classes is not None else tuple(str(number) for number in range(count))
        allowed = {number: number for number in range(count)}
    numbers = {}
    for split, labels in splits.items():
        for row, label in enumerate(labels):
            if label not in allowed:
                raise ValueError(f"{place(split, row)}: {_unknown(label, names, classes is not None)}")
        numbers[split] = np.array([allowed[label] for label in labels], np.int64)
    return names, numbers["train"], numbers["test"]


def _sorted_names(names: set[str]) -> list[str]:
    # "2" before "10", where all are numbers
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _unknown(label: int | str, names: Sequence[str], given: bool) -> str:
    whose = "of those that `classes` names" if given else "of those of the training split"
    if isinstance(label, int):
        return f"label {label} is none {whose}, which are 0 to {len(names) - 1}"
    near = get_close_matches(label, names, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    shown = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
    return f'unknown label "{label}": none {whose} ({shown}){hint}'
