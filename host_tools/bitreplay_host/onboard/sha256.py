# The sha256 of a file as the board reads it. Works on MicroPython and CPython.
#
# argument: a JSON file {"path"}. Prints {"done": bytes} now and then, and {"sha256": hex}.

import binascii
import hashlib
import json
import sys


def main(config):
    sha, buffer, done = hashlib.sha256(), memoryview(bytearray(4096)), 0
    with open(config["path"], "rb") as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                break
            sha.update(buffer[:count])
            done += count
            if done % 65536 == 0:
                print(json.dumps({"done": done}))
    print(json.dumps({"sha256": binascii.hexlify(sha.digest()).decode()}))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
