"""What the library in a wheel has to be, read from its file: no machine of the platform is needed."""

import hashlib
import os
import re
import struct
import subprocess
from pathlib import Path

import lief

ENGINE = Path(__file__).parents[2] / "tflite" / "engine"

FORMATS = {
    "manylinux": lief.ELF.Binary,
    "musllinux": lief.ELF.Binary,
    "macosx": lief.MachO.Binary,
    "win": lief.PE.Binary,
}
MACHINES = {
    "manylinux_2_17_x86_64": lief.ELF.ARCH.X86_64,
    "manylinux_2_17_aarch64": lief.ELF.ARCH.AARCH64,
    "manylinux_2_17_armv7l": lief.ELF.ARCH.ARM,
    "musllinux_1_2_x86_64": lief.ELF.ARCH.X86_64,
    "musllinux_1_2_aarch64": lief.ELF.ARCH.AARCH64,
    "macosx_11_0_arm64": lief.MachO.Header.CPU_TYPE.ARM64,
    "macosx_10_15_x86_64": lief.MachO.Header.CPU_TYPE.X86_64,
    "win_amd64": lief.PE.Header.MACHINE_TYPES.AMD64,
}

# The C library, in which every system has all that the engine calls.
LIBRARIES = {
    "manylinux": r"libc\.so\.6|libm\.so\.6",
    "musllinux": r"libc\.so",
    "macosx": r"/usr/lib/libSystem\.B\.dylib",
    "win": r"KERNEL32\.dll|api-ms-win-crt-[a-z]+-l1-1-0\.dll",
}
CALLED = re.compile(
    r"_*(mem(cpy|move|set|cmp)|bzero|str(cmp|len)|sqrtf)(_chk)?|getauxval|dyld_stub_binder"
)

LINKERS_OWN = {"_mh_dylib_header", "__dso_handle"}
"""What a linker for macOS exports by itself."""


class Unfit(Exception):
    """Why a library must not be shipped."""


def require(truth: object, reason: str) -> None:
    if not truth:
        raise Unfit(reason)


def run(*command: object, **options) -> str:
    """What a program says that has to succeed."""
    result = subprocess.run(
        [os.fspath(word) for word in command], capture_output=True, text=True, **options
    )
    said = (result.stdout + result.stderr).strip()
    require(result.returncode == 0, f"{' '.join(map(str, command[:3]))} fails: {said[-300:]}")
    return said


def interface() -> set[str]:
    """The functions that beex.h and binding.h declare."""
    headers = [(ENGINE / name).read_text("utf-8") for name in ("beex.h", "binding.h")]
    return {
        name for text in headers for name in re.findall(r"^BEEX_API\b[^(]*?(\w+)\(", text, re.M)
    }


def check(path: Path, tag: str) -> list[str]:
    """What was found of the library, in words, where all is as the wheel's tag says.

    Raises:
        Unfit: something is not.
    """
    require(path.stat().st_size, "the library is empty")
    lief.logging.disable()
    binary = lief.parse(path)
    family = tag.split("_")[0]
    require(isinstance(binary, FORMATS[family]), f"it is no library for {family}")
    machine = _machine(binary.header)
    require(machine == MACHINES[tag], f"it is for another machine ({machine})")
    exported = _exported(binary)
    missing, others = interface() - exported, exported - interface() - LINKERS_OWN
    require(not missing, f"it does not export {', '.join(sorted(missing))}")
    require(not others, f"it exports {', '.join(sorted(others))}")
    libraries = _libraries(binary)
    others = {name for name in libraries if not re.fullmatch(LIBRARIES[family], name)}
    require(not others, f"it needs {', '.join(sorted(others))}")
    return [f"{len(exported - LINKERS_OWN)} exports", *DETAILS[family](binary, tag, path)]


def _machine(header: object) -> object:
    names = ("machine_type", "cpu_type", "machine")  # of ELF, Mach-O and PE
    return next(getattr(header, name) for name in names if hasattr(header, name))


def _exported(binary: lief.Binary) -> set[str]:
    if isinstance(binary, lief.PE.Binary):
        return (
            {entry.name for entry in binary.get_export().entries} if binary.has_exports else set()
        )
    mangled = isinstance(binary, lief.MachO.Binary)
    return {symbol.name.removeprefix("_" * mangled) for symbol in binary.exported_symbols}


def _libraries(binary: lief.Binary) -> list[str]:
    if isinstance(binary, lief.MachO.Binary):
        kinds = {
            lief.MachO.LoadCommand.TYPE.LOAD_DYLIB,
            lief.MachO.LoadCommand.TYPE.LOAD_WEAK_DYLIB,
        }
        return [library.name for library in binary.libraries if library.command in kinds]
    return [getattr(library, "name", library) for library in binary.libraries]


def _calls_known_functions(binary: lief.Binary) -> None:
    names = {symbol.name.split("@")[0] for symbol in binary.imported_symbols}
    others = sorted(name for name in names if not CALLED.fullmatch(name))
    require(not others, f"it calls {', '.join(others)}")


def _elf(binary: lief.ELF.Binary, tag: str, path: Path) -> list[str]:
    _calls_known_functions(binary)
    stacks = [s for s in binary.segments if s.type == lief.ELF.Segment.TYPE.GNU_STACK]
    require(
        stacks and not any(lief.ELF.Segment.FLAGS.X in s.flags for s in stacks),
        "it asks for a stack that can be executed",
    )
    names = [v.name for r in binary.symbols_version_requirement for v in r.get_auxiliary_symbols()]
    versions = [tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in names]
    if not versions:
        return []
    newest = ".".join(map(str, max(versions)))
    require(tag.startswith("manylinux"), f"it needs glibc {newest}, and not musl")
    require(max(versions) <= tuple(map(int, tag.split("_")[1:3])), f"it needs glibc {newest}")
    return [f"needs glibc {newest}"]


def _mach_o(binary: lief.MachO.Binary, tag: str, path: Path) -> list[str]:
    _calls_known_functions(binary)
    require(binary.header.file_type == lief.MachO.Header.FILE_TYPE.DYLIB, "it is no dylib")
    build = binary.build_version
    least = ".".join(map(str, build.minos[:2]))
    require(build.platform == lief.MachO.BuildVersion.PLATFORMS.MACOS, "it is not for macOS")
    require(tag.startswith(f"macosx_{least.replace('.', '_')}_"), f"it needs macOS {least}")
    found = [f"needs macOS {least}"]
    if tag.endswith("arm64"):  # whose processors run nothing that is not signed
        require(binary.has_code_signature, "it is not signed")
        _check_signature(bytes(binary.code_signature.content), path.read_bytes())
        found.append("signed")
    return found


def _check_signature(signature: bytes, file: bytes) -> None:
    """A signature without a certificate is a SHA-256 of each page."""
    _, _, count = struct.unpack_from(">3I", signature)
    parts = dict(struct.unpack_from(">2I", signature, 12 + 8 * part) for part in range(count))
    directory = signature[parts[0] :]
    magic, _, _, _, hashes, _, _, pages, end = struct.unpack_from(">9I", directory)
    size, kind, _, page = struct.unpack_from(">4B", directory, 36)
    require((magic, size, kind) == (0xFADE0C02, 32, 2), "its signature is of another kind")
    for number in range(pages):
        start = number << page
        known = directory[hashes + size * number :][:size]
        actual = hashlib.sha256(file[start : min(start + (1 << page), end)]).digest()
        require(known == actual, f"its signature is not that of page {number}")
    require(end <= pages << page, "its signature is not of the whole file")


def _pe(binary: lief.PE.Binary, tag: str, path: Path) -> list[str]:
    kinds = binary.header.characteristics_list
    require(lief.PE.Header.CHARACTERISTICS.DLL in kinds, "it is no DLL")
    return ["needs KERNEL32 and the universal C library"]


DETAILS = {"manylinux": _elf, "musllinux": _elf, "macosx": _mach_o, "win": _pe}
