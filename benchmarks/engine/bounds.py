"""Bounds of this machine, for a roofline: see bounds.c."""

import ctypes
import functools
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from measure import Work

# Multiply-accumulates of one pass of each loop.
_PRODUCTS = {
    "avx2_binary": 3072,
    "avx2_real": 64,
    "avx2_int8": 256,
    "avx512_binary": 4096,
    "avx512_real": 128,
    "avx512_int8": 512,
    "avx512vbmi_int8": 1536,
}
_PASSES = 20000


@functools.cache
def _library() -> Any:
    """The probes, compiled on the spot."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bounds.so"
        source = Path(__file__).with_name("bounds.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", target], check=True)
        return ctypes.CDLL(str(target))


def compute_bound(kernel: str) -> tuple[Work, int] | None:
    """Work that does nothing but the products of a kernel, such as "avx2 binary", and how many it does;
    None for kernels without a probe."""
    name = kernel.replace(" ", "_")
    name = name if name in _PRODUCTS else name.replace("vbmi", "")
    if name not in _PRODUCTS or platform.machine() != "x86_64":
        return None
    function = getattr(_library(), name)
    function.argtypes, function.restype = [ctypes.c_size_t], None
    return (lambda: function(_PASSES)), _PASSES * _PRODUCTS[name]


def memory_bound(size: int) -> tuple[Work, int] | None:
    """Work that loads about `size` bytes again and again, and the bytes it loads in all."""
    if platform.machine() != "x86_64":
        return None
    size = -(-size // 256) * 256
    data = ctypes.create_string_buffer(size)
    function = _library().load
    function.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
    function.restype = None
    passes = 1 + 2**24 // size
    return (lambda: function(passes, data, size)), passes * size
