"""MicroPython on emulated processors, as targets that are compared with the reference.

Each is MicroPython's own port for QEMU. It has no files, so what a script needs is a ROMFS image that lies in the
machine's memory when it starts: the package, the model, the vectors.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import threading
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bitreplay_host.device import romfs
from bitreplay_host.device.board import Board

BUILD = Path(__file__).resolve().parents[2] / "build"
HOSTS = BUILD / "natmod-hosts"
FILES = Path(__file__).parent / "onboard_files.py"
WRITABLE = 1 << 18  # bytes after the image, for files that scripts write
# Mounts the image at /rom, and those files at /.
MOUNT = """
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({address}, {size})), "/rom")
sys.path[:] = ["/rom"]
import onboard_files
vfs.mount(onboard_files.Memory({address} + {size}), "/")
"""


@dataclass
class Machine:
    """command: what starts it, with {elf}, {image} and {address} to be filled in. address: where it has the image."""

    command: list[str]
    address: int

    def start(self, elf: Path, image: Path) -> subprocess.Popen:
        program, *arguments = [word.format(elf=elf, image=image, address=self.address) for word in self.command]
        program = str(BUILD / "cross" / "usr" / "bin" / program)
        return subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def system(command: str, address: int) -> Machine:
    """A machine that QEMU emulates whole."""
    loader = "loader,file={image},addr={address},force-raw=on"
    more = ["-monitor", "none", "-serial", "stdio", "-semihosting", "-kernel", "{elf}", "-device", loader]
    return Machine([*command.split(), "-nographic", *more], address)


MACHINES = {
    # The sizes are those of the port's linker script, and more RAM behind it.
    "armv6m": system(
        "qemu-system-arm -M microbit -global nrf51-soc.flash-size=1048576 -global nrf51-soc.sram-size=4194304",
        0x20100000,
    ),
    "armv7emsp": system("qemu-system-arm -M mps2-an386", 0x21000000),
    "rv32imc": system("qemu-system-riscv32 -M virt -bios none", 0x81000000),
    "rv32imc-zbb": system("qemu-system-riscv32 -M virt -bios none -cpu rv32,zbb=on", 0x81000000),
    "xtensawin": Machine(["qemu-xtensa", "-cpu", "de233_fpu", "{elf}", "{image}"], 0x30000000),
}


class Emulated:
    """A target of bitreplay_host.verify: a machine that is started anew for every script.

    firmware: below build/natmod-hosts. files: by path, what is in /rom.
    """

    def __init__(self, machine: Machine, firmware: str, files: dict[str, bytes], directory: Path):
        self.machine, self.elf, self.directory = machine, HOSTS / firmware / "firmware.elf", directory
        self.files = {**files, FILES.name: FILES.read_bytes()}

    def run(self, script: str, configuration: dict) -> Iterator[dict]:
        with self.board() as board:
            yield from board.run(script, configuration)

    def put(self, name: str, content: bytes) -> str:
        if not content:
            return f"/{name}"  # a script will write it
        self.files[name] = content
        return f"/rom/{name}"

    def model(self, path: Path) -> str:
        return self.put(path.name, path.read_bytes())

    def exec(self, code: str) -> str:
        """What code prints. UserError with its exception."""
        with self.board() as board:
            return board.exec(code)

    @contextlib.contextmanager
    def board(self) -> Iterator[Board]:
        """The machine with its files."""
        image, content = self.directory / "image.romfs", romfs.build(entries(self.files))
        content += bytes(-len(content) % romfs.ALIGNMENT)
        image.write_bytes(content + bytes(WRITABLE))
        with terminal(self.machine.start(self.elf, image)) as port, Board(port) as board:
            board.exec(MOUNT.format(address=self.machine.address, size=len(content)))
            yield board


def entries(files: dict[str, bytes]) -> list[romfs.Entry]:
    """The entries of an image with these files, some of them in folders."""
    found, folders = [], dict.fromkeys(path.split("/")[0] for path in files if "/" in path)
    for folder in folders:
        name = folder.encode()
        inside = {path.removeprefix(f"{folder}/"): files[path] for path in files if path.startswith(f"{folder}/")}
        payload = romfs.number(len(name)) + name + b"".join(entry.record for entry in entries(inside))
        record = romfs.number(romfs.FOLDER) + romfs.number(len(payload)) + payload
        found.append(romfs.Entry(folder, record, len(record), is_file=False))
    return found + [romfs.file_entry(path, content) for path, content in files.items() if "/" not in path]


@contextlib.contextmanager
def terminal(process: subprocess.Popen) -> Iterator[str]:
    """Has a process's input and output on a pseudo-terminal, whose name it yields; ends the process."""
    ours, port = os.openpty()
    tty.setraw(port)
    assert process.stdin and process.stdout
    # The micro:bit does not wait until what it sends is read: all of it must have room.
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
    ways = (ours, process.stdin.fileno()), (process.stdout.fileno(), ours)
    relays = [threading.Thread(target=relay, args=way, daemon=True) for way in ways]
    for thread in relays:
        thread.start()
    with process:
        try:
            yield os.ttyname(port)
        finally:
            process.kill()
            os.close(port)
            for thread in relays:
                thread.join()
            os.close(ours)


def relay(source: int, sink: int) -> None:
    """Passes on what comes, until one end is closed."""
    with contextlib.suppress(OSError):
        while data := os.read(source, 1 << 16):
            os.write(sink, data)
