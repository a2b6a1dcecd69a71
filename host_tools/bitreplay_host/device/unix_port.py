"""Scripts of onboard/ on MicroPython's unix port, as child processes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from ..errors import UserError, script_failed

ONBOARD = Path(__file__).parents[1] / "onboard"
HEAP = "64m"  # what the learner needs of it is measured

Item = TypeVar("Item")
Result = TypeVar("Result")

_children: set[subprocess.Popen] = set()


def run(script: str, configuration: dict, micropython: Path, directory: Path) -> Generator[dict, None, None]:
    """Run a script of onboard/ with a configuration, kept in a file in `directory`; yields the JSON objects it prints.

    When it fails, script_failed() with the last line of what it said is raised; UserError when it prints no object, as
    each script does. When it is closed, which must be before `directory` is removed, the child ends.
    """
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json", dir=directory) as file,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        json.dump(configuration, file)
        file.flush()
        # Absolute, as a name alone would be looked for in PATH.
        command = [str(micropython.absolute()), "-X", f"heapsize={HEAP}", str(ONBOARD / script), file.name]
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace")
        except OSError as error:
            raise UserError(f"{micropython}: {error.strerror}; run `make unix` first") from None
        _children.add(process)
        last, answered = "", False
        with process:
            try:
                assert process.stdout
                for line in process.stdout:
                    if line.startswith("{"):
                        answered = True
                        yield json.loads(line)
                    else:
                        last = line.strip()
                if process.wait():
                    errors.seek(0)
                    reason = "".join((errors.read().strip() or last).splitlines()[-1:])
                    raise script_failed(f"{script} failed on {micropython.name}", reason or str(process.returncode))
                if not answered:
                    raise UserError(f"{micropython} does not answer as MicroPython with BitReplay: run `make unix`")
            finally:
                process.kill()
                _children.discard(process)


def in_parallel(work: Callable[[Item, threading.Event], Result], items: Iterable[Item]) -> list[Result]:
    """[work(item, stop) for item in items], in as many threads as there are cores.

    When one fails, or at Ctrl-C, the children of the others are killed, and `stop` is set for those that have none.
    """
    stop, ended = threading.Event(), threading.Event()
    futures: list[Future[Result]] = []

    def kill() -> None:
        # Until all threads have ended: one may be starting a child, even one whose future nobody got at Ctrl-C.
        while not ended.wait(0.02):
            for child in list(_children):
                child.kill()

    try:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            try:
                for item in items:
                    futures.append(pool.submit(work, item, stop))
                pending = set(futures)
                while pending:
                    # Not forever at a time: a Ctrl-C that comes just before a wait is noticed after it.
                    done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                return [future.result() for future in futures]
            except BaseException:
                stop.set()
                for future in futures:
                    future.cancel()
                threading.Thread(target=kill, daemon=True).start()
                raise
    finally:
        ended.set()
