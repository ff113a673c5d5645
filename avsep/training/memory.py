"""What a training needs in memory, told before it starts: a step is gone through without computing it.

Tensors of torch's device "meta" have shapes and no values, so that this takes neither memory nor much time.
What kernels need beside them is taken as a share.  Not in it: the process with its libraries (0.5 to 1 GB), the
contexts of a GPU, and the samples that the worker processes hold ready.
"""

import contextlib
import copy
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import default_collate

from avsep.errors import InputError

META = torch.device("meta")
BESIDE = 1.3  # a step's peak to that of its tensors: 1.2 to 1.4 on a CPU (docs/training.md)
MIXED = 0.6  # what a step keeps in mixed precision, but for gradients: 0.56 by the tensors of the demo's ungated
CGROUPS = Path("/sys/fs/cgroup")


class Needed(NamedTuple):
    """Bytes that one process needs."""

    weights: int  # of all networks, the frozen ones among them, with their buffers
    optimizer: int  # its state of what is trained
    step: int  # at the fullest moment of a step: samples, activations, gradients
    cache: int  # frozen features of all frames, in the memory of the CPU whatever the device

    @property
    def device(self) -> int:
        """Of the device that trains."""
        return self.weights + self.optimizer + self.step


class _Live(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size


def needed(
    loss: Callable[[Any, Mapping[str, Any]], Tensor],
    networks: nn.Module,
    sample: Mapping[str, Any],
    batch: int,
    *,
    device: torch.device,
    optimizer: Callable[..., torch.optim.Optimizer],
    precision: str = "32-true",
    cached: Iterable[Tensor] = (),
) -> Needed:
    """What a process needs whose steps take `batch` samples like `sample`, one of a dataset's.

    `loss`: networks and a batch -> what is minimised; functools.partial may give it more, networks among that.
    Nothing is computed, and nothing moves: neither networks and their statistics nor random states.
    """
    copied_loss, copied = _without_values(loss, networks)
    trained = [parameter for parameter in copied.parameters() if parameter.requires_grad]
    one = move_data_to_device(sample, META)
    with _kernels_of(device), _Live() as live:
        # kept until the peak is read: gradients live until the optimiser has used them
        gradients = torch.autograd.grad(copied_loss(copied, default_collate([one] * batch)), trained, allow_unused=True)
    del gradients
    everything = {id(part): part for one in (networks, *_networks_of(loss)) for part in _tensors(one)}
    return Needed(
        weights=sum(tensor.nbytes for tensor in everything.values()),
        optimizer=_state_bytes(optimizer, trained),
        step=round(BESIDE * _in_precision(precision, live.most, sum(parameter.nbytes for parameter in trained))),
        cache=sum(tensor.nbytes for tensor in cached),
    )


def _in_precision(precision: str, most: int, gradients: int) -> float:
    """Bytes of a step of which `most` live at once in float32: gradients stay so, and weights are copied."""
    return most if precision == "32-true" else 1.5 * gradients + MIXED * (most - gradients)


@contextlib.contextmanager
def _kernels_of(device: torch.device) -> Iterator[None]:
    """Lets meta tensors take the way that those of `device` take: the CPU's kernels are deterministic as they are,
    where torch puts together others, with larger intermediate results, for any other device."""
    asked, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(asked and device.type != "cpu", warn_only=warn)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(asked, warn_only=warn)


def _without_values(loss: Callable[..., Tensor], networks: nn.Module) -> tuple[Callable[..., Tensor], nn.Module]:
    """Copies of both, in which the tensors of all networks are on the device meta."""
    copies: dict[int, Any] = {}
    for network in (networks, *_networks_of(loss)):
        for parameter in network.parameters():
            copies[id(parameter)] = nn.Parameter(parameter.detach().to(META), parameter.requires_grad)
        for buffer in network.buffers():
            copies[id(buffer)] = buffer.to(META)
    return copy.deepcopy((loss, networks), copies)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def _networks_of(thing: Any) -> Iterator[nn.Module]:
    """The networks that a functools.partial gives to its function, or to those that it gives."""
    if isinstance(thing, nn.Module):
        yield thing
    elif isinstance(thing, partial):
        for part in (*thing.args, *thing.keywords.values()):
            yield from _networks_of(part)


def _state_bytes(optimizer: Callable[..., torch.optim.Optimizer], trained: list[nn.Parameter]) -> int:
    """What an optimiser keeps of these parameters, which are on the device meta: it takes a step, and computes nothing.

    It may keep more of some than of others, as Muon does.
    """
    for parameter in trained:
        parameter.grad = torch.empty_like(parameter)
    trying = optimizer(trained)
    trying.step()
    kept = (state for parameter in trained for state in trying.state[parameter].values())
    return sum(state.nbytes for state in kept if isinstance(state, Tensor) and state.is_meta)  # no counts of steps


def refuse_too_much(stage: str, need: Needed, device: torch.device, devices: int) -> None:
    """Raises InputError if the `devices` processes of a machine, each of which needs that, cannot have it.

    `device`: this process's own.
    """
    physical = physical_memory()
    of_cpu = devices * (need.cache if device.type == "cuda" else need.cache + need.device)
    if of_cpu > physical:
        raise InputError(
            f"{stage}: training needs about {gigabytes(of_cpu)} and this machine has {gigabytes(physical)}"
            f" ({_parts(need)}, for each of {devices} processes): {_advice(need)}"
        )
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device)  # what frozen features were computed in is used again
        if need.device > free:
            raise InputError(
                f"{stage}: training needs about {gigabytes(need.device)} of each GPU, and {device} has"
                f" {gigabytes(free)} free ({_parts(need)}): {_advice(need)}"
            )


def _parts(need: Needed) -> str:
    return ", ".join(f"{name} {gigabytes(size)}" for name, size in need._asdict().items())


def _advice(need: Needed) -> str:
    if need.cache > need.device:
        return "set its cache to false (frames.cache, vast.cache, baseline.cache)"
    return (
        "lower its batch (train.batch, vast.batch, baseline.batch) or audio.samples, or take more train.devices or"
        " train.nodes"
    )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def physical_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or its control group's if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_group_limits(Path("/proc/self/cgroup"), CGROUPS)])


def _group_limits(own: Path, root: Path) -> list[int]:
    """The limits of the control groups, of either version, that `own` lists, and of the groups around them."""
    if not own.is_file():
        return []
    limits = []
    for line in own.read_text(encoding="utf-8").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        path = PurePosixPath(group.lstrip("/"))
        for around in (path, *path.parents):
            limit = folder / around / name
            if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()) != "max":
                limits.append(int(text))
    return limits
