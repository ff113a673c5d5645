"""The published checkpoints: each name has its place in our networks, and their files are read safely and whole."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from avsep import published as published_weights
from avsep.errors import InputError
from avsep.models.ccol import CCoL
from avsep.models.clip import build_clip
from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.models.vast import VAST
from avsep.published import (
    ABOUT_CCOL,
    ABOUT_PIXELS,
    ABOUT_VAST,
    CCOL_NETS,
    PIXELS_NETS,
    UNUSED,
    ccol_state,
    import_ccol,
    import_folder,
    import_pixels,
    import_vast,
    main,
    pixels_names,
    read_file,
)
from avsep.weights.about import About, Kind, read_about, refuse_other
from avsep.weights.ccol import CCOL
from avsep.weights.checkpoints import hash_of, load_into, load_weights, save_weights
from avsep.weights.sound_of_pixels import SOUND_OF_PIXELS
from avsep.weights.vast import VAST as OF_VAST
from tests.golden import compute
from tests.helpers import factories
from tests.helpers.factories import tiny_ccol
from tests.helpers.published_files import ccol_files, vast_files, write_published

ROOT = Path(__file__).parents[2]
SHAPES = compute.published_shapes(compute.HERE / "ccol_align_corners_true.npz")


def published() -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in SHAPES.items()}


def test_every_published_tensor_has_one_place_and_its_shape() -> None:
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in CCoL(shared_trunk=False).state_dict().items()}
    state = {name: tuple(value.shape) for name, value in ccol_state(published()).items()}
    assert state == ours


def test_exactly_the_four_unused_layers_are_dropped() -> None:
    dropped = sorted(name for name in SHAPES if UNUSED.match(name))
    layers = ("fc_a1", "fc_a2", "fc_v1", "fc_v2")
    assert dropped == sorted(f"grounding.{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias"))
    assert len(ccol_state(published())) == len(SHAPES) - len(dropped)


@pytest.mark.parametrize(
    "name", ["other.weight", "sound.unet_block.model.9.weight", "frame_ground.features.9.0.weight", "frame.head.weight"]
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        ccol_state({**published(), name: torch.empty(1, device="meta")})


def test_the_golden_files_list_the_same_tensors() -> None:
    assert compute.published_shapes(compute.HERE / "ccol_align_corners_false.npz") == SHAPES
    assert sum(int(np.prod(shape)) for shape in SHAPES.values()) > 30e6


# --- Files

Files = dict[str, dict[str, Tensor]]  # net -> its state dict
LEVELS = factories.UNET["unet_levels"]


def drifted_ccol() -> CCoL:
    """Whose two frame encoders have norms of their own, as the published training leaves them."""
    network = tiny_ccol(shared_trunk=False)
    network.frames.trunk_dilated.bn1.running_mean += 1.0  # type: ignore[union-attr, operator]
    return network


@pytest.mark.parametrize("zipped", [True, False])  # torch before 1.6 wrote no zip files
@pytest.mark.parametrize("saved", ["best", "latest"])
def test_ccol_files_give_the_networks_that_they_were(tmp_path: Path, zipped: bool, saved: str) -> None:
    network = drifted_ccol()
    folder = write_published(tmp_path, ccol_files(network.state_dict(), LEVELS), saved, zipped)
    state = import_ccol(folder, tiny_ccol(seed=1, shared_trunk=False), saved)
    assert list(state) == list(network.state_dict())
    for name, value in network.state_dict().items():
        assert torch.equal(state[name], value), name


def test_what_data_parallel_puts_before_names_is_taken_off(tmp_path: Path) -> None:
    network = drifted_ccol()
    files = {
        n: {f"module.{name}": v for name, v in own.items()}
        for n, own in ccol_files(network.state_dict(), LEVELS).items()
    }
    state = import_ccol(write_published(tmp_path, files), network)
    assert torch.equal(state["separation.visual.weight"], network.separation.visual.weight)


def lacking(files: Files) -> None:
    del files["frame"]["features.7.0.bn1.weight"]


def foreign(files: Files) -> None:
    files["synthesizer"]["gate"] = torch.zeros(1)


def wider(files: Files) -> None:
    files["grounding"]["fc1.weight"] = torch.zeros(512, 7)


def twice(files: Files) -> None:
    files["sound"]["module.bn0.weight"] = files["sound"]["bn0.weight"]


def no_network(files: Files) -> None:
    files["grounding"] = {"history": [1, 2]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lacking, r"frame_best\.pth lacks features\.7\.0\.bn1\.weight"),
        (foreign, r"synthesizer_best\.pth holds gate"),
        (wider, r"grounding_best\.pth: fc1\.weight has shape \(512, 7\)"),
        (twice, r"sound_best\.pth holds bn0\.weight twice"),
        (no_network, r"grounding_best\.pth is no state dict"),
        (lambda files: files.pop("sound_ground"), r"sound_ground_best\.pth is missing"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Files], object], told: str
) -> None:
    network = drifted_ccol()
    files = ccol_files(network.state_dict(), LEVELS)
    spoil(files)
    with pytest.raises(InputError, match=told):
        import_ccol(write_published(tmp_path, files), network)


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return (Path.touch, (tmp_path / "ran",))

    with (tmp_path / "sound_best.pth").open("wb") as file:
        pickle.dump({"bn0.weight": Trap()}, file, protocol=2)
    with pytest.raises(InputError, match=r"sound_best\.pth is no file of torch's that holds named tensors alone$"):
        read_file(tmp_path / "sound_best.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("legacy", [True, False])
def test_a_damaged_file_is_told_in_a_line(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "sound_best.pth"
    torch.save({"bn0.weight": torch.ones(3)}, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    for content in (b"", b"not a network\n", *(whole[:length] for length in range(10, len(whole) - 1, 7))):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"sound_best\.pth is no ") as told:
            read_file(path)
        assert len(str(told.value).splitlines()) == 1


def test_vast_files_give_the_network_that_it_was(tmp_path: Path) -> None:
    network, clip = VAST(3, **factories.VAST), build_clip(**factories.CLIP)
    files = vast_files(network.state_dict(), clip.state_dict())
    files["frame"] = {name: v.half() if v.is_floating_point() else v for name, v in files["frame"].items()}
    state = import_vast(write_published(tmp_path, files), VAST(5, **factories.VAST), clip.state_dict())
    assert state.pop("captions").shape == (0, factories.VAST["embedding"]), "the files hold none"
    assert all(torch.equal(state[f"unet.{name}"], value) for name, value in network.unet.state_dict().items())


def test_weights_without_captions_are_loaded_and_asked(tmp_path: Path) -> None:
    network, clip = VAST(3, **factories.VAST), build_clip(**factories.CLIP)
    state = import_vast(
        write_published(tmp_path, vast_files(network.state_dict(), clip.state_dict())), network, clip.state_dict()
    )
    save_weights(tmp_path / "best.safetensors", state)
    again = VAST(0, **factories.VAST)
    load_into(again, load_weights(tmp_path / "best.safetensors"), tmp_path)


def test_the_tower_of_another_clip_is_refused(tmp_path: Path) -> None:
    network, clip = VAST(3, **factories.VAST), build_clip(**factories.CLIP)
    folder = write_published(tmp_path, vast_files(network.state_dict(), clip.state_dict()))
    with pytest.raises(InputError, match=r"frame_best\.pth: visual\..* has other values than the CLIP that evaluation"):
        import_vast(folder, network, build_clip(**factories.CLIP).state_dict())


def test_a_refused_folder_leaves_one_line_and_no_file(tmp_path: Path) -> None:
    """Tiny networks are no published ones: the first wrong shape is told."""
    folder = write_published(tmp_path / "ckpt", ccol_files(drifted_ccol().state_dict(), LEVELS))
    with pytest.raises(SystemExit) as stopped:
        main(["import", str(folder), str(tmp_path / "out/best.safetensors")])
    assert str(stopped.value).startswith("error: ") and "\n" not in str(stopped.value)
    assert "the published network's (64, 1, 3, 3)" in str(stopped.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="is no folder"):
        import_folder(tmp_path / "nothing")


def test_weights_go_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_weights, "import_folder", lambda *_: ({"a": torch.zeros(1)}, ABOUT_CCOL))
    (tmp_path / "cyclic").mkdir()
    (tmp_path / "file").touch()
    for out, told in {
        "cyclic": "is no file of weights: give checkpoints/cyclic/best.safetensors",
        "trimodal": "is no file of weights",
        "file/best.safetensors": "cannot be written: ",
    }.items():
        with pytest.raises(SystemExit, match=f"^error: .*{out} {told}"):
            main(["import", str(tmp_path), str(tmp_path / out)])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cyclic", "file"]
    main(["import", str(tmp_path), str(tmp_path / "cyclic/best.safetensors")])
    assert read_about(tmp_path / "cyclic/best.safetensors") == ABOUT_CCOL


@pytest.mark.parametrize(
    ("kind", "about"),
    [(CCOL, ABOUT_CCOL), (OF_VAST, ABOUT_VAST), (SOUND_OF_PIXELS, ABOUT_PIXELS)],
    ids=lambda part: getattr(part, "system", ""),
)
def test_they_are_of_the_published_params(kind: Kind, about: About, tmp_path: Path) -> None:
    """Those of conf/config.yaml, in any stage's place; whatever the grid, which the authors do not tell."""
    values = yaml.safe_load((ROOT / "conf/config.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "best.safetensors"
    save_weights(path, {}, about.entry)
    assert set(kind.params) - set(about.params) == {"spectrogram.align_corners"}
    assert set(about.sizes) == {*kind.sizes, *kind.own}
    for aligned in (True, False):
        values["spectrogram"]["align_corners"] = aligned
        refuse_other(path, kind, values, "cyclic")
    values["spectrogram"]["hop"] = 504
    with pytest.raises(InputError, match=r"with spectrogram\.hop 256, params\.yaml says 504: restore the params$"):
        refuse_other(path, kind, values, "cyclic")


# --- Sound of Pixels, whose networks CCoL's separation was made of


def pixels_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A CCoL's separation, and the ResNet that it sees with, under the names of Sound of Pixels."""
    named = {name.replace("trunk_dilated.", "trunk."): value for name, value in state.items() if "dilated" in name}
    return {**named, **{name: value for name, value in state.items() if name.startswith("separation.")}}


def test_every_published_tensor_of_sound_of_pixels_has_one_place_and_its_shape() -> None:
    with torch.device("meta"):
        state = pixels_state(CCoL(shared_trunk=False).state_dict())
    names = pixels_names(state, 7)
    theirs = {name: shape for name, shape in SHAPES.items() if name.partition(".")[0] in PIXELS_NETS}
    assert {names[ours]: tuple(value.shape) for ours, value in state.items()} == theirs
    assert len(set(names.values())) == len(state)


def test_sound_of_pixels_files_give_the_networks_that_they_were(tmp_path: Path) -> None:
    own = pixels_state(drifted_ccol().state_dict())
    files: Files = {net: {} for net in PIXELS_NETS}
    for ours, theirs in pixels_names(own, LEVELS).items():
        net, _, name = theirs.partition(".")
        files[net][name] = own[ours]
    other = pixels_state(tiny_ccol(seed=1, shared_trunk=False).state_dict())
    state = import_pixels(write_published(tmp_path, files), other, LEVELS)
    assert list(state) == list(other) and all(torch.equal(state[name], value) for name, value in own.items())
    old = {net: {n: v for n, v in held.items() if not n.endswith("tracked")} for net, held in files.items()}
    state = import_pixels(write_published(tmp_path, old), other, LEVELS)  # as torch before 0.4.1 wrote them
    assert all(torch.equal(state[name], value) for name, value in own.items() if not name.endswith("tracked"))
    del files["frame"]["fc.bias"]
    with pytest.raises(InputError, match=r"frame_best\.pth lacks fc\.bias"):
        import_pixels(write_published(tmp_path, files), other, LEVELS)


@pytest.mark.slow
def test_a_folder_of_three_files_is_sound_of_pixels(tmp_path: Path) -> None:
    """At the published sizes, through the command, into the network that baseline's checkpoint is loaded into."""
    files: Files = {net: {} for net in PIXELS_NETS}
    for name, shape in SHAPES.items():
        net, _, parameter = name.partition(".")
        if net in files:
            files[net][parameter] = compute.published_tensor(0, name, shape, net)
    out = tmp_path / "checkpoints/baseline/best.safetensors"
    main(["import", str(write_published(tmp_path / "ckpt", files)), str(out)])
    network = SoundOfPixels()
    load_into(network, load_weights(out), out)
    assert torch.equal(network.separation.visual.weight, files["frame"]["fc.weight"])


@pytest.mark.slow
def test_golden_ccol_goes_through_the_real_files(tmp_path: Path) -> None:
    """The six files with the golden formula's weights -> the networks whose numbers tests/golden compares."""
    files: Files = {net: {} for net in CCOL_NETS}
    for name, shape in SHAPES.items():
        net, _, parameter = name.partition(".")
        files[net][parameter] = compute.published_tensor(0, name, shape, net)
    files["grounding"]["fc3.bias"] = torch.zeros(2)
    folder, out = write_published(tmp_path / "ckpt", files), tmp_path / "checkpoints/cyclic/best.safetensors"
    main(["import", str(folder), str(out)])
    assert read_about(out) == ABOUT_CCOL
    CCoL(**ABOUT_CCOL.keywords).load_state_dict(load_weights(out))
    state, golden = load_weights(out), compute.ccol_networks(0).state_dict()
    assert set(state) == set(golden) and all(torch.equal(state[name], value) for name, value in golden.items())


@pytest.mark.slow
def test_golden_vast_goes_through_the_real_files(tmp_path: Path) -> None:
    shapes = compute.published_shapes(compute.HERE / "vast_align_corners_true.npz")
    clip = build_clip(**factories.CLIP)  # its sizes are the evaluation's affair
    files = vast_files(VAST(0, **factories.VAST).state_dict(), clip.state_dict())
    files["sound"] = {name: compute.published_tensor(0, name, shape, "vast") for name, shape in shapes.items()}
    folder, out = write_published(tmp_path / "ckpt", files), tmp_path / "checkpoints/trimodal/best.safetensors"
    save_weights(tmp_path / "clip.safetensors", clip.state_dict())
    main(["import", str(folder), str(out), "--clip", str(tmp_path / "clip.safetensors")])
    assert read_about(out).clip == hash_of(clip.state_dict())
    VAST(**read_about(out).keywords).load_state_dict(load_weights(out))
    state, golden = load_weights(out), compute.vast_networks(0, torch.zeros(0, 1024)).state_dict()
    assert set(state) == set(golden) and all(torch.equal(state[name], value) for name, value in golden.items())
