"""Random calls of every kernel through the bindings, under the sanitizers.

BITREPLAY_FUZZ_SEED and BITREPLAY_FUZZ_SECONDS look elsewhere, and longer. A failure tells the call that did it.
"""

from bitreplay_host import reference


def test_fuzz_bindings(fuzz):
    counts = fuzz("fuzz_bindings.py", "10 seconds")
    assert {outcome.split()[0] for outcome in counts} == set(reference.__all__)
    for kernel in reference.__all__:
        assert min(counts[f"{kernel} taken"], counts[f"{kernel} refused"]) > 5
