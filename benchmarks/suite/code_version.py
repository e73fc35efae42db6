"""A hash of the code that decides what a training gives."""

import ast
import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

import beex_keras
from beex_keras.training import binary_minilm

PACKAGE = Path(beex_keras.__file__).parent
# What a trial's logits follow from, besides its settings and its data. Figures are computed from
# stored logits each time, so evaluation is here only as far as it chooses the best epoch.
SOURCES = (
    *("quantizers.py", "precision.py", "losses.py", "exits.py", "metrics.py", "fields.py"),
    *("numpy_ops.py", "tensor_ops.py", "value_scale.py"),
    *("layers", "models", "text", "training"),
    *(f"data/{name}.py" for name in ("task", "same_text", "numbers", "pipeline")),
    *(f"evaluation/{name}.py" for name in ("accounting", "calibration", "correlation")),
    *(
        f"evaluation/{name}.py"
        for name in ("exit_logits", "exit_loss", "newton", "scores", "temperature")
    ),
)
_LIBRARIES = ("tensorflow", "tf-keras", "tensorflow-text", "larq", "numpy")


@functools.cache
def code_version() -> str:
    """16 hexadecimal digits that change with the training code and the libraries under it.

    Comments, docstrings and layout do not count: the hash is of each module's syntax tree.
    """
    digest = hashlib.sha256()
    for source in SOURCES:
        path = PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0")
            digest.update(meaning(file.read_text("utf-8")).encode() + b"\0")
    for start in sorted(binary_minilm.FILES):
        digest.update(binary_minilm.FILES[start].read_bytes())
    for name, number in library_versions().items():
        digest.update(f"{name}=={number}\0".encode())
    return digest.hexdigest()[:16]


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a training's result depends on."""
    return {name: version(name) for name in _LIBRARIES}


def meaning(source: str) -> str:
    """Python source as a syntax tree, without what does not run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    """Whether it is a bare string: a docstring, or the description below a constant."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False
