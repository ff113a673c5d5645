"""What weights tell of themselves: the same bytes each time, enough to build their network, and refused by name."""

import copy
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from avsep.errors import InputError
from avsep.models.ccol import CCoL
from avsep.models.clip import FrozenCLIP, build_clip
from avsep.models.detector import build_detector
from avsep.models.resnet import ResNet18
from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.models.ungated import Ungated
from avsep.models.vast import VAST
from avsep.systems.catalogue import STAGES, entry_of
from avsep.systems.load import load_systems
from avsep.weights import ccol, clip, resnet, sound_of_pixels, ungated, vast
from avsep.weights import detectors as detector_weights
from avsep.weights.about import (
    FORMAT,
    KEY,
    PUBLISHED,
    About,
    Kind,
    describe,
    own_version,
    read_about,
    refuse_other,
)
from avsep.weights.checkpoints import hash_of, load_weights, save_weights
from avsep.weights.clip import CLIP, clip_hash
from tests.helpers.factories import CLASSES, SIZE, UNET, WIDTH, noise, tiny_ccol, tiny_clip, tiny_heard
from tests.helpers.outcomes import PARAMS, networks, tiny_setup, write_weights
from tests.helpers.weights import KINDS, TINY_DETECTOR, save_tiny_detector, save_trained

ROOT = Path(__file__).parents[3]
CYCLIC = Path("checkpoints/cyclic/best.safetensors")
TRIMODAL = Path("checkpoints/trimodal/best.safetensors")
TRAINED = (ccol.CCOL, ungated.UNGATED, sound_of_pixels.SOUND_OF_PIXELS, vast.VAST)
ALL = (*TRAINED, clip.KIND, resnet.KIND, detector_weights.KIND)
SECTIONS = {**PARAMS, **TINY_DETECTOR}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(name: str, value: Any) -> dict[str, dict[str, Any]]:
    """PARAMS with another value of one."""
    section, leaf = name.split(".")
    values = copy.deepcopy(SECTIONS)
    values[section][leaf] = value
    return values


def an_about(**changes: Any) -> About:
    about = describe(ccol.CCOL, "cyclic", PARAMS, classes=CLASSES)
    return About(**{**vars(about), **changes})


# --- The entry


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.system)
def test_it_is_read_as_it_was_written(kind: Kind) -> None:
    about = describe(kind, "some", SECTIONS, classes=["b", "a"], clip="f00", sizes=dict.fromkeys(kind.own, 3))
    save_weights("one.safetensors", {"x": torch.zeros(1)}, about.entry)
    assert read_about("one.safetensors") == about
    assert About.from_text(about.to_text()) == about
    assert about.classes == ("b", "a"), "a detector's are in the order of its labels"


def test_it_is_one_entry_of_sorted_json_that_tells_nothing_of_time_or_place() -> None:
    key, text = an_about().entry
    told = json.loads(text)
    assert key == KEY and text == json.dumps(told, sort_keys=True) and told["format"] == FORMAT
    assert set(told) == {"format", "system", "stage", "sizes", "params", "classes", "versions"}
    assert str(Path.cwd()) not in text and "/" not in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert told["versions"] == {"avsep": project["version"], "torch": torch.__version__} and own_version() != "unknown"


def test_two_processes_write_the_same_bytes() -> None:
    code = (
        "import sys; from pathlib import Path; from tests.helpers.outcomes import write_weights;"
        "write_weights(Path(sys.argv[1]))"
    )
    for folder, seed in (("one", "1"), ("other", "2")):
        subprocess.run(
            [sys.executable, "-c", code, folder],
            check=True,
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
        )
    written = [
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*.safetensors")} for f in map(Path, ("one", "other"))
    ]
    assert len(written[0]) == len(STAGES) + 1 and written[0] == written[1]


def test_a_hash_is_of_the_weights_and_not_of_what_they_tell() -> None:
    weights = tiny_clip().clip.state_dict()
    save_weights("one.safetensors", weights)
    save_weights("two.safetensors", dict(reversed(weights.items())), an_about().entry)
    assert clip_hash(Path("one.safetensors")) == clip_hash(Path("two.safetensors")) == hash_of(weights)
    name = "logit_scale"
    assert hash_of({**weights, name: weights[name] + 1}) != hash_of(weights)
    assert hash_of({**weights, name: weights[name].double()}) != hash_of(weights)
    assert hash_of({**weights, name: weights[name][None]}) != hash_of(weights)
    assert hash_of({("other" if key == name else key): value for key, value in weights.items()}) != hash_of(weights)


# --- The file alone


def masks_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """What it separates from a mixture."""
    network.eval()
    heard = tiny_heard(2)
    if isinstance(network, VAST):
        masks: dict[str, torch.Tensor] = network.separate(heard.mixture, {"A": noise(2, 8, seed=1)})
        return masks
    assert isinstance(network, CCoL | SoundOfPixels | Ungated)
    pictures = {name: noise(2, 1, 3, SIZE, SIZE, seed=n) for n, name in enumerate("AB")}
    mixture = heard.mixture if isinstance(network, SoundOfPixels) else heard.log_mixture
    masks = network.separate(mixture, {name: network.frames(own) for name, own in pictures.items()})
    return network.let_through(masks) if isinstance(network, SoundOfPixels) else masks


@torch.no_grad()
@pytest.mark.parametrize(
    "make",
    [
        lambda: tiny_ccol(3),
        lambda: tiny_ccol(3, shared_trunk=False),
        lambda: tiny_ccol(3, query_std=1.0),
        lambda: networks()["ungated"],
        lambda: SoundOfPixels(WIDTH, **UNET, binary=True),
        lambda: SoundOfPixels(WIDTH, **UNET, binary=False),
        lambda: networks()["trimodal"],
    ],
    ids=[
        "CCoL",
        "CCoL with a trunk each",
        "CCoL with standardised maps",
        "ungated",
        "Sound of Pixels",
        "Sound of Pixels with ratio masks",
        "VAST",
    ],
)
def test_a_network_is_built_of_its_file_alone(make: Callable[[], nn.Module]) -> None:
    network = make()
    params = changed("model.query_std", getattr(network, "query_std", None))
    params["baseline"]["masks"] = "binary" if getattr(network, "binary", False) else "ratio"
    save_trained(CYCLIC, network, params)
    rebuilt = type(network)(**read_about(CYCLIC).keywords)
    rebuilt.load_state_dict(load_weights(CYCLIC))
    expected, found = masks_of(network), masks_of(rebuilt)
    assert expected and expected.keys() == found.keys()
    assert all(torch.equal(mask, found[name]) for name, mask in expected.items())


@torch.no_grad()
def test_what_is_pretrained_is_built_of_its_file_alone() -> None:
    save_trained(Path("pretrained/resnet18.safetensors"), ResNet18(WIDTH, 5), PARAMS)
    again = ResNet18(**read_about("pretrained/resnet18.safetensors").keywords)
    again.load_state_dict(load_weights("pretrained/resnet18.safetensors"))
    save_trained(CLIP, tiny_clip().clip, PARAMS)
    teacher = FrozenCLIP(build_clip(**read_about(CLIP).keywords))
    teacher.clip.load_state_dict(load_weights(CLIP))
    picture = noise(1, 3, 64, 64, seed=0)
    assert torch.equal(teacher.picture(picture), tiny_clip().picture(picture))
    save_tiny_detector(build_detector(**TINY_DETECTOR["detector"], width=WIDTH, classes=5), CLASSES)
    about = read_about(detector_weights.DETECTOR)
    assert about.classes == CLASSES and about.sizes["classes"] == 5
    build_detector(**about.keywords).load_state_dict(load_weights(detector_weights.DETECTOR))


@pytest.mark.parametrize("kind", TRAINED, ids=lambda kind: kind.system)
def test_how_it_hears_and_sees_is_told(kind: Kind) -> None:
    told = describe(kind, "some", PARAMS).params
    assert told["spectrogram.hop"] == PARAMS["spectrogram"]["hop"] and told["extract.rate"] == PARAMS["extract"]["rate"]
    assert told["audio.samples"] == PARAMS["audio"]["samples"]
    assert {name for name in told if name.endswith((".fps", ".stride"))}


# --- Others are refused


def of_other(name: str) -> Any:
    """Another value of a param than SECTIONS'."""
    section, leaf = name.split(".")
    value = SECTIONS[section][leaf]
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value[:-1], value[-1] + 1]
    return value * 2 if isinstance(value, int | str) else 1.5


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ALL for name in (*kind.sizes.values(), *kind.params)],
    ids=lambda part: part if isinstance(part, str) else part.system,
)
def test_each_param_of_another_value_is_refused_by_its_name(kind: Kind, name: str) -> None:
    save_weights(CYCLIC, {}, describe(kind, "cyclic", SECTIONS).entry)
    refuse_other(CYCLIC, kind, SECTIONS, "cyclic")
    with pytest.raises(InputError) as refused:
        refuse_other(CYCLIC, kind, changed(name, of_other(name)), "cyclic")
    section, leaf = name.split(".")
    was, now = (json.dumps(value) for value in (SECTIONS[section][leaf], of_other(name)))
    assert str(refused.value) == (
        f"{CYCLIC} was trained with {name} {was}, params.yaml says {now}: train it again, or restore the params"
    )


def test_told_values_and_versions_may_be_others() -> None:
    about = describe(vast.VAST, "trimodal", PARAMS, classes=["other"])
    about.versions["torch"] = "0.1"
    save_weights(TRIMODAL, {}, about.entry)
    refuse_other(TRIMODAL, vast.VAST, changed("vast.phrase", "the {}"), "trimodal")
    assert read_about(TRIMODAL).params["vast.phrase"] == PARAMS["vast"]["phrase"]


@pytest.mark.parametrize(
    ("stage", "name", "value"),
    [
        ("cyclic", "spectrogram.hop", 8),
        ("baseline", "spectrogram.align_corners", False),
        ("trimodal", "extract.rate", 2000),
        ("finetune", "audio.samples", 511),
        ("trimodal", "vast.stride", 3),
        ("colearning", "model.unet_channels", 4),
        ("trimodal", "clip.text_heads", 1),  # of the same shapes
    ],
)
def test_systems_are_not_loaded_with_other_params(stage: str, name: str, value: Any) -> None:
    write_weights(Path())
    load_systems([stage], tiny_setup())
    values = changed(name, value)
    with pytest.raises(InputError, match=rf"was trained with {name} .*, params\.yaml says") as refused:
        load_systems([stage], tiny_setup(params=values, clip=values["clip"]))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("stage", ["trimodal", "finetune"])
def test_another_clip_of_the_same_shapes_is_refused(stage: str) -> None:
    write_weights(Path())
    save_trained(CLIP, tiny_clip(seed=1).clip, PARAMS)
    with pytest.raises(InputError, match=rf"{stage}/best\.safetensors was taught by another CLIP than .*clip\.safet"):
        load_systems([stage], tiny_setup())


def test_another_stages_file_and_another_systems_are_refused() -> None:
    save_trained(CYCLIC, tiny_ccol(), PARAMS, stage="colearning")
    with pytest.raises(
        InputError, match=r"cyclic/best\.safetensors was made by stage colearning, where stage cyclic's"
    ):
        load_systems(["cyclic"], tiny_setup())
    save_trained(CYCLIC, networks()["baseline"], PARAMS)
    with pytest.raises(InputError, match=r"holds weights of sound_of_pixels, where those of ccol should be"):
        load_systems(["cyclic"], tiny_setup())
    save_trained(CYCLIC, tiny_ccol(), PARAMS, stage=PUBLISHED)
    assert entry_of("cyclic").name in load_systems(["cyclic"], tiny_setup()), "the authors' may stand for any stage's"


@pytest.mark.parametrize("path", [CYCLIC, CLIP], ids=["trained", "pretrained"])
def test_weights_without_the_entry_are_refused(path: Path) -> None:
    write_weights(Path())
    save_weights(path, load_weights(path))
    with pytest.raises(
        InputError, match=r"does not say what it was trained with, it is older .*avsep\.published"
    ) as told:
        load_systems(["cyclic" if path == CYCLIC else "trimodal"], tiny_setup())
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def tampered(**changes: Any) -> str:
    told = json.loads(an_about().to_text())
    return json.dumps({**told, **changes})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged"),
        (an_about().to_text()[:-3], "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("[]", "is none"),
        ("{}", "is none"),
        (tampered(format=FORMAT + 1), f"has format {FORMAT + 1}, and this version reads {FORMAT}"),
        (tampered(system=3), "is damaged at system"),
        (tampered(sizes=[1]), "is damaged at sizes"),
        (tampered(sizes={"resnet_width": {"a": 1}}), "is damaged at sizes.resnet_width"),
        (tampered(classes="cello"), "is damaged at classes"),
        (tampered(more=1), "is damaged at more"),
        (tampered(sizes={}), "does not say of what shared_trunk it is"),
        (tampered(sizes={**an_about().sizes, "shared_trunk": "no"}), "does not say of what shared_trunk it is"),
        (tampered(sizes={**an_about().sizes, "device": "x"}), "tells of device, which ccol has not"),
        (tampered(sizes={"shared_trunk": True}), "does not say with what resnet.width it was trained"),
        (tampered(params={}), "does not say with what extract.rate it was trained"),
        (tampered(sizes={**an_about().sizes, "unet_levels": 10**9}), "was trained with model.unet_levels 1000000000"),
    ],
)
def test_a_description_that_was_tampered_with_is_refused_in_one_line(text: str, words: str) -> None:
    save_weights(CYCLIC, tiny_ccol().state_dict(), (KEY, text))
    with pytest.raises(InputError) as refused:
        load_systems(["cyclic"], tiny_setup())
    assert words in str(refused.value) and str(CYCLIC) in str(refused.value) and "\n" not in str(refused.value)


def test_every_network_has_its_kind() -> None:

    assert {kind.system for kind in KINDS.values()} | {detector_weights.KIND.system} == {kind.system for kind in ALL}
    assert len({kind.system for kind in ALL}) == len(ALL)
