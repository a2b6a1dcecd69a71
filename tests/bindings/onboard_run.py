# Calls of run() that are right, that are wrong, and that change the lists under it. Prints what comes of each.

from array import array

from _bitreplay import head_add, head_sum, random, run


def told(what, *arguments):
    try:
        run(*arguments)
        print(what, "ok")
    except Exception as error:
        print(what, type(error).__name__)


# Arguments, results and values of each sample, and the order of calls.
order = []
said, results = ["", 0], [None] * 4
rows = [(said, 1, (5, 6, 7, 8)), (said, 0, ["a", "b", "c", "d"])]
run([(lambda text, n: order.append((text, n)), said), (len, [order], results)], rows, 4)
print(order, results)
run([(print, ("never",))], (), 0)

# Of kernels: what they return, and buffers of each sample.
rng, drawn = array("I", [7]), bytearray(6)
run(((random, (rng, 200), drawn),), (), 6)
print(list(drawn), rng[0])
x, y = memoryview(bytearray(range(12))), array("h", [0] * 4)
run([(head_add, [x, 1, 16, y])], [([x, 1, 16, y], 0, ())], 0)
one = [None, 1, 16, y]
run([(head_add, one)], [(one, 0, [x[i : i + 4] for i in (0, 4, 8)])], 3)
print(list(y))
sums = array("h", [0] * 3)
weights = array("h", [100, 200, -50])
row = [None, 16]
run([(head_sum, row, sums)], ((row, 0, [memoryview(weights)[i : i + 1] for i in range(3)]),), 3)
print(list(sums))

# What is no list of calls, or of rows, or no number of samples.
bad_calls = [5, [5], [()], [(len,)], [(len, 5)], [(len, [""], [], 5)], [(5, [])], [(len, [""], 5)], [(len, [""], b"")]]
for i, calls in enumerate(bad_calls):
    told(f"calls {i}", calls, (), 1)
bad_rows = [5, [5], [([], 0)], [([], 0, [1])], [((1,), 0, [1])], [([1], 0, [])], [([1], 0, 5)], [([1], "a", [1])]]
for rows in bad_rows + [[([1], -1, [1])], [([1], 1, [1])]]:
    told(repr(rows), [(len, [""])], rows, 1)
for n in (-1, 65537, 1 << 70, "1", None, 1.0):
    told(repr(n), [], [], n)


# What a call raises ends it; the calls before it were made.
def fail(_):
    raise KeyError("told")


seen = []
told("fails", [(seen.append, [1]), (fail, [0]), (seen.append, [2])], (), 2)
print(seen)

# Calls that change what is being run: it goes on with what is there.
calls: list = [(len, [""])]


def grow():
    if len(calls) < 50:
        calls.append((grow, []))


calls.append((grow, []))
run(calls, (), 1)
print(len(calls))


def shrink():
    del calls[1:]


calls[:] = [(shrink, []), (fail, [0]), (fail, [0])]
run(calls, (), 2)
print(len(calls))


class Values:
    """Whose values empty the list of rows while it is used."""

    def __getitem__(self, i):
        del rows[:]
        return i


arguments = [0]
rows = [(arguments, 0, Values()), (arguments, 0, [9])]
run([(seen.append, arguments)], rows, 1)
print(seen, len(rows))

# In itself: refused, as it could call itself without end; a function that does so is noticed.
told("itself", [(run, [[(seen.append, [3])], (), 2])], (), 2)


def endless():
    run([(endless, [])], (), 1)


try:
    endless()
except RuntimeError:
    print("endless is noticed")

# Calls that change their own arguments go on with those that they began with.
mine: list = [0] * 16
changed = []


def change(*given):
    mine[:] = []
    mine.extend([bytearray(100) for _ in range(50)])
    changed.append(sum(given))


mine[:] = list(range(16))
run([(change, mine)], (), 1)
print(changed, len(mine))
told("17 arguments", [(change, [0] * 17)], (), 1)
print(changed)
