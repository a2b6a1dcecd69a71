#!/usr/bin/env python3
"""Writes the figures that were measured into the pages that tell them (figures.py): new numbers, the same words.

A page must have a block, table or sentence like the one that is to be there: of a new one write the words first, with
any numbers in it.
"""

import difflib
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import figures

LIKE = 0.6  # how like the old one a block or table must be
TABLE = r"\|---\|\n(?:\|.*\n)+\n"
NUMBER = r"[0-9a-f]{64}|[+-]?[0-9][0-9,.]*[0-9]|[+-]?[0-9]"


def block(printed):
    lines = "\n".join(f"    {line}".rstrip() for line in printed.splitlines())
    return f"\n\n{lines}\n\n"


def table(rows):
    """Its rows, after the rule and before an empty line."""
    lines = ["|" + "|".join(f" {cell} " if cell != "" else " " for cell in row) + "|" for row in rows]
    return "|---|\n" + "\n".join(lines) + "\n\n"


def words_only(text):
    return re.sub(NUMBER, "0", text)


def most_like(wanted, candidates):
    """That of some texts which is most like the wanted one; LookupError if none is, or several are alike."""

    def likeness(text):
        return difflib.SequenceMatcher(None, words_only(text), words_only(wanted), autojunk=False).ratio()

    found = [likeness(text) for text in candidates]
    best = max(found, default=0)
    most = [text for text, ratio in zip(candidates, found, strict=True) if ratio == best]
    if best < LIKE or len(most) > 1:
        raise LookupError(f"there is {'nothing' if best < LIKE else 'more than one thing'} like this:\n{wanted}")
    return most[0]


def with_block(page, printed):
    wanted = block(printed)
    if wanted in page:
        return page
    return page.replace(most_like(wanted, re.findall(r"\n\n    .*\n(?:(?:    .*)?\n)*?\n(?!    )", page)), wanted)


def with_table(page, rows):
    wanted = table(rows)
    if wanted in page:
        return page
    return page.replace(most_like(wanted, re.findall(TABLE, page)), wanted)


def with_table_under(heading):
    """As with_table(), for the first table under a heading: others are like it."""

    def with_table(page, rows):
        before, here, after = page.partition(f"\n{heading}\n")
        found = re.search(TABLE, after.split("\n#")[0] + "\n")
        if not found:
            raise LookupError(f"there is no table under {heading}")
        return before + here + after[: found.start()] + table(rows) + after[found.end() :]

    return with_table


def with_sentence(page, words):
    """The words stay, on however many lines; LookupError unless they are there once."""
    if words in " ".join(page.split()):
        return page
    parts = [re.escape(part).replace(r"\ ", r"\s+") for part in re.split(NUMBER, words)]
    pattern = f"(?:{NUMBER})".join(parts)
    found = re.findall(pattern, page)
    if len(found) != 1:
        raise LookupError(f"these words are there {len(found)} times, with any numbers:\n{words}")
    return page.replace(found[0], words)


def main():
    wanted = [(name, with_block, printed) for name, printed in figures.print_blocks()]
    wanted += [(name, with_table, list(rows())) for name, rows in figures.TABLES]
    wanted += [(figures.RESULTS, with_table_under(heading), list(rows())) for heading, rows in figures.STUDIES]
    wanted += [(name, with_sentence, words) for name, words in figures.sentences()]
    failed = False
    for name, write, what in wanted:
        path = figures.ROOT / name
        old = path.read_text()
        try:
            new = write(old, what)
        except LookupError as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
            continue
        if new != old:
            path.write_text(new)
            print(name)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
