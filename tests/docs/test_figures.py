"""The figures in the docs are those that commands measured, whose JSON is in docs/measured, to the letter."""

import json
import re
from pathlib import Path

import figures
import pytest
import write
from bitreplay_host.device import mip
from bitreplay_host.experiments import papers

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "run docs/measured/write.py"


def page(name):
    return (ROOT / name).read_text()


@pytest.mark.parametrize(("name", "printed"), list(figures.print_blocks()), ids=lambda v: v.splitlines()[0][:40])
def test_what_commands_print(name, printed):
    assert write.block(printed) in page(name), f"{name} needs:\n{write.block(printed)}\n{AGAIN}"


@pytest.mark.parametrize(("name", "rows"), figures.TABLES, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_tables(name, rows):
    """All rows of a table, in order, and no other: after its rule, before an empty line."""
    wanted = write.table(rows())
    assert wanted in page(name), f"{name} needs:\n{wanted}\n{AGAIN}"


@pytest.mark.parametrize(("heading", "rows"), figures.STUDIES, ids=[heading for heading, _ in figures.STUDIES])
def test_tables_of_the_study(heading, rows):
    """Each is under its own heading, as all are alike."""
    (section,) = re.findall(rf"\n{re.escape(heading)}\n(.*?\n)#", page(figures.RESULTS), re.DOTALL)
    wanted = write.table(rows())
    assert wanted in section, f"{heading} needs:\n{wanted}\n{AGAIN}"


@pytest.mark.parametrize(("name", "words"), list(figures.sentences()), ids=lambda v: v[:40])
def test_what_the_text_repeats(name, words):
    assert words in " ".join(page(name).split()), AGAIN


def test_stale_figures_are_written_again():
    """Other numbers in a block, a table and a sentence of the same page."""
    block = "100 images: 12.3 %\n 20 images:  4.5 %"
    rows = [["replay + head", "62.26 ± 0.40"], ["joint", "64.34 ± 0.10"]]
    words = "in 30 seconds, and 1,024 bytes are left"
    old = (
        "# Page\n\n    100 images: 99.9 %\n     20 images:  9.9 %\n\n| what | final |\n|---|---|\n"
        "| replay + head | 1.00 ± 0.00 |\n| joint | 2.00 ± 0.00 |\n\nIt learns in 7 seconds, and\n99 bytes are left.\n"
    )
    new = write.with_sentence(write.with_table(write.with_block(old, block), rows), words)
    assert write.block(block) in new and write.table(rows) in new and words in new
    assert len(new.splitlines()) == len(old.splitlines()) - 1 and "99" not in new
    assert write.with_sentence(write.with_table(write.with_block(new, block), rows), words) == new


def test_of_tables_that_are_alike_none_is_taken():
    page = "".join(f"# {name}\n\n| what |\n|---|\n| 1.0 |\n\n" for name in ("One", "Two"))
    with pytest.raises(LookupError, match="more than one"):
        write.with_table(page, [["2.0"]])
    assert write.with_table_under("# Two")("\n" + page, [["2.0"], ["3.0"]]).endswith(
        "| 1.0 |\n\n# Two\n\n| what |\n|---|\n| 2.0 |\n| 3.0 |\n\n"
    )


def test_a_page_without_the_heading_or_its_table_is_told():
    for page in "# Page\n", "\n# One\n\nNothing.\n\n# Two\n\n| what |\n|---|\n| 1.0 |\n\n":
        with pytest.raises(LookupError, match="no table under # One"):
            write.with_table_under("# One")(page, [["2.0"]])


@pytest.mark.parametrize("words", ["of which the page says nothing 5", "5 and 6"])
def test_a_page_without_the_words_is_told(words):
    with pytest.raises(LookupError, match="0|2"):
        write.with_sentence("1 and 2, then 3 and 4\n", words)


def test_each_file_is_explained_and_can_be_made_again():
    names = sorted(path.stem for path in figures.MEASURED.glob("*.json"))
    script = (figures.MEASURED / "measure.sh").read_text()
    told = page("docs/measured/README.md")
    for name in names:
        assert f"| `{name}.json` |" in told
        assert f"\n        {name}) " in script or name in papers.MEASUREMENTS
    assert told.count(".json` |") == len(names)


def test_nothing_of_a_machine_is_in_the_files():
    for path in figures.MEASURED.glob("*.json"):
        told = strings(json.loads(path.read_text()))
        assert told and not [text for text in told if text.startswith("/") and text not in ("/", "/rom")]


def strings(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", ["armv6m", "armv7emsp", "rv32imc", "rv32imc-zbb", "xtensawin", "x64"])
def test_bytes_of_native_modules(arch):
    """Of the module, and of the package with it, as `upload --install` sends them."""
    files = {path.name: path.stat().st_size for path in (ROOT / "build" / "mip" / mip.ABI / arch).rglob("*.mpy")}
    assert files, "run `make mip`"
    (row,) = [line for line in page("docs/natmod.md").splitlines() if f": `{arch}` |" in line]
    assert f" | {files['_bitreplay.mpy']:,} | {sum(files.values()):,} | " in row
