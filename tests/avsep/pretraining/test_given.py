"""Weights that are taken over: what is refused, and in which words."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from avsep.errors import InputError
from avsep.models.resnet import ResNet18
from avsep.pretraining import given
from avsep.weights.checkpoints import save_weights

OWN = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    return given.read_checked(path, sha256 or hashlib.sha256(path.read_bytes()).hexdigest(), "detector")


def fail(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_files_of_torch_and_of_safetensors_are_read_without_the_counts_of_steps() -> None:
    torch.save(OWN | {"a.num_batches_tracked": torch.tensor(3)}, "own.pth")
    save_weights("own.safetensors", OWN)
    for path in (Path("own.pth"), Path("own.safetensors")):
        found = read(path)
        assert found.keys() == OWN.keys() and all(torch.equal(found[name], value) for name, value in OWN.items())


def test_a_file_is_refused_before_it_is_read_if_its_hash_is_another() -> None:
    torch.save(OWN, "own.pth")
    assert read(Path("own.pth"), hashlib.sha256(Path("own.pth").read_bytes()).hexdigest().upper())
    with pytest.raises(InputError, match=r"own\.pth has the SHA-256 [0-9a-f]{64}, pretrained\.detector_sha256 is 00"):
        read(Path("own.pth"), "0" * 64)
    with pytest.raises(InputError, match=r"pretrained\.detector_path nothing\.pth cannot be read \(No such"):
        read(Path("nothing.pth"), "0" * 64)


def test_what_is_no_state_dict_or_damaged_is_refused() -> None:
    path = Path("own.pth")
    torch.save({"epoch": 3, "model": OWN}, path)
    with pytest.raises(InputError, match="is no state dict"):
        read(path)
    torch.save(nn.Linear(2, 3), path)  # a pickle that would run code
    with pytest.raises(InputError, match="is no file of torch's"):
        read(path)
    torch.save(OWN, path)
    whole = path.read_bytes()
    torch.save(OWN, path, _use_new_zipfile_serialization=False)
    older = path.read_bytes()
    for damaged in (b"", b"no weights at all", whole[:-30], whole[:300], older[:-30], older[:100]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"own\.pth is no (state dict|file of torch's)"):
            read(path)
    other = Path("own.safetensors")
    other.write_bytes(b"no weights at all")
    with pytest.raises(InputError, match=r"own\.safetensors is no safetensors file that can be read"):
        read(other)


def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ResNet18_Weights.IMAGENET1K_V1), "get_state_dict", fail)
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth could not be downloaded \(no network\): try again"):
        given.download_resnet()


def test_a_failed_download_of_clip_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(url: str) -> str:
        raise RuntimeError("the SHA256 checksum does not match")

    monkeypatch.setattr(given, "download_pretrained_from_url", other)
    with pytest.raises(InputError, match=r"CLIP RN50\.pt could not be downloaded \(the SHA256"):
        given.download_clip()


def archive(state: dict[str, Tensor], path: str) -> None:
    """A TorchScript archive as OpenAI's: half precision, and three sizes beside the weights."""
    root = nn.Module()
    for name, value in {**state, "input_resolution": torch.tensor(64), "vocab_size": torch.tensor(49408)}.items():
        *folders, leaf = name.split(".")
        part = root
        for folder in folders:
            if not hasattr(part, folder):
                part.add_module(folder, nn.Module())
            part = part.get_submodule(folder)
        part.register_buffer(leaf, value.half() if value.is_floating_point() else value)
    root.register_buffer("context_length", torch.tensor(20))
    torch.jit.script(root).save(path)


def test_openais_clip_is_read_in_single_precision_without_its_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    archive(OWN, "RN50.pt")
    asked: list[str] = []

    def download(url: str) -> str:
        asked.append(url)
        return "RN50.pt"

    monkeypatch.setattr(given, "download_pretrained_from_url", download)
    found = given.download_clip()
    assert found.keys() == OWN.keys()
    assert all(torch.equal(found[name], value) for name, value in OWN.items())
    assert all(value.dtype == torch.float32 for value in found.values())
    assert len(asked) == 1 and asked[0].endswith("/RN50.pt")
    assert any(len(part) == 64 for part in asked[0].split("/")), "the hash that open_clip checks"


def test_a_resnet_by_path_may_lack_the_counts_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(given, "download_resnet")  # nothing is
    theirs = {name: value for name, value in ResNet18(8, 5).state_dict().items() if "num_batches" not in name}
    torch.save(theirs, "resnet18.pth")
    sha256 = hashlib.sha256(Path("resnet18.pth").read_bytes()).hexdigest()
    resnet = ResNet18(8, 5)
    given.take_over_resnet(resnet, "resnet18.pth", sha256)
    own = resnet.state_dict()
    assert all(torch.equal(own[name], value) for name, value in theirs.items())
    with pytest.raises(InputError, match=r"resnet18\.pth: conv1\.weight has shape"):
        given.take_over_resnet(ResNet18(16, 5), "resnet18.pth", sha256)


def test_torchvisions_detector_of_coco_is_known_by_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    theirs = OWN | {"a.num_batches_tracked": torch.tensor(3)}
    torch.save(theirs, "coco.pth")
    with pytest.raises(InputError, match=r"open_images_start coco\.pth is not torchvision's fasterrcnn_resnet50_fpn"):
        given.read_coco_detector("coco.pth")
    with pytest.raises(InputError, match=r"pretrained\.open_images_start nothing\.pth cannot be read"):
        given.read_coco_detector("nothing.pth")
    monkeypatch.setattr(given, "_sha256_of", lambda path, param: weights.url.rpartition("-")[2][:8] + 56 * "0")
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: theirs)
    for path in ("coco.pth", None):
        found = given.read_coco_detector(path)
        assert found.keys() == OWN.keys() and all(torch.equal(found[name], value) for name, value in OWN.items())
    monkeypatch.setattr(type(weights), "get_state_dict", fail)
    with pytest.raises(InputError, match=r"could not be downloaded \(no network\): give the file as pretrained\.open"):
        given.read_coco_detector(None)
