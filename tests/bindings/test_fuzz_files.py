"""Damaged, changed and made-up models and learners are refused, or run: on the unix port, under the sanitizers.

BITREPLAY_FUZZ_SEED and BITREPLAY_FUZZ_SECONDS look elsewhere, and longer. A failure tells the case that did it.
"""

import models


def test_fuzz_models(fuzz, tmp_path):
    paths = [models.save(tmp_path / "mixed", models.mixed())]
    for name, changes in (("tiny", {}), ("plain", {"trainable": False}), ("headless", {"head": False})):
        paths.append(models.tiny_model(tmp_path / name, **changes))
    counts = fuzz("fuzz_models.py", 8, tmp_path, *paths)
    for outcome in (
        "damaged refused",
        "changed refused",
        "valued taken",
        "made taken",
        "learner refused",
        "learner taken",
    ):
        assert counts[outcome] > 1, counts
