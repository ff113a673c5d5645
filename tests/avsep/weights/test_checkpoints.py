"""Weights on disk: what comes back, and what is refused."""

import os
import stat

import pytest
import torch
from torch import nn

from avsep.errors import InputError
from avsep.weights.checkpoints import (
    load_into,
    load_weights,
    read_metadata,
    save_weights,
)


def test_weights_and_metadata_come_back(tmp_path):
    network = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = tmp_path / "new" / "weights.safetensors"
    save_weights(path, network.state_dict(), metadata=("classes", '["cello", "tuba"]'))
    loaded = load_weights(path)
    assert loaded.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)
    assert read_metadata(path, "classes") == '["cello", "tuba"]'


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664)])
def test_a_file_is_readable_as_others_are_and_alone_in_its_folder(tmp_path, mask, mode):
    path = tmp_path / "weights.safetensors"
    before = os.umask(mask)
    try:
        save_weights(path, {"weight": torch.ones(2)})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_says_is_no_fault_of_safetensors(tmp_path):
    """Such as a full disk, which stages tell in one line."""
    (tmp_path / ".weights.safetensors.tmp").mkdir()
    with pytest.raises(IsADirectoryError):
        save_weights(tmp_path / "weights.safetensors", {"weight": torch.ones(2)})


def test_same_weights_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_weights(
            tmp_path / name,
            {"x": torch.arange(3.0), "y": torch.zeros(2, 2)},
            metadata=("key", "text"),
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_foreign_and_unlabelled_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        load_weights(tmp_path / "nothing.safetensors")
    with pytest.raises(InputError, match="is missing"):
        read_metadata(tmp_path / "nothing.safetensors", "classes")
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_text("no weights", encoding="utf-8")
    with pytest.raises(InputError, match="no safetensors file that can be read"):
        load_weights(foreign)
    save_weights(foreign, {"x": torch.zeros(1)})
    with pytest.raises(InputError, match="no metadata 'classes'"):
        read_metadata(foreign, "classes")


def test_weights_that_do_not_fit_are_refused_by_name():
    network = nn.Linear(2, 3)
    good = network.state_dict()
    with pytest.raises(InputError, match=r"origin lacks bias, which the network of params\.yaml has"):
        load_into(network, {"weight": good["weight"]}, "origin")
    with pytest.raises(InputError, match=r"weight has shape \(3, 4\)"):
        load_into(network, good | {"weight": torch.zeros(3, 4)}, "origin")
    with pytest.raises(InputError, match="holds extra"):
        load_into(network, good | {"extra": torch.zeros(1)}, "origin")
    load_into(network, {"weight": torch.ones(3, 2), "bias": torch.ones(3)}, "origin")
    assert network.weight.sum() == 6
