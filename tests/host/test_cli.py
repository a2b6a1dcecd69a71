"""The command line: help that teaches, mistakes told in one line, and Ctrl-C that leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bitreplay_host import cli
from synthetic_data import models

COMMANDS = list(cli.COMMANDS)
# As a terminal starts it, even where Ctrl-C is ignored in the background.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from bitreplay_host.cli import main
sys.exit(main())
"""


def main(arguments):
    """The exit status, also where argparse ends the program."""
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert sys.modules[f"bitreplay_host.commands.{name}"].__doc__.strip().splitlines()[0] in shown
    _, examples = shown.split("examples:\n")
    assert f"  bitreplay {name}" in examples
    parser, _ = cli._parser(name)
    options = parser._subparsers._group_actions[0].choices[name]._actions
    assert not [o.dest for o in options if o.option_strings and not o.help], "options without help"


def test_help_is_fast():
    """No subcommand imports what is slow before it needs it."""
    code = """
import sys, time
from bitreplay_host import cli
for name in cli.COMMANDS:
    try:
        cli.main([name, "--help"])
    except SystemExit as end:
        assert end.code == 0
print(time.process_time(), *{"torch", "matplotlib", "serial", "esptool", "mpremote"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *slow = done.stdout.splitlines()[-1].split()
    assert not slow
    assert float(seconds) < 3


MISTAKES = {
    "": "COMMAND",
    "nonsense": "invalid choice: 'nonsense'",
    "experiment --methods magic": "--methods: invalid choice: 'magic'",
    "experiment --nonsense": "unrecognized arguments: --nonsense",
    "experiment --data NOWHERE": "run `bitreplay data cifar10 --dir",
    "experiment --model NOWHERE": "NOWHERE: No such file",
    "experiment --model TEXT": "TEXT: ",
    "experiment --model OTHER": "takes images of shape (32, 32, 1), but cifar10 has (8, 8, 3)",
    "experiment --micropython NOWHERE": "NOWHERE: No such file or directory; run `make unix` first",
    "experiment --micropython TEXT": "TEXT: Permission denied",
    "experiment --first 11": "--first must be 1..10",
    "experiment --step 0": "--step at least 1",
    "experiment --fresh -1": "--fresh",
    "experiment --test -1": "--test",
    "experiment --epochs 0": "--epochs",
    "experiment --seeds 0": "--seeds",
    "experiment --q-b 1": "q_b: must be an integer, 2..16, got 1",
    "experiment --q-f 9": "q_f: must be an integer, 2..8, got 9",
    "experiment --replay 40000": "replay: must be an integer, 0..32768, got 40000",
    "experiment --replay-bytes 16": "--replay-bytes must be 17..557056 for this model, got 16",
    "experiment --replay-bytes 557073": "--replay-bytes must be 17..557056 for this model, got 557073",
    "experiment --replay 10 --replay-bytes 170": "not allowed with argument --replay",
    "experiment --methods nearest --replay 0": "needs --replay of at least 1",
    "experiment --dataset fsdd": "run `bitreplay data fsdd --dir",
    "experiment --samples 4": "unrecognized arguments: --samples",
    "experiment --rate 0": "rate: must be a number",
    "evaluate --data NOWHERE": "run `bitreplay data cifar100 --dir",
    "evaluate --model-with NOTHING": "unrecognized arguments",
    "evaluate NOWHERE": "NOWHERE: No such file",
    "evaluate --test -1": "--test must be at least 0",
    "evaluate --test 101": "--test must be 0..100, the test images that there are",
    "experiment --micropython /bin/true": "/bin/true does not answer as MicroPython with BitReplay",
    "experiment --methods replay_deep --model PLAIN": "has no binary layer that can be trained",
    "experiment --train": "argument --train: expected at least one argument",
    "experiment --train nonsense": 'train: must be "head", "all" or how many binary layers from the top, got ',
    "experiment --train -1": "or how many binary layers from the top, got '-1'",
    "experiment --train ²": "or how many binary layers from the top, got ",
    "experiment --train 1000000000000": "or how many binary layers from the top, got '1000000000000'",
    "experiment --train head 2": "train: the model has 1 binary layers above its latent, got 2",
    "experiment --arithmetic float32 --train 2": "train: the model has 1 binary layers above its latent, got 2",
    "experiment --seeds 1 4294967296": "--seeds must be 1..4294967295",
    "experiment --epochs 2000000": "--epochs 1..1000000",
    "experiment --train 2 --methods joint --model SIGNS": "train: of 2 binary layers only the upper 1 can",
    "experiment --channels 0": "channels: must be a number above 0 and at most 1, got 0",
    "experiment --channels 0.01": "channels: 0.01 of the 32 channels of tail is less than one; give more",
    "experiment --arithmetic float32 --methods naive --model SIGNS": "float32 has no bconv2d_sign",
    "evaluate HEADLESS": "the model has no pretrained head",
    "evaluate MUGS": "MUGS: its labels are not CIFAR-100's classes",
    "evaluate imu": "its labels are not CIFAR-100's classes",
    "experiment --out TEXT": "TEXT: no files can be made there (File exists)",
    "experiment --json FOLDER": "FOLDER is a folder: name a file in it",
    "demo --out TEXT": "TEXT: no files can be made there (File exists)",
    "bench --out FOLDER": "FOLDER is a folder: name a file in it",
    "report --board emulated --out FOLDER": "FOLDER is a folder: name a file in it",
    "export NOWHERE": "required: model",
    "export TEXT TEXT": "TEXT is the checkpoint itself: choose another name for the model",
    "bench --model NOWHERE": "NOWHERE: No such file",
    "bench --model TEXT": "TEXT: ",
    "verify --model TEXT": "TEXT: ",
    "learner NOWHERE": "NOWHERE: there is no such file; name what",
    "teach NOWHERE": "NOWHERE: there is no such folder or file; name a folder with a folder of files a class",
    "teach FOLDER": "FOLDER has no folders in it: make one for each class",
    "verify --micropython NOWHERE": "NOWHERE: No such file or directory; run `make unix` first",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line(line, synthetic_data, small_model, micropython, tmp_path, capsys):
    (tmp_path / "TEXT").write_text("not what was expected")
    (tmp_path / "FOLDER").mkdir()
    models.save(tmp_path / "OTHER", models.mixed())
    models.tiny_model(tmp_path / "HEADLESS", head=False)
    models.tiny_model(tmp_path / "MUGS")
    models.tiny_model(tmp_path / "PLAIN", trainable=False)
    models.save(tmp_path / "SIGNS", models.plain())
    arguments = [tmp_path / word if word.isupper() else word for word in line.split()]
    paths = {"--data": synthetic_data, "--micropython": micropython, "--cache": tmp_path / "cache"}
    if arguments and arguments[0] == "experiment":
        paths |= {"--model": small_model, "--out": tmp_path / "out"}
    if arguments and arguments[0] in ("experiment", "evaluate"):
        arguments += [a for option, path in paths.items() if option not in arguments for a in (option, path)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("bitreplay"), error
    assert MISTAKES[line] in error
    if {"--out", "--json", "--train", "--channels", "--arithmetic"} & set(line.split()):
        assert not (tmp_path / "cache").exists(), "it was told after something was computed"
    assert not list(tmp_path.glob("cache/tmp*")), "something was left in the cache"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a\nb", "a b: No such file or directory"),
        ("a\n\tb\x1b[31m", "a b?[31m: no file has this name or matches it"),
        ("a\udcff", "a?: No such file or directory"),
        ("a" * 2000, "a" * 195 + " ... " + "a" * 80 + ": File name too long"),
    ],
)
def test_odd_names_are_told_in_one_line(name, told, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["images", name]) == 2
    assert capsys.readouterr().err == f"bitreplay: {told}\n"
    assert main(["images", "--side", name]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.isascii() and len(error) < 400


def test_the_command_is_installed(tmp_path):
    """The program itself, from another folder: a mistake is no traceback there either."""
    program = Path(sys.executable).with_name("bitreplay")
    done = subprocess.run([program, "experiment", "--data", "nowhere"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "cifar10_train_images.npy is not there" in done.stderr


def processes(session):
    """Process numbers and command lines of a session, zombies left out."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found[int(stat.parent.name)] = stat.with_name("cmdline").read_text().replace("\0", " ")
        except OSError:
            pass
    return found


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path):
    """A function that starts a command in a session of its own, with a folder tmp for what is temporary."""
    processes_started = []
    (tmp_path / "tmp").mkdir()

    def start(*command):
        line = [sys.executable, "-c", START, *map(str, command)]
        settings = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
        with (tmp_path / "stderr").open("w") as errors:
            process = subprocess.Popen(line, stderr=errors, env=settings, start_new_session=True)
        processes_started.append(process)
        return process

    yield start
    for process in processes_started:
        for number in processes(process.pid):
            os.kill(number, signal.SIGKILL)
        process.wait()


@pytest.fixture
def endless(started, synthetic_data, small_model, micropython, tmp_path):
    """A function that starts an experiment that would go on for long."""

    def start(*more):
        paths = [
            "--model",
            small_model,
            "--data",
            synthetic_data,
            "--out",
            tmp_path / "out",
            "--cache",
            tmp_path / "cache",
        ]
        if "--micropython" not in more:
            paths += ["--micropython", micropython]
        return started("experiment", *paths, "--epochs", "900000", *more)

    return start


def check_stopped(process, tmp_path):
    assert process.wait(timeout=30) == 130
    assert (tmp_path / "stderr").read_text().splitlines() == ["", "bitreplay: stopped"]
    assert processes(process.pid) == {}
    assert not list((tmp_path / "tmp").iterdir())
    assert not list(tmp_path.glob("cache/tmp*")), "something was left in the cache"


@pytest.mark.parametrize("to_all", [False, True], ids=["kill -INT", "Ctrl-C in a terminal"])
def test_ctrl_c_while_learning(endless, tmp_path, to_all):
    process = endless("--seeds", "1", "2")
    wait_for(lambda: sum("onboard/learn_classes.py" in line for line in processes(process.pid).values()) > 0)
    time.sleep(0.2)
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    check_stopped(process, tmp_path)


def test_ctrl_c_while_images_run_through_the_backbone(endless, tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 300\n")
    slow.chmod(0o755)
    process = endless("--micropython", slow)
    wait_for(lambda: any("sleep 300" in line for line in processes(process.pid).values()))
    os.kill(process.pid, signal.SIGINT)
    check_stopped(process, tmp_path)


def test_ctrl_c_in_float32(endless, tmp_path):
    process = endless("--arithmetic", "float32", "--methods", "replay_deep")
    wait_for(lambda: len(list(tmp_path.glob("cache/*.latents"))) == 2)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    check_stopped(process, tmp_path)


def running(process, script):
    """How many children of a command run a script of onboard/."""
    return sum(f"onboard/{script}" in line for line in processes(process.pid).values())


@pytest.mark.parametrize(
    ("command", "script", "count"),
    [
        ("verify --repeats 200", "run_calls.py", 1),
        ("verify --repeats 1", "train_digests.py", 2),  # here and there: one waits for the other
        ("bench --repeats 3000", "time_kernels.py", 1),
    ],
)
def test_ctrl_c_while_scripts_run(started, micropython, tmp_path, command, script, count):
    process = started(*command.split(), "--micropython", micropython)
    wait_for(lambda: running(process, script) == count)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    check_stopped(process, tmp_path)
