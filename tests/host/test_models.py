"""Models that a user names: what loading one leaves alone."""

import gc

import bitreplay
import pytest
from bitreplay_host import models


@pytest.mark.parametrize("frozen", [False, True])
def test_old_objects_are_not_looked_through_for_garbage(small_model, monkeypatch, frozen):
    """While a model is loaded; then they are again, unless somebody else left them out."""
    found, load = [], bitreplay.load
    monkeypatch.setattr(bitreplay, "load", lambda path: found.append(gc.get_freeze_count()) or load(path))
    gc.unfreeze()
    try:
        if frozen:
            gc.freeze()
        assert models.load(small_model).name == "tiny"
        assert found[0] > 1000 and (gc.get_freeze_count() > 1000) == frozen
    finally:
        gc.freeze()  # as conftest.py does
