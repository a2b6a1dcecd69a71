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


def shown_by_help(output):
    """The names that a help() printed, but those with two underscores."""
    names = [line.split()[0] for line in output.splitlines() if " -- " in line]
    return sorted(name for name in names if not name.startswith("__"))


def test_help_of_the_package_shows_no_more(micropython):
    shown = shown_by_help(micropython("import bitreplay\nhelp(bitreplay)"))
    assert shown == ["Learner", "Network", "ctrl_c", "heap", "load", "logmel", "plan", "record", "window"]


def test_a_learner_shows_what_is_for_users(micropython, model):
    make = "import sys, bitreplay\nme = bitreplay.Learner(bitreplay.load(sys.argv[1]))\n"
    (stubs,) = [node for node in ast.parse(STUBS.read_text()).body if getattr(node, "name", "") == "Learner"]
    methods = {node.name for node in stubs.body if isinstance(node, ast.FunctionDef) and node.name != "__init__"}
    fields = {node.target.id for node in stubs.body if isinstance(node, ast.AnnAssign)}
    assert shown_by_help(micropython(make + "help(me)", model)) == sorted(methods)
    completed = ast.literal_eval(micropython(make + "print([n for n in dir(me) if n[0] != '_'])", model))
    assert set(completed) == methods | fields | {"fresh", "policy", "rng"}


def test_parts_are_still_imported(micropython):
    script = (
        "import bitreplay\nfrom bitreplay import budget\nfrom bitreplay.above import Above\nprint(budget.HEAD_BATCH)"
    )
    assert micropython(script) == "32\n"
