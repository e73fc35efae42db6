"""The npm package and the playground, made of `tflite/web`, the engine and the models that come along."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB = ROOT / "tflite" / "web"
MODELS = sorted((ROOT / "beex_keras" / "pretrained").glob("*.beex"))

FEATURES = ("bulk-memory", "sign-ext", "mutable-globals", "nontrapping-fptoint")
"""What a browser of 2021 has, which is asked of all."""

VARIANTS = {
    "plain": FEATURES,
    "simd": (*FEATURES, "simd128"),
    "relaxed": (*FEATURES, "simd128", "relaxed-simd"),
}

FLAGS = (
    *("--target=wasm32", "-mcpu=mvp", "-std=c99", "-O2", "-nostdlib"),
    *("-Wall", "-Wextra", "-Wpedantic", "-Werror"),
    *("-isystem", str(WEB / "include"), "-fvisibility=hidden", "-DBEEX_API="),
    *("-Wl,--no-entry", "-Wl,--gc-sections", "-Wl,--strip-all"),
    *("-Wl,--export=__heap_base", "-Wl,-z,stack-size=131072"),
)

CODE = ("index.js", "engine.js", "variants.js", "read.js", "errors.js")
"""What a page loads with `beex-keras`, and beside them one of the modules."""

EXAMPLES = 6
"""Sentences that the playground offers of each model."""


def clang() -> str | None:
    """The newest Clang on the path that has a linker for WebAssembly."""
    for version in range(40, 14, -1):
        if shutil.which(f"wasm-ld-{version}") and (path := shutil.which(f"clang-{version}")):
            return path
    return shutil.which("clang") if shutil.which("wasm-ld") else None


def sources() -> list[Path]:
    """The library's, which CMake has, and those of the module."""
    listed = re.findall(r"\S+\.c\b", (ROOT / "tflite" / "sources.cmake").read_text("utf-8"))
    return [*(ROOT / "tflite" / name for name in listed), *sorted(WEB.glob("*.c"))]


def compile_module(compiler: str, variant: str, target: Path) -> None:
    features = [f"-m{feature}" for feature in VARIANTS[variant]]
    subprocess.run([compiler, *FLAGS, *features, *sources(), "-o", target], check=True)


def build(folder: Path, compiler: str) -> Path:
    """The package and the playground into a folder; returns that of the package."""
    package, playground = folder / "beex-keras", folder / "playground"
    for old in (package, playground):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(WEB / "package", package)
    for name in ("LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, package)
    modules = [package / "wasm" / f"{variant}.wasm" for variant in VARIANTS]
    with ThreadPoolExecutor(len(VARIANTS)) as pool:
        list(pool.map(compile_module, repeat(compiler), VARIANTS, modules))
    for module in modules:
        module.with_suffix(".js").write_text(inlined(module.read_bytes()), "utf-8")
    for model in MODELS:
        shutil.copy(model, package / "models")
        (package / "models" / f"{model.stem}.js").write_text(entry(model), "utf-8")
    shutil.copytree(WEB / "playground", playground)
    about = json.dumps([card(model) for model in MODELS], indent=1, ensure_ascii=False)
    (playground / "models.js").write_text(f"export const MODELS = {about};\n", "utf-8")
    served = (*CODE, "wasm/*.wasm", "models/*.beex", "models/*.js", "LICENSE", "NOTICE")
    for pattern in served:
        for file in package.glob(pattern):
            target = playground / "beex-keras" / file.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return package


def inlined(module: bytes) -> str:
    text = base64.b64encode(module).decode()
    return f'export default Uint8Array.from(atob("{text}"), (c) => c.charCodeAt(0));\n'


def entry(model: Path) -> str:
    """A model's module, which a bundler takes the file along with."""
    digest = base64.b64encode(hashlib.sha384(model.read_bytes()).digest()).decode()
    return (
        f'export default new URL("./{model.name}", import.meta.url);\n'
        f'export const integrity = "sha384-{digest}";\n'
    )


def card(model: Path) -> dict:
    """What the playground says of a model. Examples are probing sentences that it answers right: those that it
    thinks about longest, and the plainest."""
    card = json.loads(model.with_suffix(".json").read_text("utf-8"))
    right = [probe for probe in card["probes"] if probe["answer"] == probe.get("label")]
    right.sort(key=lambda probe: -probe["exit"])
    examples = [probe["text"] for probe in (*right[: EXAMPLES // 2], *right[-EXAMPLES // 2 :])]
    return {
        "name": model.stem,
        "title": card["title"],
        "bytes": model.stat().st_size,
        "examples": examples,
    }


def zipped(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), 9, mtime=0))
