"""What help(bitreplay) and the completion of a board's REPL show: names for users, and no parts."""

import ast
from pathlib import Path

import bitreplay

STUBS = Path(bitreplay.__file__).with_name("__init__.pyi")


def test_names_are_those_of_the_stubs(micropython):
    names = {getattr(node, "name", "") for node in ast.parse(STUBS.read_text()).body if not isinstance(node, ast.Expr)}
    expected = sorted(name for name in names if name and not name.startswith("_"))
    shown = micropython("import bitreplay\nprint(sorted([n for n in dir(bitreplay) if n[0] != '_']))")
    assert ast.literal_eval(shown) == expected
    assert expected == ["Learner", "Network", "ctrl_c", "heap", "load", "logmel", "plan", "record", "window"]
    lines = micropython("import bitreplay\nhelp(bitreplay)").splitlines()
    assert {"load -- <function", "Learner -- <class", "heap -- <function"} <= {" ".join(s.split()[:3]) for s in lines}


def test_parts_are_still_imported(micropython):
    script = (
        "import bitreplay\nfrom bitreplay import budget\nfrom bitreplay.above import Above\nprint(budget.HEAD_BATCH)"
    )
    assert micropython(script) == "32\n"
