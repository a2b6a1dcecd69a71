// What board.js runs on the board: Python with names of its own, which gets `values` and, as `there`, the
// names of the board's user, and prints JSON.

// Ends what was cut short before.
export const REMOVE = `
import json, os
path = values["path"]
try:
    there.pop("_f").close()
except Exception:
    pass
try:
    os.remove(path)
except OSError:
    pass
print("null")
`;

export const FREE = `${REMOVE}
stat = os.statvfs(path.rpartition("/")[0] or ("/" if path[0] == "/" else os.getcwd()))
print(json.dumps(stat[0] * stat[3]))
`;

export const SIZE = `
import json, os
try:
    found = os.stat(values["path"])
    print(json.dumps(None if found[0] & 0x4000 else found[6]))
except OSError:
    print("null")
`;

const SHA256 = `
import binascii, hashlib, json, os
def sha256(path):
    sha, buffer = hashlib.sha256(), memoryview(bytearray(1024))
    with open(path, "rb") as file:
        while True:
            n = file.readinto(buffer)
            if not n:
                return binascii.hexlify(sha.digest()).decode()
            sha.update(buffer[:n])
`;

export const DIGEST = `${SHA256}
print(json.dumps(sha256(values["path"])))
`;

// What lies in files may be half of a native module, from whose import MicroPython never returns: the package itself is
// what an installation puts there last.
export const LOOK = `${SHA256}
import sys
architectures = {2: "x64", 4: "armv6m", 5: "armv6m", 6: "armv6m", 7: "armv7emsp", 8: "armv7emsp"}
architectures.update({10: "xtensawin", 11: "rv32imc"}) # as host_tools/bitreplay_host/device/install.py has them
mp = sys.implementation
mpy = getattr(mp, "_mpy", 0)
path = sys.path[:]
sys.path[:] = [".frozen"]
try:
    import _bitreplay
    frozen = True
except ImportError:
    frozen = False
sys.path[:] = path
try:
    from bitreplay import __version__ as version, Learner
except Exception:
    version = None
def files(folder):
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    for name in names:
        if name.endswith(".safetensors"):
            file = folder.rstrip("/") + "/" + name
            yield {"path": file, "bytes": os.stat(file)[6], "sha256": sha256(file)}
home = os.getcwd()
stat = os.statvfs(home)
print(json.dumps({
    "machine": mp._machine,
    "version": ".".join([str(n) for n in mp.version[:3]]),
    "abi": "%d.%d" % (mpy & 0xFF, mpy >> 8 & 3),
    "architecture": architectures.get(mpy >> 10 & 0xF),
    "bitreplay": version,
    "frozen": frozen,
    "free": stat[0] * stat[3],
    "files": list(files("/rom")) + list(files(home)),
}))
`;

export const EXISTS = `
import json, os
try:
    os.stat(values["path"])
    print("true")
except OSError:
    print("false")
`;

export const LOADED = `
import gc, json
gc.collect()
print(json.dumps({"digest": there["me"].digest(), "free": gc.mem_free()}))
`;

const HAS = `
import json, sys
me = there.get("me")
# A package whose import failed is among the modules, too.
has = isinstance(me, getattr(sys.modules.get("bitreplay"), "Learner", ()))
`;

export const HAS_LEARNER = `${HAS}
print(json.dumps(has))
`;

export const SAVE = `${HAS}
if has:
    me.save(values["path"])
print(json.dumps(me.digest() if has else None))
`;

export const PREDICT = `
import json
print(json.dumps(there["me"].predict(there["_image"])))
`;

// The partition for ROMFS, if there is one; what is in it and is not mounted has no names, but is not to be lost.
export const ROM = `
import json, os
try:
    import vfs
    part = vfs.rom_ioctl(2, 0)
    block = part.ioctl(5, 0)
except (ImportError, AttributeError, OSError):
    part = None
if part is None:
    print("null")
else:
    names = []
    if bytes(memoryview(part)[:3]) == bytes([0xD2, 0xCD, 0x31]):
        try:
            names = os.listdir("/rom")
        except OSError:
            names = ["a filesystem that is not mounted"]
    print(json.dumps({"block": block, "bytes": block * part.ioctl(4, 0), "names": names}))
`;

export const OPEN_ROM = `
import vfs
from binascii import a2b_base64 as _a
try:
    vfs.umount("/rom")
except OSError:
    pass
_p = vfs.rom_ioctl(2, 0)
_p.ioctl(6, 0)
`;

// Makes place for a package in the folder of packages: removes what an installation before this put there and no more,
// as host_tools/bitreplay_host/device/install.py does.
export const PREPARE = `
import json, os, sys
def kind(path):
    try:
        return "folder" if os.stat(path)[0] & 0x4000 else "file"
    except OSError:
        return None
def first(path):
    with open(path, "rb") as file:
        return file.read(1)
def recorded(path):
    if kind(path) != "file":
        return set()
    with open(path) as file:
        lines = file.read().split("\\n")
    if lines[0].strip() != values["mark"]:
        return set()
    ours = [n for n in lines if n.startswith("bitreplay/") and n.count("/") == 1 and n.endswith(".mpy")]
    return set(ours + ["_bitreplay.mpy", values["record"]])
def prepare(lib):
    names, new = values["names"], values["new"]
    for folder in (lib, lib + "/bitreplay"):
        if kind(folder) == "file":
            return folder + " is on the board and is not a folder: rename it, and repeat this."
        if kind(folder) is None:
            os.mkdir(folder)
    for name in names:
        source = lib + "/" + name[:-4] + ".py"
        if kind(source):
            return source + " is on the board and would be imported instead of " + name + ": move it, and repeat this."
    listed = recorded(lib + "/" + values["record"])
    every = names + [values["record"]]
    ours = listed | set(every) | set([name + new for name in every])
    old, size = [], 0
    for name in sorted(ours, key=lambda name: "__init__" not in name):
        path = lib + "/" + name
        if kind(path) is None:
            continue
        known = name in listed or name.endswith(new)
        if kind(path) == "folder" or not known and not (name.endswith(".mpy") and first(path) == b"M"):
            return path + " is on the board and does not belong to BitReplay: rename it, and repeat this."
        old.append(path)
        size += os.stat(path)[6]
    stat = os.statvfs(lib)
    free = stat[0] * stat[3] + size
    if free < values["bytes"]:
        text = "BitReplay needs %d bytes of files, and %d are free on the board: remove files there."
        return text % (values["bytes"], free)
    for path in old:
        if not path.endswith(values["record"]):
            os.remove(path)
libs = [path for path in sys.path if path.endswith("/lib") and not path.startswith("/rom")]
if libs:
    print(json.dumps({"lib": libs[0], "error": prepare(libs[0])}))
else:
    print(json.dumps({"error": "The board has no folder for packages in sys.path: add one in its boot.py."}))
`;

export const IMPORTED = `
import json
import _bitreplay, bitreplay
files = [getattr(m, "__file__", None) or m.__path__ for m in (bitreplay, _bitreplay)]
print(json.dumps({"version": bitreplay.__version__, "files": files}))
`;
