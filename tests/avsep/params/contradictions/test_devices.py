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
    with pytest.raises(InputError, match=r"train\.devices is 4: this machine has 1"):
        check(changed(device="cuda", train__devices=4))
    check(changed(device="cuda"))
