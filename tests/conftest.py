"""Settings for all tests: reproducible examples, one core, the host packages on the path."""

import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "host_tools"))

from hypothesis import HealthCheck, settings  # noqa: E402

for name, examples in (("thorough", 120), ("short", 50)):
    settings.register_profile(
        name,
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=examples,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile("thorough")


def pytest_collection_finish():
    """The package collects garbage for each layer of a model: what pytest holds must not be looked through then."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """What tests measured."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(value)
