"""Builds the npm package `beex-keras` and the playground, and says how large they are.

    make web

Clang compiles the engine to WebAssembly, three times: without vectors, with them and with relaxed ones. There is
no other compiler, no bundler and no download. The same sources give the same bytes.
"""

import sys

from npm_package import CODE, ROOT, VARIANTS, build, clang, zipped


def main() -> int:
    compiler = clang()
    if compiler is None:
        print("error: no Clang and lld for WebAssembly; run tools/install_web.sh.", file=sys.stderr)
        return 1
    package = build(ROOT / "build" / "web", compiler)
    files = [package / name for name in CODE]
    code = sum(map(zipped, files))
    rows = [("JavaScript", sum(file.stat().st_size for file in files), code, code)]
    for variant in VARIANTS:
        module = package / "wasm" / f"{variant}.wasm"
        small = zipped(module)
        rows.append((module.name, module.stat().st_size, small, code + small))
    print(f"{'file':14} {'bytes':>9} {'gzipped':>9} {'with code':>9}")
    for name, size, small, total in rows:
        print(f"{name:14} {size:9,} {small:9,} {total:9,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
