"""Random calls of every kernel through the bindings, under the sanitizers.

BITREPLAY_FUZZ_SEED and BITREPLAY_FUZZ_SECONDS look elsewhere, and longer. A failure tells the call that did it.
"""

from bitreplay_host import reference
from conftest import fuzz


def test_fuzz_bindings():
    counts = fuzz("fuzz_bindings.py", 10)["refused_and_taken"]
    assert sorted(counts) == sorted(reference.__all__)
    for kernel, (refused, taken) in counts.items():
        assert refused > 5 and taken > 5, kernel
