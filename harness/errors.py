"""What a user did wrong, said in a way that lets them mend it.

Every error that a user can cause derives from `HarnessError`; the command line prints its text, without
a traceback, and exits with its `exit_code`. Anything else that escapes is a bug of ours and shows whole.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class HarnessError(Exception):
    """A mistake of the user's or a state of the machine that the user has to know.

    Attributes:
        exit_code: What the process exits with (DESIGN.md 5).
    """

    exit_code = 2


class PluginError(HarnessError):
    """A plugin that cannot be loaded, found or built."""


class DataError(HarnessError):
    """Data that is absent, damaged or unfit for a fair trial."""


class StoreError(HarnessError):
    """A results folder that cannot be read or written, or that another run holds."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a suite file.

    Attributes:
        path: Where, as a key path: `arms.mixup.tricks[0].alpha`.
        message: What was found, what is allowed and, where there is one, the nearest right spelling.
        line: Line in the suite file, from 1; 0 where it is not known.
        column: Column, from 1; 0 where it is not known.
    """

    path: str
    message: str
    line: int = 0
    column: int = 0


class SuiteError(HarnessError):
    """Everything that is wrong with one suite file, at once."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(self._line(problem) for problem in self.problems))

    def _line(self, problem: Problem) -> str:
        place = self.file
        if problem.line:
            place += f":{problem.line}"
        if problem.column:
            place += f":{problem.column}"
        return (
            f"{place}: {problem.path}: {problem.message}" if problem.path else f"{place}: {problem.message}"
        )


def nearest(word: str, among: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the closest of `among`, or an empty string."""
    close = difflib.get_close_matches(word, list(among), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
