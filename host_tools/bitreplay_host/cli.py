"""The command `bitreplay`; commands/ has its subcommands.

Only the module that is asked for is imported: most of what they need is slow to import, and PyTorch may not be
installed.
"""

import argparse
import errno
import importlib
import sys
import tempfile
import traceback

import bitreplay

from .errors import UserError, printable

# name: one line of help
COMMANDS = {
    "models": "list the models that come with BitReplay",
    "data": "fetch and verify a dataset: CIFAR-10, spoken digits, drawings, ...",
    "pretrain": "train a binary backbone on CIFAR-100 or your pictures, with PyTorch",
    "export": "turn a trained backbone into a model that boards can load",
    "evaluate": "test a model's pretrained classes, and compare it with PyTorch",
    "demo": "teach MicroPython on this machine new classes, and plot its accuracy",
    "experiment": "run a continual-learning protocol: tables, CSV, JSON and plots",
    "start": "make a learner that knows a model's own classes",
    "unknown": "measure how well a learner recognizes what it was not taught",
    "verify": "compare the unix port or a board with the NumPy reference, bit for bit",
    "flash": "put firmware on a Pico, Pico 2 or ESP32",
    "upload": "put a model, or BitReplay itself, on a connected board",
    "images": "convert photographs for a board's learner",
    "teach": "teach a learner labelled pictures, here or on a board, and test it",
    "learner": "show, change, merge or test a saved learner",
    "report": "measure the RAM and flash of a model and a learner on a board",
    "plan": "say which layers a board has room to train, and how long it takes",
    "bench": "time kernels, inference and learning, here or on a board",
    "web": "teach in the browser: serve the page and open it",
    "emulate": "run an emulated Pico, with a serial port",
}

LONGEST = 300  # characters of what the user is told

EPILOG = """examples:
  bitreplay data cifar10        fetch CIFAR-10 into the cache
  bitreplay demo                teach it here, without a board
  bitreplay COMMAND --help      what a command does, its options and examples

settings, from the environment:
  BITREPLAY_BUILD               folder with what `make` built (default: build/ of this clone)
  BITREPLAY_CACHE               folder for datasets and latents (default: in the user's cache folder)

exit status: 0 done, 1 a comparison failed, 2 a mistake to correct (one line says which), 3 a bug, 130 Ctrl-C
"""


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand and returns the exit status. argv: the arguments after the program's name."""
    argv = sys.argv[1:] if argv is None else argv
    chosen = next((a for a in argv if not a.startswith("-")), None)
    try:
        parser, command = _parser(chosen)
        args = parser.parse_args(argv)
        return command.run(args) or 0
    except KeyboardInterrupt:
        print("\nbitreplay: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if "--traceback" in argv:
            raise
        told = _one_line(error)
        if told is None:
            traceback.print_exc()
            print("\nbitreplay: this is a bug in BitReplay; please report it with the lines above", file=sys.stderr)
            return 3
        print(f"bitreplay: {_short(told)}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaints are one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {_short(message)}; see {self.prog} --help\n")


def _parser(chosen):
    """The argument parser, with the arguments of the chosen subcommand only; and that subcommand's module, or None."""
    text = argparse.RawDescriptionHelpFormatter
    description = "BitReplay: continual learning in bits, on microcontrollers."
    parser = _Parser("bitreplay", description=description, epilog=EPILOG, formatter_class=text)
    parser.add_argument("--version", action="version", version=f"BitReplay {bitreplay.__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where an error comes from (for developers)")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    command = None
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, formatter_class=text)
        if name == chosen:
            command = importlib.import_module(f"bitreplay_host.commands.{name}")
            subparser.description = command.__doc__
            command.add_arguments(subparser)
    return parser, command


def _one_line(error):
    """What the user is told; None for an error that only we can mend."""
    if isinstance(error, ImportError) and error.name == "torch":
        return "this needs PyTorch, which is not installed: pip install 'bitreplay[pretrain]'"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{error.strerror}: make room in {tempfile.gettempdir()}, in the cache, or where the result goes"
    if isinstance(error, (UserError, OSError)):
        return str(error) or type(error).__name__
    return None


def _short(text):
    """A text as one line of at most LONGEST characters."""
    line = printable(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 105]} ... {line[-100:]}"


if __name__ == "__main__":
    sys.exit(main())
