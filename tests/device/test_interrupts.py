"""Ctrl-C at any moment of learning on the board leaves a learner that goes on."""

import random
import time
from pathlib import Path

from mpremote.transport_serial import SerialTransport

import models

SETUP = """
import bitreplay
net = bitreplay.load("/net.safetensors")
me = bitreplay.Learner(net, replay=12, fresh=12, classes=4, train=1)
def see():
    for i in range(12):
        me.see_latent(bytes([(37 * i * j + j) & 255 for j in range(net.latent_bytes)]), i % 4)
"""
CHECK = """
before = me.digest()
me.save("/me.safetensors")
again = bitreplay.Learner.load(net, "/me.safetensors")
me.learn(epochs=1, progress=False)
again.learn(epochs=1, progress=False)
print(before != me.digest(), me.digest() == again.digest(), me.fresh.n)
"""
TIMES = 8


def test_ctrl_c_while_learning(pico, tmp_path):
    model = Path(models.tiny_model(tmp_path / "net.safetensors")).read_bytes()
    rng = random.Random(1)
    board = SerialTransport(pico.port, timeout=30)
    board.enter_raw_repl(soft_reset=False)
    board.fs_writefile("/net.safetensors", model)
    board.exec(SETUP)
    for _ in range(TIMES):
        board.exec("see()")
        board.exec_raw_no_follow("me.learn(epochs=1000)")
        board.read_until(1, b"epoch 2/1000")
        time.sleep(rng.random() / 50)  # to hit another moment each time
        board.serial.write(b"\x03")
        _, error = board.follow(20)
        assert b"KeyboardInterrupt" in error
        # The samples wait for another learn(), and a copy of the learner learns the same from them.
        assert board.exec(CHECK).decode().split() == ["True", "True", "0"]
    board.close()
