#!/bin/sh
# Fuzzes the C engine by libFuzzer, and compares its kernels on random models.
#
#     tools/fuzz.sh [MINUTES [MODELS]]
#
# MINUTES is how long it fuzzes both targets, side by side; 10 by default. MODELS is how many models it compares; 1000
# by default. It prints executions, findings and the lines of the engine that were reached. Corpus and findings stay in
# build/fuzz; the next run goes on from there, and tries the findings first. CLANG names the compiler.
set -eu
cd "$(dirname "$0")/.."
seconds=$(awk -v minutes="${1:-10}" 'BEGIN { print int(60 * minutes) }')
if [ "$seconds" -lt 1 ]; then # libFuzzer would never end
    echo "error: MINUTES is '$1'; give a number such as 10 or 0.5." >&2
    exit 2
fi
models=${2:-1000}
folder=build/fuzz

if [ -z "${CLANG:-}" ]; then
    for name in clang-22 clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang; do
        if echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
            "$name" -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null; then
            CLANG=$name
            break
        fi
    done
fi
if [ -z "${CLANG:-}" ]; then
    echo "error: no clang with libFuzzer and the sanitizers was found; name one by CLANG=..." >&2
    exit 2
fi
profdata=$("$CLANG" -print-prog-name=llvm-profdata)
cov=$("$CLANG" -print-prog-name=llvm-cov)
flags="-std=c99 -Wall -Wextra -Wpedantic -Werror"
sanitize="-g -O1 -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
coverage="-fprofile-instr-generate -fcoverage-mapping"

rm -rf "$folder/objects"
mkdir -p "$folder/objects" "$folder/model" "$folder/text" "$folder/findings"
for target in model text; do
    find "$folder/findings" -name "$target-*" -exec mv {} "$folder/$target" \;
done

# SUFFIX FLAGS...: objects of kernels and engine, as many at a time as there are processors.
compile() {
    suffix=$1
    shift
    for source in tflite/kernels/*.c tflite/engine/*.c; do
        echo "$source -o $folder/objects/$(basename "$source" .c).$suffix"
    done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -L 1 "$CLANG" $flags "$@" -c
}

compile fast -O2
compile checked $sanitize $coverage -fsanitize=fuzzer-no-link
"$CLANG" $flags -O2 tflite/tests/differential_test.c "$folder"/objects/*.fast -lm -o "$folder/differential"
for target in model text; do
    "$CLANG" $flags $sanitize $coverage -fsanitize=fuzzer "tflite/tests/fuzz_$target.c" \
        "$folder"/objects/*.checked -lm -o "$folder/fuzz_$target"
done

"$folder/differential" $models || status=1
"$folder/differential" -w "$folder/model" 100
pids=
for target in model text; do
    LLVM_PROFILE_FILE="$folder/$target.profraw" "$folder/fuzz_$target" -max_total_time="$seconds" \
        -max_len="$([ $target = model ] && echo 65536 || echo 1024)" -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$folder/findings/$target-" "$folder/$target" >"$folder/$target.log" 2>&1 &
    pids="$pids $!"
done
trap 'kill $pids 2>/dev/null' INT TERM
for pid in $pids; do wait "$pid" || status=1; done

for target in model text; do
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$target.log")
    findings=$(find "$folder/findings" -name "$target-*" | wc -l)
    echo "$target: ${executions:-no} executions, $findings findings"
    grep -E '^FAIL|runtime error|^SUMMARY' "$folder/$target.log" || true
done
"$profdata" merge -o "$folder/all.profdata" "$folder"/*.profraw
"$cov" report "$folder/fuzz_model" -object "$folder/fuzz_text" -instr-profile="$folder/all.profdata" \
    tflite/engine/engine.c tflite/engine/arena.c tflite/engine/model.c tflite/engine/exits.c tflite/engine/elementary.c tflite/engine/tokenizer.c \
    tflite/engine/dictionary.c tflite/engine/crc32.c |
    awk '$1 ~ /\.c$|^TOTAL$/ { printf "%-14s %5d lines, %d missed, %s\n", $1, $8, $9, $10 }'
exit "${status:-0}"
