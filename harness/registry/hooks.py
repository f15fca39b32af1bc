"""The four hooks: what a plugin may define is checked, and what it does when called cannot end a run."""

import inspect
import warnings
from typing import Any

import pluggy

from harness.contract import BoardView, RecordView, SuiteView, TrialsView, TrialView
from harness.contract.hooks import HookSpecs
from harness.errors import PluginError, nearest
from harness.registry.messages import listed, reason

_PREFIX = "harness_"
_SPECS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(value).parameters)[1:]
    for name, value in vars(HookSpecs).items()
    if name.startswith(_PREFIX)
}


def new_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows the four hooks."""
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(HookSpecs)
    return manager


def check_hooks(plugin: object) -> None:
    """Refuse hooks that pluggy would drop without a word.

    Raises:
        PluginError: For a misspelt name, a missing `hookimpl`, a wrong signature, options such as
            `tryfirst`, or a plugin without any hook.
    """
    seen = 0
    for name in dir(plugin):
        value = getattr(plugin, name, None)
        options = getattr(value, "harness_impl", None)
        if not inspect.isroutine(value) or not (name.startswith(_PREFIX) or isinstance(options, dict)):
            continue
        if name not in _SPECS:
            raise PluginError(f'there is no hook "{name}"{nearest(name, _SPECS)} (hooks: {listed(_SPECS)})')
        if not isinstance(options, dict):
            raise PluginError(
                f'"{name}" is not decorated with @hookimpl (from harness.contract import hookimpl)'
            )
        if set(filter(None, options.values())):
            raise PluginError(f'"{name}": hooks take no options (wrappers, order), but this one sets some')
        parameters = [p for p in inspect.signature(value).parameters if p != "self"]
        if not set(parameters) <= set(_SPECS[name]):
            wanted = ", ".join(_SPECS[name])
            raise PluginError(f'"{name}" takes ({", ".join(parameters)}), but the hook is {name}({wanted})')
        seen += 1
    if not seen:
        raise PluginError(f"defines no hook; it needs one of {listed(_SPECS)}")


class Hooks:
    """Calls the hooks of every plugin that was loaded. A hook that raises is warned of, and the next one is called."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager

    def harness_suite_started(self, suite: SuiteView, trials: TrialsView) -> None:
        """Tell that a suite is about to run `trials`."""
        self._call("harness_suite_started", suite=suite, trials=trials)

    def harness_trial_finished(self, trial: TrialView, record: RecordView) -> None:
        """Tell that a trial's record has been written."""
        self._call("harness_trial_finished", trial=trial, record=record)

    def harness_board_built(self, board: BoardView) -> None:
        """Tell that a leaderboard has been built and written."""
        self._call("harness_board_built", board=board)

    def _call(self, name: str, **arguments: Any) -> None:
        for implementation in getattr(self._manager.hook, name).get_hookimpls():
            try:
                implementation.function(*(arguments[key] for key in implementation.argnames))
            except (Exception, SystemExit) as error:
                plugin = implementation.plugin_name
                warnings.warn(
                    f"plugin {plugin}: {name} failed: {reason(error)}", RuntimeWarning, stacklevel=3
                )
