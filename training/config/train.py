"""[train]: the training run. A step reads batch_size * grad_accum * ctx_len tokens."""

from __future__ import annotations

from typing import ClassVar, Literal

from training.config.section import Count, CountOrNone, NotNegative, Section, Share, check


class Train(Section, frozen=True):
    """The training run."""

    NAME: ClassVar[str] = "train"
    RUNTIME: ClassVar[frozenset[str]] = frozenset({"checkpoint_seconds", "loggers", "processes", "shard"})

    steps: Count  # optimizer steps
    batch_size: Count  # sequences a forward pass
    grad_accum: Count  # forward passes a step
    lr: NotNegative  # peak learning rate; Muon's steps are scaled to be as long as AdamW's
    min_lr_ratio: Share  # the last step's learning rate, as a share of lr
    warmup_steps: CountOrNone  # linear from 0 to lr; a tenth of the steps at the most
    schedule: Literal["cosine", "linear"]  # "linear": flat at lr, then linear over the last decay_fraction
    decay_fraction: Share  # share of the steps spent in decay; only for "linear"
    weight_decay: NotNegative  # decoupled, on matrices, not on norms
    beta1: Share  # AdamW's decay of the mean
    beta2: Share  # AdamW's decay of the variance
    grad_clip: NotNegative  # largest global norm of the gradient; 0 = off
    log_every: Count  # steps between lines of metrics.jsonl
    eval_every: Count  # steps between evaluations
    eval_tokens: Count  # tokens of the validation split that those read
    last_eval_tokens: Count  # tokens of it that the last evaluation reads; all, if there are fewer
    eval_overlap: CountOrNone  # positions of context that each evaluation window shares with the one before
    seed: CountOrNone  # of the weights and the order of the data
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "f32", "bf16", "f16"]  # "auto": f32 or bf16, measured at start; f16 scales the loss
    compile: bool  # try torch.compile at start, and use it where it is faster
    optimizer: Literal["adamw", "muon"] = "adamw"  # "muon": Muon for the layers' matrices, AdamW for all else
    orthogonal: Literal["newton-schulz", "polar"] = "newton-schulz"  # how Muon gets there: in five steps or in three
    embedding_lr: NotNegative = 0.0  # peak rate of an embedding that is not the output projection too; 0: lr
    lora_rank: CountOrNone = 0  # of the low-rank change of an imported model's matrices; 0: all weights are trained
    lora_alpha: NotNegative = 32.0  # that change is scaled by lora_alpha / lora_rank
    checkpoint_seconds: NotNegative = 15.0  # time between checkpoints; 0 = after every step
    keep: Literal["last", "best"] = "last"  # whose weights come out: the last step's, or the best evaluation's
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()  # where its curves go beside metrics.jsonl
    shard: bool = False  # cut weights, gradients and moments into pieces, one a process (FSDP2)
    processes: Count = 1  # that torchrun starts on this machine, one a GPU; grad_accum is a multiple of it

    def __post_init__(self) -> None:
        check(
            not self.shard or (self.optimizer == "adamw" and not self.lora_rank),
            "train.shard=true: Muon and low-rank adapters want whole matrices; "
            "set train.optimizer=adamw and train.lora_rank=0",
        )
        check(
            not self.embedding_lr or self.lr > 0,
            f"train.embedding_lr={self.embedding_lr:g} is a share of train.lr, which is 0; set train.lr",
        )
