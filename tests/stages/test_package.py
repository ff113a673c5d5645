"""Stage package with tiny random networks: what is in the folder, its card, and its bytes."""

import json
from pathlib import Path

import pytest
import yaml

from avsep.errors import InputError
from avsep.packaging.folder import KNOWN, read_package
from avsep.weights.about import read_about
from avsep.weights.checkpoints import hash_of, load_weights
from stages.package import chosen
from tests.helpers.trained import CLASSES, pack, write_measured, write_trained


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_measured(write_trained(tmp_path_factory.mktemp("run") / "trained"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_holds_what_separation_needs_and_nothing_else(root: Path) -> None:
    package = pack(root)
    found = contents(package)
    weights = {
        *("checkpoints/cyclic/best.safetensors", "checkpoints/trimodal/best.safetensors"),
        *("checkpoints/pretrained/clip.safetensors", "checkpoints/pretrained/detector.safetensors"),
    }
    assert set(found) == {"config.json", "README.md", *weights} and weights <= KNOWN
    for name in weights:
        assert found[name] == (root / name).read_bytes(), "in float32 they are what was trained"
    told = read_package(package)
    assert told.systems == ["cyclic", "trimodal"] and told.classes == CLASSES and told.gates == {"cyclic": 0}
    assert told.scores.systems["cyclic"]["nsdr"] == (1, 0.25, 3) and told.scores.pairs == 6
    assert "false_mute_rate" not in told.scores.systems["trimodal_text"], "it mutes nothing"
    assert str(root) not in found["config.json"].decode(), "no path of a machine"
    metrics = json.loads((root / "metrics/package.json").read_text(encoding="utf-8"))
    assert metrics == {"bytes": sum(map(len, found.values())), "systems": 2, "files": 4}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_same_bytes_twice(dtype: str, root: Path) -> None:
    first = contents(pack(root, dtype))
    assert contents(pack(root, dtype)) == first


def test_half_precision_takes_half_and_knows_its_clip(root: Path) -> None:
    whole = contents(pack(root))["checkpoints/pretrained/clip.safetensors"]
    package = pack(root, "float16")
    clip = load_weights(package / "checkpoints/pretrained/clip.safetensors")
    assert len(contents(package)["checkpoints/pretrained/clip.safetensors"]) < 0.6 * len(whole)
    assert {str(tensor.dtype) for tensor in clip.values() if tensor.ndim > 1} == {"torch.float16"}
    assert {str(tensor.dtype) for tensor in clip.values() if tensor.ndim == 1} <= {"torch.float32", "torch.int64"}
    assert read_about(package / "checkpoints/trimodal/best.safetensors").clip == hash_of(clip)


def test_the_card_is_the_hubs_and_tells_scores_and_limits(root: Path) -> None:
    text = (pack(root, "float16") / "README.md").read_text(encoding="utf-8")
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    told = yaml.safe_load(front)
    assert (told["license"], told["pipeline_tag"], told["library_name"]) == ("mit", "audio-to-audio", "avsep")
    assert "| Cyclic co-learning | 1.00 (0.25 to 3.00) |" in body and "-20.50 (-30.00 to -10.00)" in body
    assert "up to 4.0 kHz, mono, at 8000 Hz" in body and "drawn pictures" in body and "MIT" in body
    assert "12 train, 4 validate, 8 test, of 4 classes: cello, flute, trumpet, tuba" in body
    assert "Measured with the weights in float32" in body


def test_what_was_trained_with_other_params_is_not_packed(tmp_path: Path) -> None:
    root = write_measured(write_trained(tmp_path / "trained"))
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["spectrogram"]["n_fft"] = 1024
    (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(InputError, match=r"spectrogram\.n_fft 1022"):
        pack(root)
    assert not list((root / "checkpoints").glob("*package*"))


def test_what_is_not_scored_is_not_packed(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen(["cyclic", "trimodal"], ["trimodal", "baseline"]) == ["trimodal"] and not caplog.text
    assert chosen(["cyclic"], ["baseline", "ungated"]) == ["baseline", "ungated"]
    assert "scores none of them" in caplog.text
