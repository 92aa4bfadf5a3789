"""shards, train, sample, report and evaluate: tokens on disk, then the model, and what one sees of it."""

from __future__ import annotations

from stages import tools
from stages.graph import Output, Stage, Tool, python_sources
from stages.settings import Settings
from stages.step import step
from stages.tokenizer import ENGINE, WHEEL, engine_setups

# glibc gives every large tensor back to the kernel and faults it in again each step; keeping them took a model
# of 1.3 M parameters from 8.1k to 18.1k tokens/s. Read by the C library at start; other systems ignore it.
KEEP_LARGE_BLOCKS = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296"

# A thread of libgomp that waits for one without a core spins: on a busy machine a step took 3,000 ms instead of 55, and
# at most 470 with this; on a quiet one it costs 4 % (training/LOG.md).
SHORT_SPIN = "5000"

# The repro profile: the same bits on every x86-64 machine with AVX2. Each of these changes the weights when left free.
PINNED_ISA = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

# A run may go on after these have changed: training/resume.py sees whether the learning rates so far are the same, and
# in the profile repro whether PyTorch is.
RESUMES_OVER = (
    *(("params", f"train.{name}") for name in ("steps", "keep")),
    *(("tools", name) for name in ("torch", "numpy", "safetensors")),
)

# The display and the texts shown on the way are run beside the training, and what it makes is the same without them.
SHOWN_ONLY = ("training/progress.py", "training/loggers.py", "training/sample.py", "training/config/sample.py")

# Where train.loggers write: a folder for each training. What is made there is no result; `doit gc` removes what is old.
LOGS = "{build}/logs"
KEEPS = ("--resume", "{partial}", "--logs", LOGS)


def torch_tools() -> tuple[Tool, ...]:
    """What decides the numbers beside our own code; versions come from the lock, so torch is not imported to know
    them.
    """
    return tools.libraries("torch", "numpy", "safetensors")


def shards_stage(settings: Settings) -> Stage:
    """The stage `shards` of one preset."""
    return Stage(
        name="shards",
        doc="Encode the documents into memory-mapped token shards.",
        run=step("shards", "corpus", "tokenizer"),
        outputs=("shards/",),
        inputs={"corpus": Output("corpus", "corpus/"), "tokenizer": Output("tokenizer"), "wheel": WHEEL},
        sources=(python_sources("training.shards"),),
        runtime=settings.told(*ENGINE),
        tools=tools.libraries("numpy"),
        needs=(tools.TORCH, *engine_setups(settings)),
        scope=settings.preset,
        pythonpath=("{snapshot}", "{in.wheel}"),
    )


def stage(settings: Settings) -> Stage:
    """The stage `train` of one preset."""
    return Stage(
        name="train",
        doc="Train the model (PyTorch); resumes where an interrupted run stopped.",
        run=(*step("train", "shards", "tokenizer"), *KEEPS),
        outputs=("model.safetensors", "metrics.jsonl", "samples.jsonl", "summary.json", "timings.json"),
        volatile=("samples.jsonl", "timings.json"),  # what the model wrote on the way goes by [sample]: in no key
        metrics={
            "val_bpb": "summary.json:val_bpb",
            "parameters": "summary.json:parameters",
            "tokens_seen": "summary.json:tokens_seen",
            "train_s": "timings.json:train_s",
        },
        curves={name: f"metrics.jsonl:step,{name}" for name in ("train_bpb", "val_bpb")},
        inputs={"shards": Output("shards", "shards/"), "tokenizer": Output("tokenizer"), "wheel": WHEEL},
        sources=(python_sources("training.train", unkeyed=SHOWN_ONLY),),
        params=settings.section("model", "train"),
        resources={"cores": 1, "gpu": 0 if settings.values["train.device"] == "cpu" else 1},
        runtime=settings.told("train.checkpoint_seconds", "train.loggers", "train.processes", "train.shard", "sample"),
        profile=settings.profile,
        profile_in_key=True,
        reproducible=settings.profile == "repro",  # several threads add in an order of their own
        tools=torch_tools(),
        env=("CUDA_VISIBLE_DEVICES",),
        set_env={
            "GLIBC_TUNABLES": KEEP_LARGE_BLOCKS,
            "GOMP_SPINCOUNT": SHORT_SPIN,
            **(PINNED_ISA if settings.profile == "repro" else {}),
        },
        needs=(tools.TORCH, *(tools.LOGGERS[name] for name in settings.values["train.loggers"])),
        leaves=(LOGS,),
        scope=settings.preset,
        links={"metrics.jsonl": "metrics.jsonl"},
        pythonpath=("{snapshot}", "{in.wheel}"),
        resumable=True,
        resumes_over=RESUMES_OVER,
    )


def sample_stage(settings: Settings) -> Stage:
    """The stage `sample` of one preset."""
    return Stage(
        name="sample",
        doc="Write down what the trained model writes after each of sample.prompts.",
        run=step("sample", "weights", "tokenizer"),
        outputs=("samples.txt",),
        inputs={"weights": Output("train", "model.safetensors"), "tokenizer": Output("tokenizer"), "wheel": WHEEL},
        sources=(python_sources("training.sample"),),
        params=settings.section("model", "sample"),
        tools=torch_tools(),
        set_env=PINNED_ISA,
        needs=(tools.TORCH,),
        scope=settings.preset,
        links={"samples.txt": "samples.txt"},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )


def report_stage(settings: Settings) -> Stage:
    """The stage `report` of one preset."""
    return Stage(
        name="report",
        doc="Draw how the training went (loss.svg), and write down what the page shows of it.",
        run=step("report", "metrics", "samples", params=False),
        outputs=("loss.svg", "training.json", "samples.json"),
        volatile=("samples.json",),
        inputs={"metrics": Output("train", "metrics.jsonl"), "samples": Output("train", "samples.jsonl")},
        sources=(python_sources("training.report"),),
        scope=settings.preset,
        links={"loss.svg": "loss.svg"},
        pythonpath=("{snapshot}",),
    )


def evaluate_stage(settings: Settings) -> Stage:
    """The stage `evaluate` of one preset; it runs when it is asked for."""
    return Stage(
        name="evaluate",
        doc="Measure the trained model on the validation and the test text, beside compressors (evaluation.md).",
        run=step("evaluate", "weights", "summary", "tokenizer", "shards", "corpus"),
        outputs=("evaluation.json", "evaluation.md", "evaluation_speed.json"),
        volatile=("evaluation_speed.json",),
        metrics={f"{split}_bpb": f"evaluation.json:splits.{split}.bpb" for split in ("val", "test")},
        inputs={
            "weights": Output("train", "model.safetensors"),
            "summary": Output("train", "summary.json"),
            "tokenizer": Output("tokenizer"),
            "shards": Output("shards", "shards/"),
            "corpus": Output("corpus", "corpus/"),
            "wheel": WHEEL,
        },
        sources=(python_sources("training.evaluate"),),
        params=settings.section("model", "sample"),
        tools=(*torch_tools(), *tools.libraries("pyppmd", "zstandard", extra="evaluate")),
        set_env=PINNED_ISA,
        needs=(tools.TORCH, tools.EVALUATE),
        scope=settings.preset,
        links={name: name for name in ("evaluation.json", "evaluation.md", "evaluation_speed.json")},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )
