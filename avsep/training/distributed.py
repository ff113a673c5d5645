"""What makes several processes, one a device, train as one process would with all their samples.

P processes take a share of each batch and average their gradients.  For a loss that is a mean over samples that is all
it takes, if batch norm sees the whole batch: `WholeBatchNorm`.  Where a loss takes the mean before something that is
not linear, it asks for `mean_over_batch`.  With one process both are torch's own, to the last bit.

torch's SyncBatchNorm refuses tensors of a CPU, on which the equality is tested, and is no BatchNorm2d.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lightning
import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, LightningEnvironment, SLURMEnvironment
from lightning.pytorch.plugins.layer_sync import LayerSync
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from avsep.errors import InputError


def of_all_processes(values: Tensor) -> Tensor:
    """Each process's values (...), with their gradient: (P, ...); (1, ...) where there is one process alone."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values[None]
    return torch.stack(all_gather(values.contiguous()))


def mean_over_batch(values: Tensor) -> Tensor:
    """The mean of values (B,) over all processes' samples, a scalar: equal shares, so the mean of their means."""
    return of_all_processes(values.mean()).mean()


class WholeBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics, in training, are those of all processes' samples; each has as many."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)"""
        if not self.training:
            return super().forward(x)
        values = x.float()  # as it is for torch's own, whatever the autocast
        own = torch.stack(torch.var_mean(values, (0, 2, 3), correction=0))  # (2, C)
        variances, means = of_all_processes(own).unbind(1)  # (P, C) each
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self._move(mean.detach(), variance.detach(), len(means) * x.numel() // len(mean))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale
        if self.affine:
            shift = shift + self.bias
        scaled = torch.addcmul(shift[:, None, None], values, scale[:, None, None])
        return scaled.to(x.dtype)

    def _move(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """The running statistics, as torch moves them: (C,) each, over `count` values."""
        assert self.num_batches_tracked is not None and self.momentum is not None
        assert self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


class WholeBatch(LayerSync):
    """Lightning's plugin: while several processes train, each BatchNorm2d is a WholeBatchNorm."""

    def apply(self, model: nn.Module) -> nn.Module:
        return _change(model, nn.BatchNorm2d, WholeBatchNorm)

    def revert(self, model: nn.Module) -> nn.Module:
        return _change(model, WholeBatchNorm, nn.BatchNorm2d)


def _change(model: nn.Module, from_kind: type[nn.Module], to_kind: type[nn.Module]) -> nn.Module:
    """Only the class changes: parameters, buffers and modes stay the objects that they are, and others hold them."""
    for module in model.modules():
        if type(module) is from_kind:
            module.__class__ = to_kind
    return model


def own_device(kind: str) -> torch.device:
    """The device of `kind` that this process trains on: of a machine's several GPUs each process has its own."""
    number = os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
    return torch.device(kind, int(number)) if kind == "cuda" else torch.device(kind)


def strategy(processes: int) -> Strategy | str:
    """Lightning's way to train with so many processes. Buffers are equal in all of them, and need not be sent."""
    return "auto" if processes == 1 else DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)


def started_by(devices: int, nodes: int) -> list[ClusterEnvironment]:
    """Who starts the processes: SLURM's srun if it did already; else Lightning, which gets to know of it by itself.

    Without Lightning's requeueing, which would save a state amid an epoch: a job that is started again goes on from its
    last whole epoch.
    Raises InputError if srun started another number, or nothing tells how several machines find each other.
    """
    if not SLURMEnvironment.detect():
        if nodes > 1 and not os.environ.get("MASTER_ADDR"):
            raise InputError(
                f"train.nodes is {nodes}, and nothing tells where the first machine is: under SLURM give"
                " --ntasks-per-node and set AVSEP_LAUNCH=srun, elsewhere set MASTER_ADDR, MASTER_PORT and NODE_RANK"
                " (docs/training.md)"
            )
        return []
    tasks = int(os.environ["SLURM_NTASKS"])
    if tasks == 1 and nodes == 1:
        return [LightningEnvironment()]  # one task with all of its node's devices
    if not any(os.environ.get(name) for name in ("AVSEP_LAUNCH", "SLURM_LAUNCH_NODE_IPADDR")):  # the latter is srun's
        raise InputError(
            f"SLURM has {tasks} tasks, and nothing has started them: set AVSEP_LAUNCH=srun (docs/training.md)"
        )
    if tasks != devices * nodes or os.environ.get("SLURM_NTASKS_PER_NODE") != str(devices):
        raise InputError(
            f"SLURM has {tasks} tasks, {os.environ.get('SLURM_NTASKS_PER_NODE', '?')} a node, and training is to have"
            f" {devices} a node on {nodes}: give srun and sbatch --nodes as train.nodes and --ntasks-per-node as"
            " train.devices"
        )
    return [SLURMEnvironment(auto_requeue=False)]


@contextlib.contextmanager
def ending_together(trainer: lightning.Trainer, failed: Path) -> Iterator[None]:
    """An error of one process ends all of them, and the first alone tells it: it makes the file `failed`."""
    try:
        yield
    except Exception:
        if trainer.world_size == 1:
            raise
        first = _first_to_make(failed)
        # the first to fail is given the time to tell it
        _end(getattr(trainer.strategy.launcher, "procs", []), seconds=0 if first else 10)
        if first:
            raise
        sys.exit(1)


def _first_to_make(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _end(processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    """Ends the processes that this one has started, if they have not ended after so many seconds."""
    for process in processes:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
