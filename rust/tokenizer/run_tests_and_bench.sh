#!/bin/sh
# Tests, the no_std check and the benchmark of the tokenizer crate. Needs cargo alone.
#
#     ./run_tests_and_bench.sh            # the benchmark's text is made by the benchmark
#     ./run_tests_and_bench.sh FILE...    # or is yours
set -eu
for file in "$@"; do
    [ -r "$file" ] || { echo "run_tests_and_bench.sh: cannot read $file" >&2; exit 2; }
done

run() {
    printf '\n== cargo %s\n' "$*"
    cargo "$@"
}

crate=$(cd "$(dirname "$0")" && pwd)/Cargo.toml
run test --manifest-path "$crate"

# wasm32v1-none has no std: what builds for it runs anywhere.
if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32v1-none" ] || rustup target add wasm32v1-none; then
    run build --manifest-path "$crate" --no-default-features --target wasm32v1-none
else
    echo "The target wasm32v1-none cannot be had here; checking without std for this machine instead."
    run build --manifest-path "$crate" --no-default-features
fi

run run --release --manifest-path "$crate" --example throughput -- "$@"
