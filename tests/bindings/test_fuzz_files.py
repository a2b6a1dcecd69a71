"""Files of tensors, models and learners that are damaged, changed or synthetic are refused, or work.

On the unix port under the sanitizers, and on CPython, whose JSON and whose kernels are others. BITREPLAY_FUZZ_SEED and
BITREPLAY_FUZZ_SECONDS look elsewhere, and longer. A failure tells the case that did it.
"""

import sys

import pytest

import models

BOTH = ["model changed", "model damaged", "synthetic changed", "learner", "tensors"]
EXPECTED = {f"{kind} {outcome}" for kind in BOTH for outcome in ("accepted", "refused")}
EXPECTED |= {"model revalued accepted", "model spliced refused", "synthetic accepted"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("binary, cases", [(None, 4608), (sys.executable, 2880)], ids=["micropython", "cpython"])
def test_fuzz_files(fuzz, tmp_path, binary, cases):
    paths = [models.save(tmp_path / make.__name__, make()) for make in (models.mixed, models.deep, models.plain)]
    for name, changes in (("tiny", {}), ("untrainable", {"trainable": False}), ("headless", {"head": False})):
        paths.append(models.tiny_model(tmp_path / name, **changes))
    counts = fuzz("fuzz_files.py", f"{cases} cases", tmp_path, *paths, binary=binary)
    for outcome in EXPECTED:
        assert counts.get(outcome, 0) > 1, counts
