# BEEX_SOURCES: what the library is made of, from the bottom up. All CMake builds read it.
set(BEEX_SOURCES
    kernels/portable.c
    kernels/avx2.c
    kernels/avx512.c
    kernels/neon.c
    kernels/cortexm.c
    kernels/mve.c
    kernels/wasm.c
    engine/dispatch.c
    engine/status.c
    engine/crc32.c
    engine/dictionary.c
    engine/elementary.c
    engine/arena.c
    engine/model.c
    engine/exits.c
    engine/tokenizer.c
    engine/engine.c
    engine/selftest.c)
list(TRANSFORM BEEX_SOURCES PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
