#!/bin/sh
# Runs tests, all by default, and prints the share of lines that they reach: of beex_keras by coverage.py,
# in every process that they start; of the C code in tflite/ by gcov, in every program that they compile
# for this machine. Left out are binding.c, since a process that ends without its exit handlers writes no
# counts, and tflite/micro, whose objects are gone when a test ends. It needs gcc.
#
#     tools/coverage.sh .venv/bin [pytest arguments, such as -m "not slow"]
set -eu
bin=$(cd "$1" && pwd)
shift
root=$(pwd)
work=$root/build/coverage
rm -rf "$work"
mkdir -p "$work/bin" "$work/data"

# The names under which tests find a compiler here, each with the flag that counts lines.
for name in cc gcc c++ g++; do
    compiler=$(command -v "$name")
    printf '#!/bin/sh\nexec %s "$@" --coverage -fprofile-update=atomic\n' "$compiler" >"$work/bin/$name"
    chmod +x "$work/bin/$name"
done
export PATH="$work/bin:$PATH"

cat >"$work/rc" <<END
[run]
source = beex_keras
parallel = true
concurrency = thread, multiprocessing
patch = subprocess
sigterm = true
data_file = $work/data/python
END

# The engine that Python loads, counted too, and as it was behind the tests.
CFLAGS="--coverage -fprofile-update=atomic" \
    "$bin/python" setup.py -q build_ext --inplace --force --build-temp "$work/engine"
trap '"$bin/python" setup.py -q build_ext --inplace --force; rm -f "$root"/*.gcno' EXIT

# A failure does not end this. Two tests look at what objects need and export: counters are among it.
"$bin/python" -m pytest -q -n 2 --dist loadfile --basetemp="$work/tests" \
    --deselect tests/test_c.py::test_a_shared_build_exports_the_interface_alone \
    --deselect tests/test_micro.py::test_the_ops_need_no_library_of_cpp \
    --cov --cov-config="$work/rc" --cov-report= "$@" || status=$?

"$bin/coverage" report --rcfile="$work/rc" --skip-covered | tail -n 60
"$bin/gcovr" --root "$root" --filter "$root/tflite/" --exclude "$root/tflite/tests/" \
    --exclude "$root/tflite/engine/binding.c" \
    --gcov-ignore-parse-errors --merge-mode-functions=separate "$work"
exit "${status:-0}"
