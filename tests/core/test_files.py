"""Where a kernel is: core/NAME.c, reference/NAME.py and test_NAME.py belong together."""

import inspect
import re
from pathlib import Path

import pytest
from bitreplay_host import reference

ROOT = Path(__file__).resolve().parents[2]
KERNELS = reference.KERNELS
DEFINED = {path.stem: path.read_text() for path in (ROOT / "usermod_c" / "core").glob("*.c")}


def c_file(kernel):
    """The name of the one C file that defines a kernel."""
    (name,) = [name for name, text in DEFINED.items() if re.search(rf"^\w.*\bbr_{kernel}\(", text, re.MULTILINE)]
    return name


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_is_in_files_of_one_name(kernel):
    name = c_file(kernel)
    assert inspect.getmodule(getattr(reference, kernel)).__name__ == f"{reference.__name__}.{name}"
    assert f"def test_{kernel}(" in (Path(__file__).parent / f"test_{name}.py").read_text()


def test_no_file_of_a_kernel_is_left_over():
    """Modules of the reference that are named as C files are those that have kernels."""
    with_kernels = {c_file(kernel) for kernel in KERNELS}
    modules = {path.stem for path in Path(reference.__file__).parent.glob("*.py")}
    assert modules - {"__init__", "arguments", "convolution"} == with_kernels
