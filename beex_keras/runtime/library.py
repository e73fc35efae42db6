"""The C engine's shared library, by ctypes."""

import ctypes
import sys
from functools import cache
from itertools import takewhile
from pathlib import Path

from beex_keras.errors import BeexError

# The statuses of tflite/engine/beex.h that callers tell apart.
OK, PLATFORM = 0, 5

SELF_TEST_SIZE = 10240
"""BEEX_SELF_TEST_SIZE of tflite/engine/beex.h."""

_size, _pointer, _int, _text = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_status, _word = _int, ctypes.c_uint32
_SIGNATURES = {
    "beex_status_message": (_text, [_status]),
    "beex_model_bytes": (_size, []),
    "beex_engine_bytes": (_size, []),
    "beex_open": (_status, [_pointer, _pointer, _size]),
    "beex_arena_size": (_size, [_pointer]),
    "beex_best_arena_size": (_size, [_pointer]),
    "beex_start_named": (_status, [_pointer, _pointer, _pointer, _size, _text]),
    "beex_engine_kernels": (_text, [_pointer]),
    "beex_compiler": (_text, []),
    "beex_available_kernels": (ctypes.POINTER(_pointer), []),
    "beex_kernels_name": (_text, [_pointer]),
    "beex_self_test": (_status, [_pointer, _pointer, _size]),
    "beex_run_rows": (_status, [*2 * [_pointer], *2 * [_size], *4 * [_pointer]]),
    "beex_encode_texts": (_status, [*5 * [_pointer], _size, *3 * [_pointer]]),
}


class Policy(ctypes.Structure):
    """`beex_policy` of tflite/engine/beex.h."""

    _fields_ = [("kind", _word), ("below", _word), ("threshold", ctypes.c_float)]


def path() -> Path:
    """Where the library stands, if it was built."""
    suffix = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
    return Path(__file__).with_name(f"_engine{suffix}")


@cache
def load() -> ctypes.CDLL:
    """The library, built when the package was installed. Its calls let other threads run.

    Raises:
        BeexError: it was not built, for want of a C compiler, or does not load here.
    """
    file = path()
    if not file.is_file():
        raise BeexError(
            "The C engine was not built when beex-keras was installed, most likely for want of a C "
            "compiler; install the wheel for this platform, or a compiler (gcc or clang) and then "
            "beex-keras again (in a checkout: `pip install -e .`)."
        )
    try:
        library = ctypes.CDLL(str(file))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        fix = "install beex-keras again (in a checkout: `pip install -e .`)"
        raise BeexError(f"The C engine at {file} does not load ({error}); {fix}.") from None
    return library


def self_test() -> dict[str, str]:
    """What the library's self-test says of each implementation of the kernels, slowest first.

    Returns:
        "passed" for each name, or the sentence that says what is wrong: its bits are not those that
        the engine is defined to give.

    Raises:
        BeexError: as `load`.

    Example:
        >>> from beex_keras.runtime import library
        >>> library.self_test()["portable"]
        'passed'
    """
    engine = load()
    memory = (ctypes.c_uint64 * (SELF_TEST_SIZE // 8))()
    results = {}
    for kernels in takewhile(bool, engine.beex_available_kernels()):  # up to a null pointer
        status = engine.beex_self_test(kernels, memory, ctypes.sizeof(memory))
        message = "passed" if status == OK else engine.beex_status_message(status).decode()
        results[engine.beex_kernels_name(kernels).decode()] = message
    return results
