#!/bin/sh
# Installs what `make web` and tests/test_web*.py need, where it may: compilers, Node and a browser, as root by
# apt-get, and TypeScript, Vite, Deno and Bun by npm into build/web-tools. It does nothing where all is there. It never
# fails: tests that lack a tool are left out, and one line says which and how to have them.
cd "$(dirname "$0")/.." || exit 0

packages="clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 nodejs npm chromium chromium-driver"
modules="typescript@7.0.2 vite@8.3.8 deno@2.9.6 bun@1.4.5"

has_all() {
    for tool in clang-19 wasm-ld-19 node npm chromium chromedriver; do
        command -v "$tool" >/dev/null || return 1
    done
    [ -d /usr/lib/wasm32-wasi ]
}

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "installing $packages" >&2
    export DEBIAN_FRONTEND=noninteractive
    options="-y -qq --no-install-recommends -o Acquire::Retries=1 -o Acquire::http::Timeout=20"
    options="$options -o DPkg::Lock::Timeout=300"
    # shellcheck disable=SC2086 # words
    timeout 900 apt-get install $options $packages >/dev/null 2>&1 || {
        timeout 300 apt-get update -qq >/dev/null 2>&1
        timeout 900 apt-get install $options $packages >/dev/null 2>&1
    }
}

has_all || install ||
    echo "left out: tests/test_web*.py; to run it: apt-get install --no-install-recommends $packages" >&2

[ "$(cat build/web-tools/.complete 2>/dev/null)" = "$modules" ] || {
    mkdir -p build/web-tools
    # shellcheck disable=SC2086 # words
    timeout 600 npm install --silent --no-audit --no-fund --prefix build/web-tools $modules >/dev/null 2>&1 &&
        echo "$modules" >build/web-tools/.complete
} || echo "left out: TypeScript, Vite, Deno and Bun in tests/test_web*.py; npm did not install $modules" >&2
exit 0
