//! The families of models by name (`training/FORMAT.md` §2).

/// A family of models: which fields a configuration has, and which tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// RMSNorm, RoPE, grouped queries, SwiGLU.
    Llama,
    /// Qwen 2 and 2.5: Llama with a bias on q, k and v.
    Qwen2,
    /// Qwen 3: Llama with an RMSNorm of each head's query and key before RoPE.
    Qwen3,
    /// Ours: Qwen 3 with ReLU² in place of SwiGLU, and logits that are capped.
    Fast,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Fast];

    /// The name in the header.
    ///
    /// ```
    /// assert_eq!(pocketlm_inference::format::Architecture::Qwen3.name(), "qwen3");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Fast => "fast",
        }
    }

    /// Whether q, k and v have biases.
    pub const fn has_qkv_bias(self) -> bool {
        matches!(self, Self::Qwen2)
    }

    /// Whether each head's query and key are normalised before RoPE.
    pub const fn has_qk_norm(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Fast)
    }

    /// Whether the layer behind attention is SwiGLU, which has a gate; else it is ReLU².
    pub const fn has_gate(self) -> bool {
        !matches!(self, Self::Fast)
    }

    /// Whether the logits are capped.
    pub(super) const fn has_logit_cap(self) -> bool {
        matches!(self, Self::Fast)
    }

    /// The family of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}
