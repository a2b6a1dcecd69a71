"""run, which makes many calls: in CPython, and under the sanitizers in MicroPython."""


def test_it_does_the_same_everywhere(outputs):
    here, there = outputs("onboard_run.py")
    assert here == there
    assert "fails KeyError" in here and not any(line.endswith(" ok") for line in here)
