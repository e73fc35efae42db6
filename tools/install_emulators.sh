#!/bin/sh
# Installs compilers, emulators and a browser that some tests need, where it may: as root, by apt-get. It
# does nothing where all is there. It never fails: tests that lack a tool are left out, and one line
# says which and how to have them.

# Tests, the tools that they need, and the packages that these are in.
set -- \
    "tests/test_firmware.py" \
        "arm-none-eabi-gcc qemu-system-arm" \
        "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm" \
    "tests/test_c.py of aarch64" \
        "aarch64-linux-gnu-gcc qemu-aarch64" \
        "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" \
    "tests/test_wheels.py of 32-bit Arm and musl" \
        "qemu-arm /usr/arm-linux-gnueabihf/lib/ld-linux-armhf.so.3 /lib/ld-musl-x86_64.so.1" \
        "qemu-user libc6-armhf-cross musl" \
    "tests/test_exactness.py of 32-bit Arm" \
        "arm-linux-gnueabihf-gcc qemu-arm" \
        "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user" \
    "tests/test_exactness.py of RISC-V" \
        "riscv64-unknown-elf-gcc qemu-system-riscv32" \
        "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-riscv" \
    "tests/test_c_library.py of CMake" \
        "cmake pkg-config" \
        "cmake make pkgconf" \
    "tests/test_c.py of Clang" \
        "clang" \
        "clang libclang-rt-dev" \
    "tests/test_benchmark_run.py of the page in a browser" \
        "chromium chromedriver" \
        "chromium chromium-driver"

has_all() {
    for tool in $1; do command -v "$tool" >/dev/null || return 1; done
}

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "installing $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    options="-y -qq --no-install-recommends -o Acquire::Retries=1 -o Acquire::http::Timeout=20"
    # shellcheck disable=SC2086 # words
    timeout 900 apt-get install $options "$@" >/dev/null 2>&1 || {
        timeout 300 apt-get update -qq >/dev/null 2>&1
        timeout 900 apt-get install $options "$@" >/dev/null 2>&1
    }
}

while [ $# -gt 0 ]; do
    tests=$1 tools=$2 packages=$3
    shift 3
    # shellcheck disable=SC2086 # words
    has_all "$tools" || install $packages ||
        echo "left out: $tests; to run them: apt-get install --no-install-recommends $packages" >&2
done
exit 0
