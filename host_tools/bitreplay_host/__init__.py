"""BitReplay's tools for the computer; cli.py is the command `bitreplay`."""

import os

# Before NumPy is imported: products here are small, and on a busy machine OpenBLAS's threads wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
