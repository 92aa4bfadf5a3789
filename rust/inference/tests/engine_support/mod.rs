//! What tests that run engines share.
#![allow(dead_code, reason = "each test file uses a part")]

use pocketlm_inference::cpu::Isa;
use pocketlm_inference::{Engine, Generator};
use pollster::block_on;

/// What this processor has.
pub fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::PORTABLE];
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
    {
        // SAFETY: the processor has all three.
        isas.push(unsafe { Isa::avx2() });
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has this, too.
            isas.push(unsafe { Isa::avx512() });
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        isas.push(Isa::BASELINE);
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            // SAFETY: the processor has it.
            isas.push(unsafe { Isa::dotprod() });
        }
    }
    isas
}

/// Run a generation to its end.
pub fn finish(generator: &mut Generator, engine: &mut Engine) -> Vec<u32> {
    let mut ids = Vec::new();
    loop {
        let step = block_on(generator.step(engine)).unwrap();
        ids.extend(step.ids);
        if step.done.is_some() {
            return ids;
        }
    }
}
