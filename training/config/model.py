"""[model]: the family and its sizes. Bounds are those of training/FORMAT.md, section 2."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from training.config.section import Positive, Section, check


class Model(Section, frozen=True):
    """The family and its sizes; vocab_size comes from the trained tokenizer."""

    NAME: ClassVar[str] = "model"

    n_layer: Annotated[int, Meta(ge=1, le=1024)]  # decoder layers
    n_head: Annotated[int, Meta(ge=1, le=1024)]  # query heads
    n_kv_head: Annotated[int, Meta(ge=1, le=1024)]  # key/value heads (GQA)
    d_model: Annotated[int, Meta(ge=1, le=1 << 16)]  # width of the residual stream
    d_head: Annotated[int, Meta(ge=2, le=1024)]  # width of a head; n_head * d_head need not be d_model
    d_ff: Annotated[int, Meta(ge=1, le=1 << 18)]  # width of the SwiGLU layer, or of ReLU²
    ctx_len: Annotated[int, Meta(ge=1, le=1 << 20)]  # positions, prompt included
    rope_theta: Positive  # base of RoPE's frequencies
    norm_eps: Annotated[float, Meta(gt=0.0, lt=1.0)]  # RMSNorm's epsilon
    tie_embeddings: bool  # the output projection is the embedding
    family: Literal["llama", "qwen2", "qwen3", "fast"] = "llama"  # of training/FORMAT.md

    def __post_init__(self) -> None:
        check(
            self.n_head % self.n_kv_head == 0,
            f"model.n_head={self.n_head} is not divisible by n_kv_head={self.n_kv_head}",
        )
        check(self.d_head % 2 == 0, f"model.d_head={self.d_head} is odd; RoPE turns components in pairs")
        check(
            self.family != "fast" or not self.tie_embeddings,
            'model.tie_embeddings=true: the output projection of model.family="fast" is a matrix of its own; '
            "set model.tie_embeddings=false",
        )
