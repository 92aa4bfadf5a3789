import binaryen from "binaryen";
import { expect, test } from "vitest";
import { SUM, summer } from "./stream";

/** The module that `SUM` holds. */
const TEXT = `(module
  (memory (export "memory") 1 2048)
  (func (export "sum") (param $end i32) (result i64)
    (local $at i32) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (loop $next
      (local.set $a (i64x2.add (local.get $a) (v128.load (local.get $at))))
      (local.set $b (i64x2.add (local.get $b) (v128.load offset=16 (local.get $at))))
      (local.set $c (i64x2.add (local.get $c) (v128.load offset=32 (local.get $at))))
      (local.set $d (i64x2.add (local.get $d) (v128.load offset=48 (local.get $at))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end))))
    (local.set $a (i64x2.add (i64x2.add (local.get $a) (local.get $b)) (i64x2.add (local.get $c) (local.get $d))))
    (i64.add (i64x2.extract_lane 0 (local.get $a)) (i64x2.extract_lane 1 (local.get $a)))))`;

test("the module is its text, compiled", () => {
  const module = binaryen.parseText(TEXT);
  module.setFeatures(binaryen.Features.MVP | binaryen.Features.SIMD128);
  expect(btoa(String.fromCharCode(...module.emitBinary()))).toBe(SUM);
});

test("it reads every byte, and each once", async () => {
  const { bytes, sum } = await summer(2 << 16);
  expect(bytes.every(byte => byte === 1)).toBe(true);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = Math.imul(at, 2_654_435_761) >>> 24;
  const words = new BigUint64Array(bytes.buffer);
  const slow = words.reduce((total, word) => BigInt.asUintN(64, total + word), 0n);
  expect(BigInt.asUintN(64, sum())).toBe(slow);
});
