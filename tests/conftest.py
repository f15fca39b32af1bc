"""What holds for all tests: hypothesis' settings, and the count of conformance checks at the end of a run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine and in every run, and none fails for the time it takes: they run side by side.
settings.register_profile(
    "harness", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("harness")

COUNTED = "conformance_checks"
"""Name of the property by which a test tells how many checks it made; it comes back from xdist's workers."""

BATTERY = "test_plugins_conform.py::test_a_component_conforms"


def battery_counts(config: pytest.Config) -> list[int]:
    """Return the checks of each test of the battery that ran, or was skipped for want of settings."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    reports = [
        report for outcome in ("passed", "failed", "skipped") for report in reporter.stats.get(outcome, [])
    ]
    told = [(report.nodeid, dict(report.user_properties)) for report in reports]
    return [said.get(COUNTED, 0) for nodeid, said in told if BATTERY in nodeid or COUNTED in said]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run of the battery that made no check."""
    counts = battery_counts(session.config)
    if counts and not sum(counts) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = battery_counts(terminalreporter.config)
    if counts:
        told = f"conformance: {sum(counts)} checks of {len(counts)} settings"
        terminalreporter.write_line(told, red=not sum(counts), green=bool(sum(counts)))
