"""The four hooks. All of them are cold: nothing inside a training step goes through pluggy."""

import pluggy

from harness.contract.views import BoardView, RecordView, RegistryView, SuiteView, TrialsView, TrialView

hookspec = pluggy.HookspecMarker("harness")
hookimpl = pluggy.HookimplMarker("harness")


class HookSpecs:
    """What a plugin module may define, each decorated with `hookimpl`."""

    @hookspec
    def harness_register(self, registry: RegistryView) -> None:
        """Offer components. Called once a process; import nothing heavy here."""

    @hookspec
    def harness_suite_started(self, suite: SuiteView, trials: TrialsView) -> None:
        """A suite is about to run the trials that are missing. Called in the launching process."""

    @hookspec
    def harness_trial_finished(self, trial: TrialView, record: RecordView) -> None:
        """A trial's record has been written. Called in the launching process."""

    @hookspec
    def harness_board_built(self, board: BoardView) -> None:
        """A leaderboard has been built and written."""
