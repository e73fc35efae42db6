"""What may use what: each file uses only those that stand below it, and no two use each other."""

import ast
import re
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from itertools import islice
from pathlib import Path

from beex_keras.export.mcu import single_header

ROOT = Path(__file__).parents[1]
TFLITE = ROOT / "tflite"

LAYERS = (
    {"errors", "_version"},
    {"lazy", "backend", "numpy_ops", "tensor_ops", "files", "fields", "tables"},
    {"precision", "quantizers", "exits", "pretrained", "tasks", "text"},
    {"losses", "metrics", "layers"},
    {"models"},
    {"data"},
    {"evaluation"},
    {"export"},
    {"runtime"},
    {"training"},
    {"__init__", "cli"},
)
"""Modules and folders of `beex_keras`, from the bottom up. Those of one layer may use each other, as long as
no module uses itself by way of others. `__init__` is the package itself, which gives the names of all."""

C_LAYERS = (
    {"kernels/exact.h", "kernels/kernels.h", "kernels/lce.h"},
    {"kernels/scalar.h", "kernels/simd.h", "kernels/cortexm.h"},
    {"kernels/real.inc", "kernels/binary.inc", "kernels/tiles.inc"},
    {"kernels/reference.c", "kernels/portable.c", "kernels/lce.c"},
    {"kernels/avx2.c", "kernels/avx512.c", "kernels/neon.c"},
    {"kernels/cortexm.c", "kernels/mve.c", "kernels/wasm.c"},
    {"engine/beex.h", "engine/internal.h", "engine/unicode_tables.h"},
    {"engine/dispatch.c"},
    {"engine/status.c", "engine/crc32.c", "engine/dictionary.c", "engine/elementary.c"},
    {"engine/arena.c"},
    {"engine/model.c"},
    {"engine/exits.c", "engine/tokenizer.c"},
    {"engine/engine.c"},
    {"engine/selftest.c"},
    {"engine/binding.h", "engine/binding.c"},
)
"""Files of `tflite` in the same order: of a lower layer they include files and call functions."""

Graph = dict[str, set[str]]
"""Names, and the names that each of them uses."""


def check(graph: Graph, layers: tuple[set[str], ...], part_of: Callable[[str], str]) -> None:
    """That each name's part is in one layer, uses none above it, and no name uses itself."""
    height = {part: number for number, layer in enumerate(layers) for part in layer}
    assert sum(map(len, layers)) == len(height)
    assert height.keys() == {part_of(name) for name in graph}
    upwards = [
        f"{name} uses {other}"
        for name, others in graph.items()
        for other in others
        if height[part_of(other)] > height[part_of(name)]
    ]
    assert not upwards
    TopologicalSorter(graph).prepare()  # CycleError names the circle


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
            assert not child.level, "imports give the whole name, so that they can be looked up"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not is_for_types(child):
            yield from imports(child)


def module_graph() -> Graph:
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


def test_modules_use_what_stands_below():
    check(module_graph(), LAYERS, lambda module: [*module.split("."), "__init__"][1])


# === C ===

DEFINITION = re.compile(
    r"^(?!static|typedef|extern)\w[^;{}=()]*?\b(beex_\w+)(?:\([^;{}]*\) \{| = \{)", re.MULTILINE
)


def code(name: str) -> str:
    """A C file's text without comments."""
    text = (TFLITE / name).read_text("utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def c_graph() -> Graph:
    """The files that each C file includes or has functions or tables of."""
    files = [
        f"{folder.name}/{file.name}"
        for folder in (TFLITE / "kernels", TFLITE / "engine")
        for file in folder.iterdir()
        if file.suffix in (".c", ".h", ".inc")
    ]
    home = {
        symbol: name
        for name in files
        if name.endswith(".c")
        for symbol in DEFINITION.findall(code(name))
    }
    assert {"beex_open", "beex_run", "beex_exp", "beex_kernels_mve"} <= home.keys()
    graph = {}
    for name in files:
        text = code(name)
        folder = (TFLITE / name).parent
        included = {
            (folder / path).resolve().relative_to(TFLITE).as_posix()
            for path in re.findall(r'^#include "(.+)"$', text, re.MULTILINE)
        }
        called = set()
        if name.endswith(".c"):
            words = re.findall(r"\bbeex_\w+", re.sub(r'".*?"', "", text))
            called = {home[word] for word in words if word in home}
        graph[name] = included | called - {name}
    return graph


def test_c_files_use_what_stands_below():
    check(c_graph(), C_LAYERS, str)


def test_the_single_header_is_in_order():
    """Of everything but the truth, what `micro` needs and Python's binding."""
    left_out = {"kernels/reference.c", "kernels/lce.c", "engine/binding.c"}
    sources = [{name for name in layer if name.endswith(".c")} - left_out for layer in C_LAYERS]
    parts = iter(single_header.PARTS)
    assert [set(islice(parts, len(layer))) for layer in sources] == sources
    assert not list(parts)
