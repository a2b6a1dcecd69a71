"""Pictures of four classes, and the command line."""

import pytest
from bitreplay_host import cli
from synthetic_data import paint


@pytest.fixture
def photos(tmp_path):
    """A folder with ten pictures of each class."""
    return paint(tmp_path / "photos")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch, micropython, small_model):
    """A function: runs a command in an empty folder, teach with the small model; returns its status, what it printed
    and complained."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments):
        line = [str(argument) for argument in arguments]
        if line[0] in ("teach", "learner") and "--model" not in line:
            line += ["--model", str(small_model)]
        if line[0] == "teach":
            line += ["--micropython", str(micropython), "--cache", str(tmp_path / "cache")]
        try:
            status = cli.main(line)
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def refused(run):
    """A function: runs a command that is refused in one line, and returns that."""

    def refused(*arguments):
        status, _, error = run(*arguments)
        assert status == 2 and error.splitlines()[-1].startswith("bitreplay"), error
        return error.splitlines()[-1]

    return refused
