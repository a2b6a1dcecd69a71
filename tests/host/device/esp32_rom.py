"""An emulation, at a pseudo terminal, of what esptool talks to: the boot loader in a chip's ROM, then its own stub.

It speaks the serial protocol that Espressif documents, as far as esptool uses it to put firmware on a board. The stub
that esptool loads into RAM is not executed: once it is started, its answers are given here.
"""

import hashlib
import os
import pty
import struct
import threading
import tty
import zlib

from esptool.targets import CHIP_DEFS

END, ESCAPE = b"\xc0", b"\xdb"
BEGIN, DATA, FINISH, MD5 = 0x10, 0x11, 0x12, 0x13  # of compressed data for the flash
MEM_END, SYNC, WRITE_REG, READ_REG, SECURITY_INFO = 0x06, 0x08, 0x09, 0x0A, 0x14
ERASE_FLASH, READ_FLASH = 0xD0, 0xD2
MAGIC_REG = 0x40001000  # says which chip it is where SECURITY_INFO does not
READ_ID = 0x9F  # command of the flash
UNKNOWN = b"\x01\x05"  # status


class Rom:
    """A chip by its name in esptool, with an empty flash; for a with statement. `flash` is what is in it."""

    def __init__(self, chip, megabytes=4, spoils=False):
        self.chip, self.spoils = CHIP_DEFS[chip], spoils
        self.flash = bytearray(b"\xff" * (megabytes << 20))
        self.flash_id = (megabytes << 20).bit_length() - 1 << 16 | 0x40EF
        self.registers, self.stub, self.written, self.commands = {}, False, 0, []

    def __enter__(self):
        self.master, slave = pty.openpty()
        tty.setraw(self.master)
        self.port, self.slave = os.ttyname(slave), slave
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.close(self.slave)
        self.thread.join(5)
        os.close(self.master)

    def serve(self):
        for packet in self.packets():
            if len(packet) >= 8:
                direction, command, size, _ = struct.unpack_from("<BBHI", packet)
                if direction == 0 and len(packet) == 8 + size:
                    self.commands.append(command)
                    self.answer(command, packet[8:])

    def packets(self):
        received = b""
        while True:
            try:
                received += os.read(self.master, 65536)
            except OSError:  # nobody has the port any more
                return
            while received.count(END) >= 2:
                packet, received = received[received.index(END) + 1 :].split(END, 1)
                if packet:
                    yield packet.replace(ESCAPE + b"\xdc", END).replace(ESCAPE + b"\xdd", ESCAPE)
                else:
                    received = END + received

    def send(self, packet):
        packet = END + packet.replace(ESCAPE, ESCAPE + b"\xdd").replace(END, ESCAPE + b"\xdc") + END
        while packet:
            packet = packet[os.write(self.master, packet) :]

    def reply(self, command, value=0, data=b"", status=b"\0\0"):
        # Boot loaders, unlike the stub, have two more bytes.
        data += status + (b"" if self.stub else b"\0\0")
        self.send(struct.pack("<BBHI", 1, command, len(data), value) + data)

    def answer(self, command, data):
        if command == SYNC:
            for _ in range(8):
                self.reply(command, 0x55)
        elif command == SECURITY_INFO and self.chip.USES_MAGIC_VALUE:
            self.reply(command, status=UNKNOWN)
        elif command == SECURITY_INFO:
            self.reply(command, data=struct.pack("<I8xII", 0, self.chip.IMAGE_CHIP_ID, 0))
        elif command == READ_REG:
            self.reply(command, self.register(*struct.unpack("<I", data)))
        elif command == WRITE_REG:
            address, value = struct.unpack_from("<II", data)
            self.registers[address] = value
            self.reply(command)
        elif command == MEM_END:
            self.reply(command)
            self.stub = True
            self.send(b"OHAI")
        elif command in (BEGIN, DATA, MD5, READ_FLASH, ERASE_FLASH):
            self.use_flash(command, data)
        else:
            self.reply(command)

    def register(self, address):
        base, chip = self.chip.SPI_REG_BASE, self.chip
        if address == MAGIC_REG:
            return self.chip.MAGIC_VALUE
        if address == base:  # every command of the flash is done at once
            return 0
        if address == base + chip.SPI_W0_OFFS:
            return self.flash_id if self.registers[base + chip.SPI_USR2_OFFS] & 0xFF == READ_ID else 0
        return self.registers.get(address, 0)

    def use_flash(self, command, data):
        if command == ERASE_FLASH:
            self.flash[:] = b"\xff" * len(self.flash)
        elif command == BEGIN:
            _, _, _, self.at = struct.unpack_from("<4I", data)
            self.inflate = zlib.decompressobj()
        elif command == DATA:
            plain = self.inflate.decompress(data[16:])
            self.flash[self.at : self.at + len(plain)] = plain
            self.at += len(plain)
            if self.spoils:
                self.flash[self.at - 1] ^= 1
        start, size = struct.unpack_from("<II", data) if command in (MD5, READ_FLASH) else (0, 0)
        content = bytes(self.flash[start : start + size])
        digest = hashlib.md5(content).digest()
        self.reply(command, data=digest if command == MD5 else b"")
        if command == READ_FLASH:  # each piece is acknowledged, of which nothing is to be awaited
            for at in range(0, size, 4096):
                self.send(content[at : at + 4096])
            self.send(digest)
