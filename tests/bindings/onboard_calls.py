# Runs in MicroPython: makes the calls that a JSON file describes and prints a reply for each, a line of JSON.
#
# A call is {"kernel": name, "arguments": [...]}, an argument one of
#   {"python": expression}                          anything; `buffers` is the list of the arguments before it
#   {"hex": content, "type": "bytes"}               a buffer of type bytes, bytearray, Sub, or array of a typecode
#   {"hex": content, "offset": n}                   a memoryview of a bytearray from n on, with margins around it
#   {"block": n, "size": bytes, "hex": content}     a memoryview of the call's one block from n on; hex is optional
#   any of them with "readonly": true               a memoryview of bytes
# A reply is {"result", "error": [type, message] or null, "buffers": [content or null], "intact": whether the margins
# are what they were, "written": whether any buffer is not}.

import binascii
import json
import sys
from array import array

import _bitreplay

MARGIN = b"\xa5" * 64


class Sub(bytearray):
    pass


class Int:
    """Would be an integer to MicroPython; asked, it lets a buffer shrink and move."""

    def __init__(self, value, buffer):
        self.value, self.buffer = value, buffer

    def __int__(self):
        self.buffer.extend(bytes(100000))
        return self.value


def make(spec, block, buffers, margins):
    if "python" in spec:
        return eval(spec["python"], {"buffers": buffers, "Int": Int, "array": array})
    content = binascii.unhexlify(spec.get("hex", ""))
    if spec.get("readonly"):
        return memoryview(content)
    if "block" in spec:
        view = memoryview(block)[spec["block"] : spec["block"] + spec["size"]]
        if content:
            view[:] = content
        return view
    if "offset" in spec:
        start = len(MARGIN) + spec["offset"]
        whole = bytearray(MARGIN + MARGIN[: spec["offset"]] + content + MARGIN)
        margins.append((whole, start, start + len(content)))
        return memoryview(whole)[start : start + len(content)]
    kind = spec["type"]
    types = {"bytes": bytes, "bytearray": bytearray, "Sub": Sub}
    return types[kind](content) if kind in types else array(kind, content)


def text(argument):
    try:
        return binascii.hexlify(argument).decode()
    except TypeError:
        return None


def reply(call):
    arguments, margins, block = [], [], bytearray(1 << 16)
    for spec in call["arguments"]:
        arguments.append(make(spec, block, arguments, margins))
    answer = {"result": None, "error": None, "intact": True}
    before = [text(argument) for argument in arguments]
    try:
        answer["result"] = getattr(_bitreplay, call["kernel"])(*arguments)
    except Exception as error:
        answer["error"] = [type(error).__name__, str(error)]
    answer["buffers"] = [text(argument) for argument in arguments]
    answer["written"] = answer["buffers"] != before
    for whole, start, end in margins:
        for i in list(range(start)) + list(range(end, len(whole))):
            if whole[i] != MARGIN[0]:
                answer["intact"] = False
    return answer


with open(sys.argv[1]) as file:
    for call in json.load(file):
        print(json.dumps(reply(call)))
