"""bitreplay report: what it says of the board's memory is what the formulas say, and what there is."""

import json
import re

from bitreplay_host import cli
from bitreplay_host.measure import memory

# Bytes of Python's objects that each may take beside its buffers.
PYTHON = {"model": 8200, "learner": 6000}


def rows(text):
    """{first cell: [numbers]} of the tables in text."""
    found = re.findall(r"^(\S[^\d\n]*?)  +(\d[\d ]*)$", text, re.M)
    return {name: [int(n) for n in numbers.split()] for name, numbers in found}


def test_report_of_the_shipped_model(capsys, tmp_path):
    out = tmp_path / "report.json"
    assert cli.main(["report", "--board", "emulated", "--train", "head", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed == f"{memory.describe(json.loads(out.read_text()))}\n\n{out}\n"
    assert printed.startswith("Raspberry Pi Pico with RP2040, emulated: backbone.safetensors and Learner(")
    assert "weights are used in flash" in printed
    table = rows(printed)
    for name in ("model", "learner"):
        formula, measured, difference = table[name]
        assert 0 < difference == measured - formula < PYTHON[name]
    assert table["replay.latents"] == [500 * 128]
    # A board's owner has memory left, also for a photograph of 160 x 120.
    used, free, block = table["with the learner"]
    assert free >= 24 * 1024 and block >= 160 * 120
    assert used + free == sum(table["before"][:2])
    assert table["/rom"][0] == 512 * 1024 and table["/rom"][1] < 512 * 1024 - 343_000
    assert table["/"][0] == 1024 * 1024


def test_the_plan_is_right(capsys, tmp_path):
    """What `bitreplay plan` says of the learner that is reported by default, within what Python's objects take."""
    files = tmp_path / "report.json", tmp_path / "plan.json"
    assert cli.main(["report", "--board", "emulated", "--out", str(files[0])]) == 0
    assert cli.main(["plan", "--out", str(files[1])]) == 0
    report, plan = (json.loads(file.read_text()) for file in files)
    told = {(c["train"] or "head", c["channels"]): (c["bytes"], c["block"]) for c in report["choices"]}
    assert told == {(c["train"], c["channels"]): (c["total"] - report["scratch"], c["block"]) for c in plan["choices"]}
    (choice,) = [c for c in plan["choices"] if (c["train"], c["channels"]) == (1, 1)]
    assert choice["total"] == report["scratch"] + sum(report["buffers"].values())
    assert choice["block"] == max(report["buffers"].values())
    assert abs(choice["free"] - report["made"]["free"]) < 4000
    assert abs(plan["board"]["heap"] - report["start"]["free"]) < 4000


def test_too_large_a_learner_says_what_it_needs(pico_with_model, bitreplay):
    status, _, error = bitreplay(pico_with_model, "report", "--replay", "2000")
    assert status == 2 and error.count("\n") == 1
    assert re.search(r"Learner: needs \d+ bytes of RAM .*256000 of them in one block; \d+ are free", error)
