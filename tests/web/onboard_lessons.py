# What the page does with lessons, in Python on any MicroPython: lessons.json names the model and
# [[label, pictures], ...], pictures as 3072 bytes in hexadecimal. Prints the digest after each lesson.

import json
import sys
from binascii import unhexlify

import bitreplay

with open(sys.argv[1]) as file:
    asked = json.load(file)
net = bitreplay.load(asked["model"])
me = bitreplay.Learner.load(net, asked["state"]) if asked.get("state") else bitreplay.Learner(net)
for label, pictures in asked["lessons"]:
    for i, picture in enumerate(pictures):
        if i % 5 != 4:  # every fifth is held back
            me.see(unhexlify(picture), label)
    me.learn(16, False)
    print(me.digest())
if asked.get("save"):
    me.save(asked["save"])
