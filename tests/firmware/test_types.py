"""The type checker of what runs on boards (firmware/mypy.ini, which `make lint` runs) finds what is wrong there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# By file: what is changed, and the error that this is.
MISTAKES = {
    "firmware/bitreplay/trainer.py": (
        "kernels.binarize(weight, zeros, flip, packed)",
        "kernels.binarize(weight)",
        "call-arg",
    ),
    "firmware/bitreplay/network.py": ("import hashlib", "import contextlib", "import-not-found"),
    "firmware/bitreplay/budget.py": ("gc.mem_alloc()", "gc.allocated()", "attr-defined"),
    "firmware/examples/movement.py": ("ticks_ms()", "ticks_ms(1)", "call-arg"),
    "host_tools/bitreplay_host/onboard/run_backbone.py": ("net.latent(", "net.latents(", "attr-defined"),
}


@pytest.mark.skipif(not (ROOT / "build" / "typings").exists(), reason="build/typings is missing: run `make lint`")
def test_mistakes_are_found(tmp_path):
    command = [sys.executable, "-m", "mypy", "--config-file", "firmware/mypy.ini", "--cache-dir", tmp_path / "cache"]
    for number, (path, (right, wrong, _)) in enumerate(MISTAKES.items()):
        text = (ROOT / path).read_text()
        assert right in text
        changed = tmp_path / f"{number}.py"
        changed.write_text(text.replace(right, wrong))
        command += ["--shadow-file", path, changed]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8").stdout
    found = re.findall(r"^([\w/]+\.py):\d+: error: .*\[([\w-]+)\]$", shown, re.MULTILINE)
    assert {(path, error) for path, (_, _, error) in MISTAKES.items()} <= set(found), shown


def test_the_stubs_have_the_arguments_of_the_learner():
    """Their names, order and defaults."""
    found = []
    for name in ("learner.py", "__init__.pyi"):
        tree = ast.parse((ROOT / "firmware" / "bitreplay" / name).read_text())
        (learner,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Learner"]
        (init,) = [node for node in learner.body if getattr(node, "name", "") == "__init__"]
        names = [argument.arg for argument in init.args.args]
        found.append((names, [ast.literal_eval(default) for default in init.args.defaults]))
    assert found[0] == found[1]
