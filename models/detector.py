"""Faster R-CNN (Ren et al., NeurIPS 2015) over a ResNet with a feature pyramid (Lin et al., CVPR 2017), torchvision's.

With backbone `resnet50` it is torchvision's `fasterrcnn_resnet50_fpn`, so that detectors trained elsewhere load.
With `resnet18` it is a small one over the project's ResNet-18, for pictures that one large instrument dominates.

A detector takes a list of pictures (3, H, W) with values in [0, 1], of any sizes, and normalises them itself
(ImageNet's mean and standard deviation).  In eval mode it gives for each a dict: `boxes` (N, 4) as x1, y1, x2, y2
in pixels of that picture, `labels` (N,) from 1, `scores` (N,); in train mode, with targets, a dict of losses.
"""

from typing import Literal

from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from avsep.models.resnet import ResNet18

# The small detector's anchors: sides as shares of the picture's short side, one for each level of the pyramid
# (layer2, layer3, layer4 and that one pooled), and heights over widths.
ANCHOR_SHARES = (0.2, 0.35, 0.6, 0.9)
ANCHOR_RATIOS = (0.4, 1.0, 2.5)


def build_detector(
    backbone: Literal["resnet18", "resnet50"],
    *,
    width: int,
    channels: int,
    classes: int,
    min_size: int,
    max_size: int,
    threshold: float = 0.05,
    nms: float = 0.5,
) -> FasterRCNN:
    """A detector of `classes` classes (labels 1 to `classes`; 0 is the background) with random weights.

    `width` is that of ResNet18 and `channels` the pyramid's; both are fixed (64, 256) for resnet50.  Pictures are
    resized to a short side of `min_size` pixels, and at most `max_size` of the long one.  Detections below
    `threshold` go, and of two boxes of a class whose IoU is above `nms` the less confident one.
    The batch norm of either backbone is frozen: batches of pictures this large are too small for statistics.
    """
    options = dict(min_size=min_size, max_size=max_size, box_score_thresh=threshold, box_nms_thresh=nms)
    if backbone == "resnet50":
        features = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
        return FasterRCNN(features, num_classes=classes + 1, **options)

    resnet = ResNet18(width)
    _freeze_batch_norm(resnet)
    features = BackboneWithFPN(
        resnet,
        return_layers={"layer2": "0", "layer3": "1", "layer4": "2"},
        in_channels_list=[2 * width, 4 * width, 8 * width],
        out_channels=channels,
    )
    pool = MultiScaleRoIAlign(
        featmap_names=["0", "1", "2"],
        output_size=5,
        sampling_ratio=2,
        canonical_scale=min_size // 2,  # boxes from half the picture's height on are read from layer3, ...
        canonical_level=4,  # ... the map at 1 / 2**4 of the picture's size, smaller ones from layer2
    )
    representation = 4 * channels
    return FasterRCNN(
        features,
        rpn_anchor_generator=AnchorGenerator(
            sizes=tuple((round(share * min_size),) for share in ANCHOR_SHARES),
            aspect_ratios=(ANCHOR_RATIOS,) * len(ANCHOR_SHARES),
        ),
        rpn_pre_nms_top_n_train=256,
        rpn_post_nms_top_n_train=64,
        rpn_pre_nms_top_n_test=128,
        rpn_post_nms_top_n_test=32,
        rpn_batch_size_per_image=64,
        rpn_fg_iou_thresh=0.6,
        box_roi_pool=pool,
        box_head=TwoMLPHead(channels * 5 * 5, representation),
        box_predictor=FastRCNNPredictor(representation, classes + 1),
        box_batch_size_per_image=32,
        box_detections_per_img=10,
        **options,
    )


def _freeze_batch_norm(network: nn.Module) -> None:
    """Replaces each batch norm by one whose statistics and weights stay; the state dict keeps its names."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, FrozenBatchNorm2d(module.num_features, module.eps))
