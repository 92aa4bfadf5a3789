#!/bin/sh
# Tests, the no_std check, the wasm module and Miri where they can be had, and the benchmark of the tokenizer crate. Needs cargo alone.
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

# The tokenizer alone in wasm: its size, and a check in Node. The page's and the benchmark's are made smaller by wasm-opt.
target=wasm32-unknown-unknown
if [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] && command -v node >/dev/null; then
    wasm=$(dirname "$crate")/wasm
    dir=${CARGO_TARGET_DIR:-$wasm/target} # named, since a configuration of cargo's may name another
    out=$dir/$target/release/tokenizer.wasm
    CARGO_ENCODED_RUSTFLAGS=-Ctarget-feature=+simd128 run build --release --locked --manifest-path "$wasm/Cargo.toml" \
        --target $target --target-dir "$dir"
    if command -v wasm-opt >/dev/null; then
        wasm-opt -O3 --all-features --strip-debug --strip-producers "$out" -o "$out.small"
        out=$out.small
        [ "$(wc -c <"$out")" -le 300000 ] || { echo "$out has more than 300,000 bytes" >&2; exit 1; }
    fi
    node "$wasm/wasm.mjs" "$out" "$@"
else
    echo "The target $target or Node is not here; leaving the wasm module out."
fi

# Miri interprets the blocks of bytes, all of the unsafe code but a hint to the processor: a minute.
if cargo +nightly miri --version >/dev/null 2>&1; then
    run +nightly miri test --manifest-path "$crate" --lib -- split::block split::starts
else
    echo "Miri is not installed (rustup component add miri --toolchain nightly); leaving its check out."
fi

run run --release --manifest-path "$crate" --example throughput -- "$@"
