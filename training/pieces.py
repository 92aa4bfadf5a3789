"""Weights, gradients and moments cut into pieces, one a process: FSDP2, for models that one GPU does not hold.

train.shard asks for it. A layer's weights are put together when it computes, and the pieces of its gradients are sums
over the processes, as they are without. A checkpoint holds the pieces (training/stored.py), and any number of processes
goes on from it, in pieces or not.
Source: Zhao et al. 2023, arXiv:2304.11277; PyTorch's `fully_shard`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from training.model.families import LanguageModel


def cut(model: LanguageModel, first: Iterable[tuple[str, Tensor]], device: torch.device, processes: int) -> None:
    """Give this process its piece of every weight. model: on the device meta, its buffers aside; first: each weight's
    name and value, of which one at a time need be there. All processes must do this, with the same values.
    """
    mesh = init_device_mesh(device.type, (processes,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # a sum: each process has divided its losses already
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other
    buffers = dict(model.named_buffers())
    model.to_empty(device=device)
    for name, buffer in buffers.items():
        model.get_buffer(name).copy_(buffer)
    for name, value in first:
        weight = model.get_parameter(name)
        weight.data.copy_(piece_of(value, weight))


def put_back(model: nn.Module) -> None:
    """Give the weights that an evaluation has put together back their pieces, as a training step does by itself."""
    if isinstance(model, FSDPModule):
        model.reshard()


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together of its pieces; any other as it is. All processes must ask, in the same order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def piece_of(tensor: Tensor, weight: Tensor) -> Tensor:
    """Of a whole tensor this process's piece, if the weight of the same shape is in pieces; else the tensor."""
    if not isinstance(weight, DTensor) or isinstance(tensor, DTensor) or tensor.shape != weight.shape:
        return tensor
    # None: the tensor is the same in all processes, none of them has to send it.
    there = tensor.to(weight.device)
    return distribute_tensor(there, weight.device_mesh, weight.placements, src_data_rank=None)
