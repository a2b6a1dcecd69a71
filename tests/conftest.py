"""Settings for all tests: reproducible examples, one core, what a folder of tests needs, the longest first."""

import gc
import itertools
import os
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

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

TESTS = Path(__file__).parent
# By folder, what all tests there do.
NEEDS = {"device": "emulator", "natmod": "qemu", "esp32": "toolchain", "web": "toolchain"}
LONGEST = "slow", "emulator", "qemu", "toolchain", "torch"  # in this order


@pytest.hookimpl(tryfirst=True)  # before -m
def pytest_collection_modifyitems(config, items):
    """Marks the tests of a folder, and deals them out: the long ones where each worker begins, files as a whole."""
    for item in items:
        need = NEEDS.get(item.path.relative_to(TESTS).parts[0])
        if need:
            item.add_marker(need)
    # Work stealing deals the tests out in as many runs as there are workers. What a file's tests share is made by one.
    runs = [[] for _ in range(getattr(config, "workerinput", {}).get("workercount", 1))]
    ranked = sorted(items, key=lambda item: [item.get_closest_marker(name) is None for name in LONGEST])
    for _, file in itertools.groupby(ranked, key=lambda item: item.path):
        min(runs, key=len).extend(file)
    items[:] = itertools.chain(*runs)


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """The package collects garbage for each layer of a model: what pytest and libraries hold is not looked through."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """What tests measured."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(value)
