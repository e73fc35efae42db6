"""libbeex_jni.so for Android's processors, without an NDK: by Clang, lld and headers of our own."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lief

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TFLITE = ROOT / "tflite"
CPP = TFLITE / "android" / "beex" / "src" / "main" / "cpp"

PAGE = 16384
"""Bytes of a page on newer devices, to which the store wants segments to be aligned."""

TARGETS = {
    "arm64-v8a": ("aarch64-linux-android24", lief.ELF.ARCH.AARCH64),
    "armeabi-v7a": ("armv7a-linux-androideabi24", lief.ELF.ARCH.ARM),
    "x86_64": ("x86_64-linux-android24", lief.ELF.ARCH.X86_64),
}
"""Android's names of the processors, Clang's, and those in a file."""

FLAGS = (
    *("-std=c99", "-O3", "-fPIC", "-fvisibility=hidden", "-DBEEX_API="),
    *("-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra", "-Werror"),
)
LIBC = re.compile(
    r"mem(cpy|move|set|cmp|chr)|str(len|cmp)|malloc|calloc|free|getauxval|__aeabi_mem\w+"
)
LIBM = re.compile(r"sqrtf")


class Unfit(Exception):
    """Why a library must not be shipped."""


def newest(name: str) -> str:
    """A program on the path; Debian's has its version in its name."""
    names = [*(f"{name}-{version}" for version in range(40, 14, -1)), name]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise Unfit(f"there is no {name}; tools/android/install.sh installs it")
    return found


def java_home() -> Path:
    """The folder of the Java compiler on the path."""
    compiler = shutil.which("javac")
    if compiler is None:
        raise Unfit("there is no javac; tools/android/install.sh installs it")
    return Path(compiler).resolve().parents[1]


def run(*command: object) -> None:
    result = subprocess.run([os.fspath(word) for word in command], capture_output=True, text=True)
    if result.returncode:
        shown = (result.stderr or result.stdout)[-2000:]
        raise Unfit(f"{' '.join(map(str, command[:3]))} fails: {shown}")


def sources(abi: str) -> Iterator[Path]:
    """Those of the CMake builds, the functions for Java, and what the NDK's own libraries would add."""
    listed = (TFLITE / "sources.cmake").read_text("utf-8")
    yield from (TFLITE / name for name in re.findall(r"\S+\.c\b", listed))
    yield CPP / "beex_jni.c"
    if abi == "armeabi-v7a":
        yield HERE / "division.c"


def build(abi: str, folder: Path) -> Path:
    """The library for a processor, checked.

    Raises:
        Unfit: it does not compile, or a check refuses it.
    """
    target = f"--target={TARGETS[abi][0]}"
    java = java_home() / "include"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    headers = [HERE / "include", java, java / "linux"]
    words = [newest("clang"), target, *FLAGS, "-nostdlibinc", f"-I{TFLITE / 'engine'}"]
    words += [word for header in headers for word in ("-isystem", header)]

    def compiled(source: Path) -> Path:
        run(*words, "-c", source, "-o", folder / f"{source.stem}.o")
        return folder / f"{source.stem}.o"

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources(abi)))
    # Libraries with the names of Android's, so that this one asks for them.
    link = [newest("clang"), target, f"-fuse-ld={newest('ld.lld')}", "-nostdlib", "-shared"]
    for name in ("libc.so", "libm.so"):
        run(*link, f"-Wl,-soname,{name}", "-xc", os.devnull, "-o", folder / name)
    library = folder / "libbeex_jni.so"
    linking = [
        "-Wl,-soname,libbeex_jni.so",
        "-Wl,--gc-sections",
        "-Wl,-z,relro",
        "-Wl,-z,now",
        "-s",
    ]
    linking += [f"-Wl,-z,max-page-size={PAGE}", f"-Wl,--version-script={CPP / 'exports.map'}"]
    libraries = ["-Wl,--no-as-needed", folder / "libc.so", folder / "libm.so"]
    run(*link, *linking, *objects, *libraries, "-o", library)
    check(library, abi)
    return library


def check(library: Path, abi: str) -> None:
    """Raises `Unfit` unless Android's linker will take the library for that processor."""
    binary = lief.parse(library)
    if binary.header.machine_type != TARGETS[abi][1]:
        raise Unfit(f"{abi}: it is for another machine")
    for segment in binary.segments:
        if segment.type == lief.ELF.Segment.TYPE.LOAD and (
            segment.alignment % PAGE or (segment.virtual_address - segment.file_offset) % PAGE
        ):
            raise Unfit(f"{abi}: a segment is not aligned to {PAGE} bytes")
        if segment.type == lief.ELF.Segment.TYPE.GNU_STACK and (
            lief.ELF.Segment.FLAGS.X in segment.flags
        ):
            raise Unfit(f"{abi}: it asks for a stack that can be executed")
    if others := set(binary.libraries) - {"libc.so", "libm.so"}:
        raise Unfit(f"{abi}: it needs {', '.join(others)}")
    imported = {symbol.name for symbol in binary.imported_symbols if symbol.name}
    if others := {n for n in imported if not LIBC.fullmatch(n) and not LIBM.fullmatch(n)}:
        raise Unfit(f"{abi}: it calls {', '.join(sorted(others))}")
    exported = {symbol.name for symbol in binary.exported_symbols}
    if exported != functions():
        raise Unfit(f"{abi}: it exports {', '.join(sorted(exported ^ functions()))}, or lacks them")


def functions() -> set[str]:
    """The functions that Native.java declares, by their names in C."""
    text = (CPP.parent / "java" / "org" / "beexkeras" / "Native.java").read_text("utf-8")
    names = re.findall(r"static native \S+ (\w+)\(", text)
    return {f"Java_org_beexkeras_Native_{name}" for name in names}
