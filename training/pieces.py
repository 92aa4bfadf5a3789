"""Weights, gradients and moments cut into pieces, one a process: FSDP2, for models that one GPU does not hold.

train.shard asks for it. A layer's weights are put together when it computes, and the pieces of its gradients are sums
over the processes, as they are without. A checkpoint holds whole tensors, put together one at a time, so it is the same
file as ever, and any number of processes goes on from it, in pieces or not.
Source: Zhao et al. 2023, arXiv:2304.11277; PyTorch's `fully_shard`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from training.model.families import LanguageModel


def cut(model: LanguageModel, device: torch.device, processes: int) -> None:
    """Leave this process its piece of every weight. All processes must hold the same weights, and all must do this."""
    mesh = init_device_mesh(device.type, (processes,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # a sum: each process has divided its losses already
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together of its pieces; any other as it is. All processes must ask, in the same order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def piece_of(tensor: Tensor, weight: Tensor) -> Tensor:
    """Of a whole tensor this process's piece, if the weight of the same shape is in pieces; else the tensor."""
    if not isinstance(weight, DTensor) or tensor.shape != weight.shape:
        return tensor
    # None: the tensor is the same in all processes, none of them has to send it.
    there = tensor.to(weight.device)
    return distribute_tensor(there, weight.device_mesh, weight.placements, src_data_rank=None)
