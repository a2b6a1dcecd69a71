"""`bitreplay web`: the page on this machine, and what can be wrong told in a line."""

import os
import socket
import subprocess
import sys
import urllib.request

import pytest
from bitreplay_host import cli, page, paths


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Something like what `make web` builds."""
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    (tmp_path / "web").mkdir()
    for name in "index.html", "page.js", "micropython.mjs", "micropython.wasm":
        (tmp_path / "web" / name).write_text(name)
    return tmp_path


def test_the_page_is_served_until_ctrl_c(folder):
    command = [sys.executable, "-m", "bitreplay_host.cli", "web", "--port", "0", "--no-open"]
    environment = {**os.environ, "BITREPLAY_BUILD": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        address = process.stdout.readline().split()[0]
        types = {}
        for name in "", "page.js", "micropython.mjs", "micropython.wasm":
            with urllib.request.urlopen(address + name) as reply:
                types[name] = reply.headers["Content-Type"]
                assert reply.read().decode() == (name or "index.html")
        process.terminate()
    assert types == {
        "": "text/html",
        "page.js": "text/javascript",
        "micropython.mjs": "text/javascript",
        "micropython.wasm": "application/wasm",
    }


def test_mistakes_are_one_line(folder, capsys):
    with socket.socket() as taken:
        taken.bind((page.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["web", "--port", str(port)]) == 2
    assert (
        capsys.readouterr().err
        == f"bitreplay: --port {port}: Address already in use; name another one, or 0 for any that is free\n"
    )
    assert cli.main(["web", "--port", "70000"]) == 2
    assert capsys.readouterr().err == "bitreplay: --port must be 0..65535\n"
    (folder / "web" / "index.html").unlink()
    assert cli.main(["web"]) == 2
    assert "run `make web`" in capsys.readouterr().err
