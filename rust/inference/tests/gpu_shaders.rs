//! Every shader, in every variant of its override constants, against WebGPU's rules and default limits. Needs no adapter.

use std::mem::offset_of;

use naga::back::PipelineConstants;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};
use pocketlm_inference::Cache;
use pocketlm_inference::format::{Architecture, Config, Dtype};
use pocketlm_inference::gpu::{
    Binding, KERNELS, Kernel, Split, Splitting, Step, Tuning, constants,
};

/// `unpack2x16float` is core WGSL; naga has a capability for it because old OpenGL lacks it. Nothing else: no f16, no subgroups.
const CAPABILITIES: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;

/// WebGPU's default limits.
const MAX_STORAGE_BUFFERS: usize = 8;
const MAX_WORKGROUP_BYTES: u32 = 16_384;
const MAX_INVOCATIONS: u32 = 256;

fn parse(kernel: Kernel) -> Module {
    naga::front::wgsl::parse_str(&kernel.text())
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&kernel.text())))
}

/// The constants of every variant that the engine compiles, and the corners.
fn variants(kernel: Kernel) -> Vec<PipelineConstants> {
    let config = |d_model, n_head, n_kv_head, d_head, vocab_size| Config {
        architecture: Architecture::Llama,
        n_layer: 1,
        n_head,
        n_kv_head,
        d_model,
        d_head,
        d_ff: 3 * d_model,
        vocab_size,
        ctx_len: 2048,
        rope_theta: 10_000.0,
        norm_eps: 1e-5,
        logit_cap: None,
        tie_embeddings: true,
        bos_token_id: None,
        eos_token_id: None,
        stop_token_ids: None,
    };
    let devices = [wgpu::DeviceType::Cpu, wgpu::DeviceType::DiscreteGpu];
    let splits = devices
        .into_iter()
        .flat_map(|device| Tuning::new(device).candidates().iter().copied());
    let mut all = Vec::new();
    for config in [
        config(1, 1, 1, 2, 1),
        config(2048, 32, 4, 64, 1 << 20),
        config(65_536, 1024, 1024, 1024, 7),
    ] {
        for (dtype, cache) in [(Dtype::F32, Cache::F32), (Dtype::F16, Cache::F16)] {
            let base: PipelineConstants = constants(&config, cache, dtype)
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect();
            if kernel.text().contains("override THREADS") {
                for (threads, lanes) in [(8, 1), (16, 1), (40, 1), (64, 8)] {
                    let mut variant = base.clone();
                    variant.insert("THREADS".into(), f64::from(threads));
                    if kernel.text().contains("override LANES") {
                        variant.insert("LANES".into(), f64::from(lanes));
                    }
                    all.push(variant);
                }
            }
            if kernel.name == "attention_tiled" {
                for rows in devices.map(|device| Tuning::new(device).attention_rows()) {
                    let mut variant = base.clone();
                    variant.insert("ROWS".into(), f64::from(rows));
                    all.push(variant);
                }
            }
            if !kernel.text().contains("override WORKGROUP:") {
                all.push(base);
                continue;
            }
            if kernel.text().contains("override ROW_THREADS") {
                for device in devices {
                    let tiling = Tuning::new(device).tiling();
                    let mut variant = base.clone();
                    variant.insert("WORKGROUP".into(), f64::from(tiling.workgroup));
                    variant.insert("ROW_THREADS".into(), f64::from(tiling.row_threads));
                    variant.insert("QUADS".into(), f64::from(tiling.quads));
                    all.push(variant);
                }
                continue;
            }
            for (split, tile) in splits.clone().flat_map(|split| [(split, 1), (split, 4)]) {
                let mut variant = base.clone();
                variant.insert("WORKGROUP".into(), f64::from(split.workgroup));
                variant.insert("LANES".into(), f64::from(split.lanes));
                variant.insert("TILE".into(), f64::from(tile));
                all.push(variant);
            }
        }
    }
    all
}

#[test]
fn every_variant_is_valid_without_any_optional_capability_and_within_the_default_limits() {
    for kernel in KERNELS
        .into_iter()
        .chain(KERNELS.into_iter().filter_map(Kernel::tiled))
    {
        let module = parse(kernel);
        let mut validator = Validator::new(ValidationFlags::all(), CAPABILITIES);
        let info = validator
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}: {error:?}", kernel.name));
        for variant in variants(kernel) {
            let entry = Some((ShaderStage::Compute, kernel.name));
            let (module, _) = process_overrides(&module, &info, entry, &variant)
                .unwrap_or_else(|error| panic!("{} {variant:?}: {error:?}", kernel.name));
            let mut validator = Validator::new(ValidationFlags::all(), CAPABILITIES);
            validator
                .validate(&module)
                .unwrap_or_else(|error| panic!("{} {variant:?}: {error:?}", kernel.name));

            let [x, y, z] = module.entry_points[0].workgroup_size;
            assert!(
                x * y * z <= MAX_INVOCATIONS,
                "{}: {x} × {y} × {z} invocations",
                kernel.name
            );
            let bytes: u32 = module
                .global_variables
                .iter()
                .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
                .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
                .sum();
            assert!(
                bytes <= MAX_WORKGROUP_BYTES,
                "{}: {bytes} bytes of workgroup memory",
                kernel.name
            );
        }
    }
}

#[test]
fn splits_divide_and_fit_the_shared_arrays() {
    for device in [
        wgpu::DeviceType::Cpu,
        wgpu::DeviceType::IntegratedGpu,
        wgpu::DeviceType::Other,
    ] {
        let candidates = Tuning::new(device).candidates();
        for Split { workgroup, lanes } in candidates {
            assert!(lanes.is_power_of_two() && workgroup.is_multiple_of(*lanes));
            assert!(*workgroup <= 64);
        }
        for pairs in [1, 64, 2047, 2048, 5000, 1 << 19] {
            let default = Tuning::new(device).split(pairs);
            assert!(candidates.contains(&default), "{default:?}");
        }
    }
}

#[test]
fn attention_fits_the_shared_arrays() {
    for device in [wgpu::DeviceType::Cpu, wgpu::DeviceType::IntegratedGpu] {
        let tuning = Tuning::new(device);
        for width in 1..=256 {
            let (threads, lanes) = (tuning.attention_threads(width), tuning.key_lanes(width));
            assert!(threads <= 64 && threads.is_multiple_of(lanes) && lanes.is_power_of_two());
            assert!(lanes <= 8 && lanes <= width);
        }
        assert!(tuning.attention_rows() <= 8);
    }
}

#[test]
fn splits_fill_the_adapter_and_no_more() {
    let splitting = Splitting {
        workgroups: 256,
        least: 64,
        tile_tokens: 32,
    };
    for (position, tokens, splits) in [
        (0, 1, 1),
        (63, 1, 1),
        (64, 1, 2),
        (2000, 1, 32),
        (8191, 1, 42),
        (2000, 7, 6),
        (2000, 64, 21),
        (2000, 2000, 1),
    ] {
        assert_eq!(
            splitting.count(6, position, tokens),
            splits,
            "{position} {tokens}"
        );
        assert!(splits == 1 || splits * tokens * 6 <= splitting.rows());
    }
}

#[test]
fn tiles_fit_the_shared_arrays_and_wait_for_models_that_repay_them_on_a_cpu_adapter() {
    for (device, of_small_models) in [
        (wgpu::DeviceType::Cpu, false),
        (wgpu::DeviceType::IntegratedGpu, true),
    ] {
        let tuning = Tuning::new(device);
        let tiling = tuning.tiling();
        assert!(tiling.workgroup.is_multiple_of(tiling.row_threads));
        assert!(tiling.rows() <= 64 && tiling.tokens() <= 64);
        assert_eq!(tuning.is_worth_tiling(1 << 20), of_small_models);
        assert!(tuning.is_worth_tiling(1 << 23));
    }
}

#[test]
fn the_table_of_bindings_is_what_the_shaders_declare() {
    for kernel in KERNELS {
        let module = parse(kernel);
        let mut declared: Vec<(u32, Binding)> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let binding = variable.binding.as_ref()?;
                assert_eq!(binding.group, 0);
                let use_of = match variable.space {
                    AddressSpace::Uniform => Binding::Uniform,
                    AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => {
                        Binding::Write
                    }
                    AddressSpace::Storage { .. } => Binding::Read,
                    space => panic!("{}: a binding in {space:?}", kernel.name),
                };
                Some((binding.binding, use_of))
            })
            .collect();
        declared.sort_by_key(|(binding, _)| *binding);
        let table: Vec<(u32, Binding)> = (0..).zip(kernel.bindings.iter().copied()).collect();
        assert_eq!(declared, table, "{}", kernel.name);
        let storage = kernel
            .bindings
            .iter()
            .filter(|binding| **binding != Binding::Uniform)
            .count();
        assert!(
            storage <= MAX_STORAGE_BUFFERS,
            "{}: {storage} storage buffers",
            kernel.name
        );
    }
}

#[test]
fn the_step_lies_in_memory_as_the_shaders_read_it() {
    let module = parse(KERNELS[1]);
    let (_, step) = module
        .types
        .iter()
        .find(|(_, ty)| ty.name.as_deref() == Some("Step"))
        .expect("a Step");
    let TypeInner::Struct { members, span } = &step.inner else {
        panic!("Step is a struct")
    };
    assert_eq!(*span as usize, size_of::<Step>());
    let declared: Vec<(&str, usize)> = members
        .iter()
        .map(|member| (member.name.as_deref().unwrap(), member.offset as usize))
        .collect();
    let expected = [
        ("position", offset_of!(Step, position)),
        ("n_tokens", offset_of!(Step, n_tokens)),
        ("ring_index", offset_of!(Step, ring_index)),
        ("top_k", offset_of!(Step, top_k)),
        ("temperature", offset_of!(Step, temperature)),
        ("top_p", offset_of!(Step, top_p)),
        ("seed", offset_of!(Step, seed)),
        ("logit_range", offset_of!(Step, logit_range)),
    ];
    assert_eq!(declared, expected);
}

/// A file of `shaders/` as people read it.
fn file(name: &str) -> String {
    let path = format!("{}/../../shaders/{name}.wgsl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a shader")
}

const USES_THE_LOOP: &str = "Uses: matvec.wgsl or matmul.wgsl.";

#[test]
fn a_text_is_its_files_without_comments_and_blanks() {
    for kernel in KERNELS {
        let own = file(kernel.name);
        let uses_the_loop = own.contains(USES_THE_LOOP);
        let texts = [
            (Some(kernel), "matvec"),
            (kernel.tiled().filter(|_| uses_the_loop), "matmul"),
        ];
        for (kernel, products) in texts {
            let Some(kernel) = kernel else { continue };
            let used = ["splits", "keys"].into_iter();
            let used = used.filter(|part| own.contains(&format!("Uses: {part}.wgsl.")));
            let parts = used.chain(uses_the_loop.then_some(products));
            let parts: String = parts.map(file).collect();
            let files = [file("common"), parts, own.clone()].concat();
            let text = kernel.text();
            assert_eq!(
                text.lines().count(),
                files.lines().count(),
                "{}",
                kernel.name
            );
            for (line, read) in text.lines().zip(files.lines()) {
                let code = read.split("//").next().unwrap_or_default();
                assert_eq!(
                    line.replace(' ', ""),
                    code.replace(' ', ""),
                    "{}",
                    kernel.name
                );
            }
            assert!(text.len() < files.len() * 3 / 4, "{}", kernel.name);
        }
    }
}

#[test]
fn the_header_of_a_shader_says_whether_it_uses_the_matrix_loop() {
    for kernel in KERNELS {
        assert_eq!(
            file(kernel.name).contains(USES_THE_LOOP),
            kernel.text().contains("fn products") && kernel.tiled().is_some(),
            "{}",
            kernel.name
        );
        assert!(
            kernel.text().contains(&format!("fn {}(", kernel.name)),
            "the entry point has the kernel's name"
        );
        assert!(
            !kernel.text().contains("enable "),
            "{}: an optional feature",
            kernel.name
        );
    }
}
