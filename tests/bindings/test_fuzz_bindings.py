"""Random calls of every kernel through the bindings, under the sanitizers.

BITREPLAY_FUZZ_SEED and BITREPLAY_FUZZ_SECONDS look elsewhere, and longer. A failure tells the call that did it.
"""

import pytest
from bitreplay_host import reference


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", (0, 1))
def test_fuzz_bindings(fuzz, part):
    """Every other case."""
    counts, names = fuzz("fuzz_bindings.py", "5 seconds", part=f"{part}/2"), sorted(reference.KERNELS)
    kernels = {names[number % len(names)] for number in range(part, 2 * len(names), 2)}
    assert {outcome.split()[0] for outcome in counts} == kernels
    for kernel in kernels:
        assert min(counts[f"{kernel} taken"], counts[f"{kernel} refused"]) > 5
