"""What this machine computes on."""

from collections.abc import Iterator

from avsep.params.sections import Params


def precision(p: Params) -> Iterator[str]:
    if p.train.precision == "16-mixed" and p.device == "cpu":
        yield "train.precision is 16-mixed: a cpu has bf16-mixed"


def device(p: Params) -> Iterator[str]:
    if problem := missing_device(p.device, p.train.devices):
        yield problem


def missing_device(name: str, count: int) -> str | None:
    """What this machine lacks of `count` devices of this name, if anything."""
    if name == "cpu":
        return None
    import torch  # here, since it takes seconds and most runs are on the CPU

    have = torch.cuda.device_count() if name == "cuda" else int(torch.backends.mps.is_available())
    if have == 0:
        return f"device is {name}: this machine has none (torch {torch.__version__})"
    if count > have:
        return f"train.devices is {count}: this machine has {have} of device {name}"
    return None


CHECKS = (precision, device)
