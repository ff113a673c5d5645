"""What this machine computes on."""

from collections.abc import Iterator, Sequence

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
    if name == "cuda":
        built = torch.cuda.get_arch_list()
        for number in range(count):
            able = torch.cuda.get_device_capability(number) if built else None
            if able is not None and not is_served(able, built):
                return (
                    f"device is cuda: {torch.cuda.get_device_name(number)} has compute capability {able[0]}.{able[1]},"
                    f" and torch {torch.__version__} is built for {', '.join(built)}: install an older torch, or take"
                    " device cpu"
                )
    return None


def is_served(able: tuple[int, int], built: Sequence[str]) -> bool:
    """Whether a GPU of this compute capability runs code that was `built` for these: `sm_86`, machine code, for its own
    generation from there on; `compute_90`, which the driver translates, for all from there on."""
    for one in built:
        kind, _, digits = one.partition("_")
        digits = digits.rstrip("af")  # sm_90a: for that one alone
        major, minor = int(digits[:-1]), int(digits[-1])
        if (major == able[0] and minor <= able[1]) if kind == "sm" else (major, minor) <= able:
            return True
    return False


CHECKS = (precision, device)
