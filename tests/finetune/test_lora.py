"""Low-rank adapters against the plainest formula, and in a run to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from tests.finetune.conftest import params, tuned
from training import imported, journal, lora
from training.config.section import read
from training.config.train import Train
from training.finetune import shape_of
from training.imported import Imported
from training.model.llama import Llama
from training.optim.groups import make_optimizers

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def adapted(model: Imported, rank: int, alpha: float) -> tuple[Llama, dict[str, torch.Tensor]]:
    """A model with adapters whose B is not 0, and its weights as they were."""
    module = Llama(shape_of(model), model.config["vocab_size"])
    before = {name: torch.from_numpy(stored.values()) for name, stored in model.tensors.items()}
    module.load_state_dict(before)
    lora.add(module, rank, alpha, seed=1)
    generator = torch.Generator().manual_seed(2)
    for weight in module.parameters():
        if weight.requires_grad and float(weight.detach().abs().max()) == 0:
            weight.data = 0.1 * torch.randn(weight.shape, generator=generator)
    return module, before


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1.0), (3, 16.0)])
def test_the_sum_is_that_of_the_paper(model: Imported, rank: int, alpha: float) -> None:
    module, before = adapted(model, rank, alpha)
    trained = {name: weight.detach() for name, weight in module.named_parameters() if weight.requires_grad}
    n_layer = model.config["n_layer"]
    assert len(trained) == 2 * n_layer * len(MATRICES)
    ids = torch.arange(20)[None]
    expected = module(ids).detach()
    lora.merge(module)
    after = module.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    assert changed == {name for name in before if name.split(".")[-2] in MATRICES}
    for name in changed:
        place = name.removesuffix(".weight") + ".parametrizations.weight.0."
        a, b = trained[place + "a"], trained[place + "b"]
        assert a.shape == (rank, before[name].shape[1]) and b.shape == (before[name].shape[0], rank)
        torch.testing.assert_close(after[name], before[name] + alpha / rank * b @ a)
    torch.testing.assert_close(module(ids), expected)


def test_only_the_adapters_are_trained(model: Imported) -> None:
    module, before = adapted(model, 2, 4.0)
    (optimizer,) = make_optimizers(module, read(params(train__lora_rank="2"), Train), torch.device("cpu"))
    sizes = [weight.numel() for group in optimizer.param_groups for weight in group["params"]]
    assert sum(sizes) == sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    module(torch.arange(20)[None]).square().mean().backward()
    optimizer.step()
    kept = {
        name.replace(".parametrizations.weight.original", ".weight"): each for name, each in module.state_dict().items()
    }
    assert all(torch.equal(kept[name], before[name]) for name in before)


def test_a_run(imported_dir: Path, shards_dir: Path, tmp_path: Path) -> None:
    settings = {"train__lora_rank": "4", "train__lr": "2e-2", "train__steps": "30", "train__eval_every": "30"}
    out = tuned(tmp_path, shards_dir, imported_dir, **settings)
    weights, came = load_file(out / "model.safetensors"), imported.read(imported_dir)
    assert weights.keys() == came.tensors.keys()
    for name, stored in came.tensors.items():
        assert (weights[name] == stored.values()).all() == (name.split(".")[-2] not in MATRICES), name
    values = [line["val_bpb"] for line in journal.read(out / "metrics.jsonl") if "val_bpb" in line]
    assert values[-1] < values[0] / 2
