"""The detector on the disk: which kind it is, what it is asked, and the files of a zero-shot one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from PIL import Image

from avsep.errors import InputError
from avsep.models.detector import build_detector
from avsep.models.zero_shot import ZeroShotDetector, load_zero_shot
from avsep.weights import detectors
from avsep.weights.checkpoints import load_weights
from avsep.weights.detectors import (
    DETECTOR,
    ZERO_SHOT,
    check_zero_shot,
    find_zero_shot,
    learned_classes,
    load_detector,
    look,
    save_detector,
    save_zero_shot,
)
from tests.helpers.zero_shot import write_zero_shot

CLASSES = ["cello", "acoustic_guitar"]
HERE = (10.0, 10.0, 30.0, 30.0)
SIZES: dict[str, Any] = {"backbone": "resnet18", "width": 8, "channels": 16, "min_size": 48, "max_size": 64}
PARAMS = {"resnet": {"width": SIZES["width"]}, "detector": SIZES}
OPTIONS: dict[str, Any] = {**SIZES, "phrase": "a {}", "threshold": 0.1, "nms": 0.5, "device": "cpu"}
PUBLISHED = "0123456789abcdef0123456789abcdef01234567"  # a commit


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Brightness(torch.nn.Module):
    """Sees one thing, as bright as the picture, where there is any light."""

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.tensor(HERE))

    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        found = []
        for picture in pictures:
            light = picture.mean().reshape(1)[: int(picture.any())]
            label, boxes = torch.ones(len(light), dtype=torch.long), self.place.expand(len(light), 4)
            found.append({"scores": light, "labels": label, "boxes": boxes})
        return found


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_looking_gives_rows_whatever_the_batch(batch: int) -> None:
    pictures = [Image.new("RGB", (40, 40), (value,) * 3) for value in (51, 0, 102)]
    seen = look(Brightness(), iter(pictures), batch)
    np.testing.assert_allclose(seen, [[1, 1, 0.2, *HERE], [3, 1, 0.4, *HERE]], rtol=1e-6)
    assert look(Brightness(), [], batch).shape == (0, 7)


def test_a_faster_rcnn_knows_its_classes_and_sees_larger_pictures_with_its_own_anchors() -> None:
    network = build_detector(classes=2, **SIZES)
    save_detector(network, CLASSES, PARAMS)
    assert learned_classes() == CLASSES
    plain: Any = load_detector(classes=CLASSES, **OPTIONS)
    large: Any = load_detector(classes=CLASSES, enlarge=1.5, **OPTIONS)
    assert not plain.training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in plain.state_dict().items())
    assert (large.transform.min_size, large.transform.max_size) == ((72,), 96)
    assert large.rpn.anchor_generator.sizes == plain.rpn.anchor_generator.sizes


def test_a_zero_shot_detector_is_asked_for_each_class_in_the_phrase() -> None:
    source = write_zero_shot("grounding_dino", Path("source"))
    (source / "modeling.py").write_text("raise SystemExit('foreign code was run')")
    (source / "pytorch_model.bin").write_bytes(b"a pickle")
    check_zero_shot("grounding_dino", source)
    save_zero_shot("grounding_dino", source)
    assert learned_classes() is None
    taken = {path.name for path in ZERO_SHOT.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= taken <= set(detectors.FILES)
    assert (ZERO_SHOT / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    network = load_detector(classes=CLASSES, **OPTIONS)
    assert isinstance(network, ZeroShotDetector) and not network.training
    tokens = network.processor.tokenizer.convert_ids_to_tokens(network.ids[0].tolist())
    assert tokens[1:-1] == ["a", "cello", ".", "a", "acoustic", "guitar", "."]
    rows = look(network, [Image.new("RGB", (40, 24), (90, 60, 30))], 1)
    assert len(rows) and set(rows[:, 1]) <= {1, 2} and (rows[:, 2] >= 0.1).all()


def test_the_one_file_changes_with_any_file_of_the_folder() -> None:
    save_zero_shot("owlv2", write_zero_shot("owlv2", Path("source")))
    first = DETECTOR.read_bytes()
    save_zero_shot("owlv2", Path("source"))
    assert DETECTOR.read_bytes() == first
    config = json.loads(Path("source/processor_config.json").read_text())
    config["image_processor"]["image_mean"] = [0.5, 0.5, 0.5]
    Path("source/processor_config.json").write_text(json.dumps(config))
    save_zero_shot("owlv2", Path("source"))
    assert DETECTOR.read_bytes() != first
    (ZERO_SHOT / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"zero_shot is not what .*detector\.safetensors tells of: run stage pretrain"):
        load_detector(classes=CLASSES, **OPTIONS)


def test_one_detector_takes_the_place_of_another() -> None:
    save_zero_shot("owlv2", write_zero_shot("owlv2", Path("source")))
    save_detector(build_detector(classes=2, **SIZES), CLASSES, PARAMS)
    assert learned_classes() == CLASSES and not ZERO_SHOT.exists()


def test_files_and_phrases_that_do_not_fit_are_told_in_one_line() -> None:
    source = write_zero_shot("owlv2", Path("source"))
    with pytest.raises(InputError, match="source cannot be used as a detector grounding_dino"):
        check_zero_shot("grounding_dino", source)
    weights = write_zero_shot("owlv2", Path("cut")) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="cut cannot be used as a detector owlv2"):
        check_zero_shot("owlv2", Path("cut"))
    with pytest.raises(InputError, match="nowhere cannot be used as a detector owlv2"):
        check_zero_shot("owlv2", Path("nowhere"))
    Path("cut/config.json").unlink()
    with pytest.raises(InputError, match=r"^cut cannot be used as a detector owlv2 \(.*'cut/config\.json'\)$"):
        check_zero_shot("owlv2", Path("cut"))
    save_zero_shot("owlv2", source)
    with pytest.raises(InputError, match=r"zero_shot cannot be used as a detector owlv2 \(.* tokens, OWLv2 reads 40\)"):
        load_detector(classes=CLASSES, **{**OPTIONS, "phrase": "a photo of one who is playing {} on the street"})


def test_what_is_not_taken_over_does_not_count(tmp_path: Path) -> None:
    """transformers would find weights that are in several files."""
    source, part = write_zero_shot("owlv2", Path("source")), "model-00001-of-00001.safetensors"
    check_zero_shot("owlv2", source)
    (source / "model.safetensors").rename(source / part)
    names = {"metadata": {}, "weight_map": dict.fromkeys(load_weights(source / part), part)}
    (source / "model.safetensors.index.json").write_text(json.dumps(names))
    load_zero_shot("owlv2", source, ["a cello"], threshold=0.5, nms=0.5)
    with pytest.raises(InputError, match=r"^source cannot be used as a detector owlv2 \(.*no file named model"):
        check_zero_shot("owlv2", source)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no vocabulary"),
        (lambda folder: _relink(folder / "tokenizer.json"), "is no file of a detector that can be read"),
        (lambda folder: _change(folder / "config.json", "vision_config", 10**6), "num_hidden_layers is 1000000"),
    ],
)
def test_what_transformers_would_take_in_silence_is_refused(spoil: Callable[[Path], None], told: str) -> None:
    folder = write_zero_shot("owlv2", Path("source"))
    spoil(folder)
    with pytest.raises(InputError, match=told):
        check_zero_shot("owlv2", folder)


def _relink(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _change(path: Path, part: str, layers: int) -> None:
    values = json.loads(path.read_text())
    values[part]["num_hidden_layers"] = layers
    path.write_text(json.dumps(values))


def test_the_hub_is_asked_for_one_commit_and_for_known_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[str, str, list[str]]] = []

    def download(name: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        if name == "nobody/nothing":
            raise httpx2.ProxyError("no network")
        return "there"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_zero_shot("some/folder", None) == Path("some/folder") and not asked
    assert find_zero_shot("google/owlv2-base-patch16-ensemble", PUBLISHED) == Path("there")
    assert asked == [("google/owlv2-base-patch16-ensemble", PUBLISHED, list(detectors.FILES))]
    assert not [name for name in detectors.FILES if name.endswith((".py", ".bin", ".pt", ".pth", ".pkl"))]
    with pytest.raises(InputError, match=r"nobody/nothing at revision 0123\w+ could not be downloaded \(no network\)"):
        find_zero_shot("nobody/nothing", PUBLISHED)
