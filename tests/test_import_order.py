"""What may use what: each file uses only those that stand below it, and no two use each other."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from beex_keras.export import amalgamate

ROOT = Path(__file__).parents[1]

LAYERS = (
    {"errors", "_version"},
    {"files", "tables"},
    {"quantizers", "exits", "pretrained", "text"},
    {"losses", "metrics", "layers"},
    {"models"},
    {"data"},
    {"evaluation"},
    {"training", "export"},
    {"runtime"},
    {"starts", "demo"},
    {"benchmark"},
    {"__init__", "cli"},
)
"""Modules and folders of `beex_keras`, from the bottom up. Those of one layer may use each other, as long as
no module uses itself by way of others. `__init__` is the package itself, which gives the names of all."""

C_FILES = (
    "kernels/exact.h",
    "kernels/kernels.h",
    "kernels/lce.h",
    "kernels/lce.c",
    "kernels/real.inc",
    "kernels/scalar.h",
    "kernels/reference.c",
    "kernels/portable.c",
    "kernels/simd.h",
    "kernels/binary.inc",
    "kernels/tiles.inc",
    "kernels/avx2.c",
    "kernels/avx512.c",
    "kernels/neon.c",
    "kernels/cortexm.h",
    "kernels/cortexm.c",
    "kernels/mve.c",
    "engine/beex.h",
    "engine/internal.h",
    "engine/dispatch.c",
    "engine/status.c",
    "engine/crc32.c",
    "engine/dictionary.c",
    "engine/elementary.c",
    "engine/arena.c",
    "engine/model.c",
    "engine/exits.c",
    "engine/unicode_tables.h",
    "engine/tokenizer.c",
    "engine/engine.c",
    "engine/selftest.c",
    "engine/binding.h",
    "engine/binding.c",
)
"""Of `tflite`, from the bottom up: each includes, and calls functions of, those before it alone."""


# === Python ===


def is_for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`, whose imports never happen."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node: ast.AST) -> Iterator[str]:
    """Names that a module imports, those inside functions included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not is_for_types(child):
            yield from imports(child)


def module_graph() -> dict[str, set[str]]:
    """The modules of the package that each of them imports."""
    files = {}
    for file in (ROOT / "beex_keras").rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file

    def module_of(name: str) -> str:
        return name if name in files else name.rpartition(".")[0]

    return {
        module: {module_of(name) for name in imports(ast.parse(file.read_text("utf-8")))}
        & files.keys()
        for module, file in files.items()
    }


def part_of(module: str) -> str:
    """The module or folder of the package that has it."""
    return [*module.split("."), "__init__"][1]


def test_every_module_is_in_one_layer():
    listed = [name for layer in LAYERS for name in layer]
    assert sorted(listed) == sorted({part_of(module) for module in module_graph()})


def test_no_import_points_up():
    height = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    upwards = [
        f"{module} imports {other}"
        for module, others in module_graph().items()
        for other in others
        if height[part_of(other)] > height[part_of(module)]
    ]
    assert not upwards


def test_no_module_imports_itself_by_way_of_others():
    TopologicalSorter(module_graph()).prepare()  # CycleError names the circle


# === C ===

DEFINITION = re.compile(
    r"^(?!static|typedef|extern)\w[^;{}=()]*?\b(beex_\w+)(?:\([^;{}]*\) \{| = \{)", re.MULTILINE
)


def code(name: str) -> str:
    """A C file's text without comments."""
    text = (ROOT / "tflite" / name).read_text("utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def c_graph() -> dict[str, set[str]]:
    """The files that each C file includes or has functions or tables of."""
    home = {
        symbol: name
        for name in C_FILES
        if name.endswith(".c")
        for symbol in DEFINITION.findall(code(name))
    }
    assert {"beex_open", "beex_run", "beex_exp", "beex_kernels_mve"} <= home.keys()
    graph = {}
    for name in C_FILES:
        text = code(name)
        folder = ROOT / "tflite" / name.partition("/")[0]
        included = {
            (folder / path).resolve().relative_to(ROOT / "tflite").as_posix()
            for path in re.findall(r'^#include "(.+)"$', text, re.MULTILINE)
        }
        called = set()
        if name.endswith(".c"):
            words = re.findall(r"\bbeex_\w+", re.sub(r'".*?"', "", text))
            called = {home[word] for word in words if word in home}
        graph[name] = included | called - {name}
    return graph


def test_every_c_file_has_its_place():
    found = [
        f"{folder}/{file.name}"
        for folder in ("kernels", "engine")
        for file in (ROOT / "tflite" / folder).iterdir()
        if file.suffix in (".c", ".h", ".inc")
    ]
    assert sorted(found) == sorted(C_FILES)


def test_no_c_file_uses_one_above_it():
    place = {name: number for number, name in enumerate(C_FILES)}
    upwards = [
        f"{name} uses {other}"
        for name, others in c_graph().items()
        for other in others
        if place[other] > place[name]
    ]
    assert not upwards


def test_the_single_header_has_the_same_order():
    left_out = {"kernels/reference.c", "kernels/lce.c", "engine/binding.c"}
    sources = [name for name in C_FILES if name.endswith(".c") and name not in left_out]
    assert sources == list(amalgamate.PARTS)
    assert list(amalgamate.SHARED) == [name for name in C_FILES if name in amalgamate.SHARED]
