"""device/board.py and MicroPython, the unix port at the end of a serial line: what is run, sent, and goes wrong."""

import hashlib
import json
import threading
import time

import pytest
from bitreplay_host.device import board as module
from bitreplay_host.device.board import CHUNK, CONFIGURATION, FOLDER, Board, chunks, literal
from bitreplay_host.errors import UserError
from serial_line import SerialLine

SIZES = 0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5
SCRIPTS = {
    "echo.py": "import json, sys\nprint(json.dumps({'argv': sys.argv}))\nprint(open(sys.argv[1]).read())",
    "slow.py": "import time\nfor i in range(200):\n print('{\"n\": %d}' % i)\n time.sleep(0.05)",
    "talk.py": "print('hello')\nprint('{\"n\": 1}')\nprint(' {\"n\": 2}')\nprint('{\"n\": 3}', end='')",
    "fails.py": "print('{\"n\": 1}')\nraise ValueError('it is broken')",
}


@pytest.fixture
def files(tmp_path):
    """The folder with the board's files."""
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def line(micropython, files):
    with SerialLine(micropython, files) as line:
        yield line


@pytest.fixture
def board(line):
    with Board(line.port) as board:
        yield board


@pytest.fixture(autouse=True)
def scripts(tmp_path, monkeypatch):
    """Scripts of our own instead of onboard/."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    for name, code in SCRIPTS.items():
        (folder / name).write_text(code)
    monkeypatch.setattr(module, "ONBOARD", folder)


@pytest.fixture
def impatient(monkeypatch):
    for name in "ANSWER_SECONDS", "EXEC_SECONDS", "RUN_SECONDS", "PLUG_SECONDS":
        monkeypatch.setattr(module, name, 0.3)


def noise(size):
    return bytes(i * i >> 3 & 0xFF for i in range(size))


def test_exec_returns_what_is_printed(board):
    assert board.exec("print(6 * 7)") == "42"
    assert board.exec("x = 5") == ""
    assert board.exec("print('one\\ntwo', end='')\nprint()\nprint(x)") == "one\ntwo\n5"
    assert board.exec("print('ä → \\u20ac')") == "ä → €"


def test_an_error_is_the_last_line_of_the_traceback(board, line):
    with pytest.raises(UserError) as error:
        board.exec("print('before')\ndef f():\n raise OSError(28)\nf()")
    assert str(error.value) == f"{line.port}: OSError: 28"
    with pytest.raises(UserError, match="SyntaxError"):
        board.exec("1 +")
    assert board.exec("print(1)") == "1"


def test_each_connection_starts_anew(line):
    with Board(line.port) as board:
        board.exec("x = 1")
        board.soft_reset()
        with pytest.raises(UserError, match="NameError"):
            board.exec("x")
        board.exec("y = 1")
    line.wait_for(b">>> ")
    with Board(line.port) as board, pytest.raises(UserError, match="NameError"):
        board.exec("y")


def test_run_gives_a_script_its_configuration(board, files):
    told = {"path": "/a 'b'", "n": [1, 2.5, None], "name": "ä"}
    assert list(board.run("echo.py", told)) == [{"argv": ["echo.py", f"/{FOLDER}/{CONFIGURATION}"]}, told]
    assert not list(files.iterdir())


LEFT = [CONFIGURATION, "echo.py", *module.VERIFY]


@pytest.mark.parametrize("names", [[], LEFT])
def test_a_folder_that_was_left_is_used_and_removed(board, files, names):
    (files / FOLDER).mkdir()
    for name in names:
        (files / FOLDER / name).touch()
    assert len(list(board.run("echo.py", {}))) == 2
    assert not list(files.iterdir())


@pytest.mark.parametrize("names", [["mine.txt"], [CONFIGURATION, "mine.txt"], [f"{CONFIGURATION}/mine.txt"], None])
def test_a_users_folder_or_file_is_not_ours(line, files, names):
    """Nothing in it is touched, also when the connection ends."""
    place = files / FOLDER
    for path in [place] if names is None else [place / name for name in names]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    before = sorted(files.rglob("*"))
    with Board(line.port) as board:
        for _ in range(2):
            with pytest.raises(
                UserError, match=f"^/{FOLDER} is on the board and does not belong to BitReplay: rename it"
            ):
                list(board.run("echo.py", {}))
    assert sorted(files.rglob("*")) == before
    assert all(path.read_text() == "mine" for path in before if path.is_file())


def test_a_filesystem_without_folders(board):
    board.exec("import os\ndef mkdir(path): raise AttributeError('mkdir')")
    board.exec("class Os:\n mkdir, stat, getcwd = mkdir, os.stat, os.getcwd\nimport sys; sys.modules['os'] = Os")
    with pytest.raises(UserError, match="ENOENT"):  # this one has them, so that opening the file fails
        list(board.run("echo.py", {}))


def test_run_yields_objects_as_they_come(board):
    start = time.monotonic()
    run = board.run("slow.py", {})
    assert [next(run)["n"] for _ in range(3)] == [0, 1, 2]
    assert time.monotonic() - start < 5  # all take 10 s
    run.close()


def test_run_skips_what_is_no_object(board):
    assert list(board.run("talk.py", {})) == [{"n": 1}, {"n": 3}]


def test_run_after_an_error(board, line, files):
    run = board.run("fails.py", {})
    assert next(run) == {"n": 1}
    with pytest.raises(UserError, match=f"^fails.py failed on {line.port}: ValueError: it is broken$"):
        next(run)
    assert not list(files.iterdir())
    assert list(board.run("talk.py", {})) == [{"n": 1}, {"n": 3}]


def test_run_that_is_closed_early(board, files):
    """The script is ended, its configuration removed, and the board is ready for more."""
    run = board.run("slow.py", {})
    next(run)
    assert (files / FOLDER / CONFIGURATION).exists()
    run.close()
    assert not list(files.iterdir())
    assert board.exec("print(i < 100)") == "True"


def test_exec_ends_what_still_runs(board, files):
    run = board.run("slow.py", {})
    next(run)
    assert board.exec("print('other')") == "other"
    run.close()
    assert not list(files.iterdir())
    assert board.exec("print(1)") == "1"


def test_ctrl_c_leaves_the_prompt(line, files):
    """As when the user ends a command while a script runs: nothing runs on, nothing is left."""
    with pytest.raises(KeyboardInterrupt), Board(line.port) as board:
        for message in board.run("slow.py", {}):
            if message["n"] == 2:
                raise KeyboardInterrupt
    line.wait_for(b">>> ")
    assert not list(files.iterdir())
    with Board(line.port) as board:
        assert board.exec("print(1)") == "1"


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_ctrl_c_while_it_is_sent(line, files, monkeypatch, nth):
    """Also in the code of mpremote that sends a statement: what runs is ended, soon, and nothing is left."""
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Board(line.port) as board:
        send, calls = board._transport.exec_raw_no_follow, []

        def interrupted(code):
            calls.append(code)
            if len(calls) == nth:
                # In one long sleep the unix port would not notice a signal that comes just before it.
                send(b"import time\nfor _ in range(6000): time.sleep(0.01)")
                raise KeyboardInterrupt
            send(code)

        monkeypatch.setattr(board._transport, "exec_raw_no_follow", interrupted)
        list(board.run("echo.py", {}))
    assert time.monotonic() - start < 5
    assert not list(files.iterdir())
    line.wait_for(b">>> ")


def test_replace(board, files):
    (files / "file").write_bytes(b"old")
    (files / "file.new").write_bytes(b"the user's")
    board.replace(noise(5000), "/file", "writing")
    assert (files / "file").read_bytes() == noise(5000)
    assert sorted(path.name for path in files.iterdir()) == ["file", "file.new"]


@pytest.mark.parametrize("nth", range(1, 8))
def test_replace_that_is_interrupted(board, files, monkeypatch, nth):
    (files / "file").write_bytes(b"old")
    send, calls = board._transport.exec_raw_no_follow, []

    def interrupted(code):
        calls.append(code)
        send(code)
        if len(calls) == nth:
            raise KeyboardInterrupt

    monkeypatch.setattr(board._transport, "exec_raw_no_follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        board.replace(noise(5000), "/file", "writing")
    assert (files / "file").read_bytes() == b"old"
    assert [path.name for path in files.iterdir()] == ["file"]


@pytest.mark.parametrize("size", SIZES)
def test_read(board, files, size):
    (files / "file").write_bytes(noise(size))
    assert board.read("/file", 0, size) == board.read("/file", 0, size + 9) == noise(size)
    assert board.read("/file", 3, 5) == noise(size)[3:8]


def test_is_folder(board, files):
    (files / "folder").mkdir()
    (files / "file").touch()
    assert [board.is_folder(f"/{name}") for name in ("folder", "file", "none")] == [True, False, None]


@pytest.mark.parametrize("size", SIZES)
def test_put(board, files, size):
    content = noise(size)
    board.put(content, "/odd name")
    assert (files / "odd name").read_bytes() == content
    assert board.size("/odd name") == size
    assert board.sha256("/odd name") == hashlib.sha256(content).hexdigest()
    board.put(content[:1], "/odd name")  # what was there is replaced
    assert (files / "odd name").read_bytes() == content[:1]
    board.remove("/odd name")
    assert board.size("/odd name") is None
    board.remove("/odd name")
    assert not list(files.iterdir())


def test_put_where_it_cannot(board):
    with pytest.raises(UserError, match="ENOENT"):
        board.put(b"1", "/no folder/file")


def test_free_bytes_and_machine(board):
    statvfs = "lambda path: (512, 1, 2, 2000 + len(path), 9)"  # which the unix port lacks
    board.exec(f"import sys\nclass Os:\n statvfs = {statvfs}\nsys.modules['os'] = Os")
    assert (board.free_bytes("/"), board.free_bytes("/folder")) == (512 * 2001, 512 * 2007)
    assert board.machine().startswith("linux")


@pytest.mark.parametrize(
    ("code", "has"),
    [
        ("load = 1", True),
        ("", False),
        ("import no_module", False),
        ("raise ValueError('incompatible .mpy file')", False),
        ("raise AttributeError('load')", False),
        ("raise OSError(5)", False),
        ("1 +", False),
    ],
)
def test_has_bitreplay(board, files, code, has):
    (files / "bitreplay.py").write_text(code)
    board.exec("import sys; sys.path[:] = ['/']; sys.modules.clear()")
    assert board.has_bitreplay() is has


def test_leave(line):
    """Code of which the board does not come back is begun before the port is closed."""
    with Board(line.port) as board:
        board.exec("import sys; sys.modules['machine'] = sys")
        board.leave("machine.stdout.write('gone')")
    line.wait_for(b"gone\x04\x04>")


SILENT = "does not answer as MicroPython does; .*reset"


def test_a_statement_that_takes_too_long(line, impatient):
    """It is ended, as the board answers to Ctrl-C, and the next one works."""
    with Board(line.port) as board:
        with pytest.raises(UserError, match=f"^{line.port} {SILENT}"):
            board.exec("while True: pass")
        assert board.exec("print(1)") == "1"


def test_a_script_that_prints_nothing_for_long(line, impatient, files):
    (module.ONBOARD / "stuck.py").write_text("print('{}')\nwhile True: pass")
    with Board(line.port) as board:
        run = board.run("stuck.py", {})
        assert next(run) == {}
        with pytest.raises(UserError, match=SILENT):
            next(run)
        assert not list(files.iterdir())
        assert board.exec("print(1)") == "1"


def test_a_board_that_falls_silent(line, impatient):
    """The command ends, soon: nobody waits for an answer to each attempt to tidy up."""
    start = time.monotonic()
    with pytest.raises(UserError, match=f"^{line.port} {SILENT}"), Board(line.port) as board:
        for message in board.run("slow.py", {}):
            if message["n"] == 1:
                line.fall_silent()
    assert time.monotonic() - start < 5


def test_a_board_that_never_answers(line, impatient):
    line.fall_silent()
    start = time.monotonic()
    with pytest.raises(UserError, match="does not answer as MicroPython does"), Board(line.port):
        pass
    assert time.monotonic() - start < 10


def test_a_port_that_vanishes(line):
    with Board(line.port) as board:
        threading.Timer(0.3, line.unplug).start()
        with pytest.raises(UserError) as error:
            list(board.run("slow.py", {}))
        assert str(error.value).startswith(f"{line.port}: the connection broke off")
        with pytest.raises(UserError, match="broke off"):
            board.exec("print(1)")


def test_ports_that_are_none(tmp_path):
    with pytest.raises(UserError, match="there is no /dev/none; `mpremote connect list`"), Board("/dev/none"):
        pass
    (tmp_path / "file").touch(0o600)
    with pytest.raises(UserError, match="file"), Board(str(tmp_path / "file")):
        pass
    with pytest.raises(UserError, match="--port nothing://here: "), Board("nothing://here"):
        pass


@pytest.mark.parametrize("size", SIZES)
def test_literal(size):
    from binascii import a2b_base64

    content = noise(size)
    assert eval(literal(content), {"a2b_base64": a2b_base64}) == content
    assert len(literal(content)) <= 17 + 4 * -(-size // 3)
    assert json.dumps(literal(content)).isascii() and "\n" not in literal(content)


@pytest.mark.parametrize(("size", "lengths"), [(0, []), (1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4]), (9, [4, 4, 1])])
def test_chunks(size, lengths):
    parts = list(chunks(noise(size), 4))
    assert [len(part) for part in parts] == lengths
    assert b"".join(parts) == noise(size)
