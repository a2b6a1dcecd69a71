"""The webassembly port computes the same bits, in node."""

import gzip
from pathlib import Path

from bitreplay_host import cli


def test_every_kernel_and_training_matches(wasm, monkeypatch, capsys):
    monkeypatch.setenv("BITREPLAY_WASM", str(wasm))
    program = Path(__file__).with_name("micropython-node.mjs")
    assert cli.main(["verify", "--micropython", str(program), "--model", "small", "--repeats", "3"]) == 0
    assert "every bit matches" in capsys.readouterr().out


def test_the_page_is_small(wasm):
    """A visitor fetches less than 1.2 MB, compressed as web servers do."""
    files = [path for path in wasm.parent.iterdir() if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 1_200_000
