"""Several processes that train one model: each reads its share of a step's batches, and their gradients are added up.

Weights, optimizers and the order of the text are the same in all of them. So a checkpoint is what one process would
have written, and any number of processes goes on from it; the first writes it, and all that people see. torchrun starts
them and ends them all where one fails: `launch` on one machine, or you on many (docs/SCALING.md).
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from training.speed import thread_counts


@dataclass(frozen=True)
class World:
    """The processes of a run, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that evaluates, writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Which of a step's `count` batches this process reads. Raises ValueError where they cannot be shared out."""
        if count % self.size:
            raise ValueError(
                f"train.grad_accum={count} batches of a step cannot be shared by {self.size} processes; "
                f"make it a multiple of {self.size}, and train.batch_size smaller by the same factor"
            )
        return range(self.rank, count, self.size)

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace all gradients by their sums over the processes: the same bits in each. Pieces are sums already."""
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        if self.size == 1 or any(isinstance(gradient, DTensor) for gradient in gradients):
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        for gradient, summed in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a tensor over the processes, in its place."""
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return value

    def largest(self, value: int, device: torch.device) -> int:
        """The largest of the processes' numbers."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, device=device)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        return int(shared)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()


def place() -> tuple[int, int]:
    """This process's rank, and how many there are, wherever that is asked."""
    if torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def leads() -> bool:
    """Whether this is the process that evaluates, writes and speaks."""
    return place()[0] == 0


def agreed(holds: bool) -> bool:
    """Whether it holds in all processes."""
    if torch.distributed.is_initialized():
        everywhere = torch.tensor(int(holds))
        torch.distributed.all_reduce(everywhere, torch.distributed.ReduceOp.MIN)
        return bool(everywhere)
    return holds


def started() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def join() -> World:
    """The world that torchrun has put this process into; one of its own without it."""
    if not started():
        return World()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    return World(torch.distributed.get_rank(), torch.distributed.get_world_size())


def leave(world: World) -> None:
    """The end of what `join` began."""
    if world.size > 1:
        world.wait()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def launch(processes: int, repro: bool) -> None:
    """Have torchrun run this command in so many processes, and exit as they do; nothing where it has, or for one.

    repro: the profile. Raises ValueError for several processes in it.
    """
    if repro and (processes > 1 or started()):
        raise ValueError(f"profile repro trains in one process; train.processes={processes} is not bit-exact")
    if processes == 1 or started():
        return
    from torch.distributed import run as torchrun  # a second, and only here
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.ERROR)  # its tables of processes: each says itself what is wrong
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "a step is started as a module"
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, thread_counts(torch.device("cpu"))[0] // processes)))
    words = ["--standalone", f"--nproc-per-node={processes}", "-m", spec.name, *sys.argv[1:]]
    try:
        torchrun.run(torchrun.parse_args(words))
    except SignalException as error:
        sys.exit(128 + error.sigval)
    except ChildFailedError:
        sys.exit(1)
    sys.exit(0)
