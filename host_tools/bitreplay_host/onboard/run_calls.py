# Makes calls of kernels and prints what they wrote. Works on MicroPython and CPython.
#
# argument: a JSON file {"calls": a file with a call a line}; a call is {"kernel", "arguments": [int or base64]}.
# Prints for each {"returned", "buffers": [base64]} or {"error": text}, one call in memory at a time.

import binascii
import json
import sys

import _bitreplay


def reply(call):
    arguments = [bytearray(binascii.a2b_base64(a)) if isinstance(a, str) else a for a in call["arguments"]]
    try:
        returned = getattr(_bitreplay, call["kernel"])(*arguments)
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}
    buffers = [binascii.b2a_base64(a).decode() for a in arguments if isinstance(a, bytearray)]
    return {"returned": returned, "buffers": buffers}


with open(sys.argv[1]) as configuration:
    calls = json.load(configuration)["calls"]
with open(calls) as file:
    for line in file:
        print(json.dumps(reply(json.loads(line))))
