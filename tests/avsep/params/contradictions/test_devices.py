"""What this machine computes on."""

from typing import Any

import pytest

from avsep.errors import InputError
from avsep.params.loading import check
from tests.helpers.params import assert_refused, changed

REFUSED: dict[str, dict[str, Any]] = {
    "train.precision is 16-mixed": changed(train__precision="16-mixed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="device is cuda: this machine has none"):
        check(changed(device="cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: [])
    with pytest.raises(InputError, match=r"train\.devices is 4: this machine has 1"):
        check(changed(device="cuda", train__devices=4))
    check(changed(device="cuda"))


@pytest.mark.parametrize(
    ("able", "served"),
    [((6, 1), False), ((7, 5), True), ((8, 9), True), ((9, 0), True), ((10, 3), False), ((12, 1), True)],
)
def test_a_gpu_that_the_wheel_does_not_serve_is_told(
    able: tuple[int, int], served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_86", "sm_90", "compute_120"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: able)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "a card")
    if served:
        check(changed(device="cuda"))
    else:
        with pytest.raises(
            InputError, match=rf"a card has compute capability {able[0]}\.{able[1]}, and torch .* sm_75"
        ):
            check(changed(device="cuda"))
