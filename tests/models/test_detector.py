"""The detectors: one interchangeable with torchvision's, and a small one that takes the project's ResNet-18."""

import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.ops import box_iou

from avsep.models.detector import build_detector
from avsep.models.resnet import ResNet18


def small(threshold=0.05, nms=0.5):
    return build_detector(
        "resnet18", width=8, channels=16, classes=3, min_size=72, max_size=96, threshold=threshold, nms=nms
    )


def test_resnet50_is_torchvisions():
    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=96, box_score_thresh=0.0
    ).eval()
    ours = build_detector("resnet50", width=64, channels=256, classes=3, min_size=64, max_size=96, threshold=0.0).eval()
    weights = {name: value for name, value in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in weights.items()
    }
    ours.load_state_dict(weights)
    picture = torch.rand(3, 64, 80)
    with torch.no_grad():
        (a,), (b,) = ours([picture]), theirs([picture])
    assert len(b["boxes"]) > 0
    for key in ("boxes", "labels", "scores"):
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-4)


def test_resnet18s_weights_load_into_the_backbone():
    resnet = ResNet18(8, classes=3)
    detector = small()
    body = detector.backbone.body
    body.load_state_dict({name: value for name, value in resnet.state_dict().items() if not name.startswith("fc.")})
    pictures = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = body(pictures)
        expected = resnet.eval().layer4(super(ResNet18, resnet).forward(pictures))
    torch.testing.assert_close(maps["2"], expected)


def test_training_leaves_the_batch_norm_as_it_is():
    torch.manual_seed(0)
    detector = small().train()
    before = {n: v.clone() for n, v in detector.state_dict().items() if "running" in n or "bn" in n}
    target = {"boxes": torch.tensor([[10.0, 10.0, 50.0, 60.0]]), "labels": torch.tensor([2])}
    optimiser = torch.optim.SGD([p for p in detector.parameters() if p.requires_grad], lr=0.1)
    losses = detector([torch.rand(3, 72, 96)], [target])
    sum(losses.values()).backward()
    optimiser.step()
    assert len(before) > 50
    assert all(torch.equal(detector.state_dict()[name], value) for name, value in before.items())


def test_threshold_and_nms_bound_what_comes_out():
    torch.manual_seed(0)
    pictures = [torch.rand(3, 72, 96)]
    detector = small(threshold=0.0, nms=1.0).eval()
    strict = small(threshold=0.4, nms=0.3).eval()
    strict.load_state_dict(detector.state_dict())
    with torch.no_grad():
        (everything,), (kept,) = detector(pictures), strict(pictures)
    assert len(everything["scores"]) == 10  # at most so many
    assert (kept["scores"] >= 0.4).all()
    overlap = box_iou(kept["boxes"], kept["boxes"]).fill_diagonal_(0)
    assert (overlap[kept["labels"][:, None] == kept["labels"]] <= 0.3).all()
    assert 0 < len(kept["scores"]) < 10
    assert set(kept["labels"].tolist()) <= {1, 2, 3}
