"""The house: no module of the host package imports itself by way of others, and subjects know nothing of commands."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import bitreplay_host
import pytest

PACKAGE = Path(bitreplay_host.__file__).parent
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def modules():
    """The source of every module, by its dotted name; onboard/ is for MicroPython."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "onboard":
            found[".".join(parts).removesuffix(".__init__").replace("__init__", "")] = path
    return found


def imports(name, path, known):
    """The modules of the package that a module imports, wherever in it."""
    package = name.split(".") if path.name == "__init__.py" and name else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            start = (node.module or "").split(".") if node.module else []
            if node.level:
                start = package[: len(package) - node.level + 1] + start
            elif start[:1] == ["bitreplay_host"]:
                start = start[1:]
            else:
                continue
            for alias in node.names:
                whole = ".".join([*start, alias.name])
                yield whole if whole in known else ".".join(start)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("bitreplay_host."):
                    yield alias.name.removeprefix("bitreplay_host.")


@pytest.fixture(scope="module")
def graph():
    known = modules()
    return {name: set(imports(name, path, known)) - {name} for name, path in known.items()}


def test_nothing_imports_in_a_circle(graph):
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_folders_do_not_import_in_a_circle_either(graph):
    folders = {}
    for name, imported in graph.items():
        folder = name.split(".")[0]
        if folder in FOLDERS:
            folders.setdefault(folder, set()).update({other.split(".")[0] for other in imported} & FOLDERS - {folder})
    try:
        list(TopologicalSorter(folders).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))
    assert {"commands", "device", "measure"} <= set(folders)


def test_only_the_command_line_imports_commands(graph):
    assert [n for n, imported in graph.items() if any(i.startswith("commands") for i in imported)
            and n.split(".")[0] not in ("commands", "cli")] == []  # fmt: skip


def test_the_graph_sees_imports(graph):
    """That is, the tests above can fail."""
    assert "device.board" in graph["device.upload"] and "errors" in graph["device.board"]
    assert "training.pretrain" in graph["commands.pretrain"]  # inside a function
