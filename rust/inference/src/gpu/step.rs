//! What a submission tells the kernels.

/// One submission's state: `Step` of `shaders/common.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Step {
    /// Positions in the cache before this step's tokens.
    pub position: u32,
    /// Tokens of this submission; 1 when decoding.
    pub n_tokens: u32,
    /// Where `sample` writes its next id.
    pub ring_index: u32,
    /// 0 keeps all.
    pub top_k: u32,
    /// 0 is argmax.
    pub temperature: f32,
    /// 1 keeps all.
    pub top_p: f32,
    /// Of the random numbers.
    pub seed: u32,
    /// How far below the largest logit a kept one may lie; 3e38 and more keeps all.
    pub logit_range: f32,
}

const _: () = assert!(size_of::<Step>() == 32 && align_of::<Step>() == 4);
