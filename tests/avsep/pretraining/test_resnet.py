"""The demo's ResNet learns what squares show."""

import numpy as np
import torch

from avsep.demo.stills import Views
from avsep.models.resnet import ResNet18
from avsep.pretraining.pictures import squares
from avsep.pretraining.resnet import measure_resnet, train_resnet


def test_what_squares_show_is_learned() -> None:
    """Bright on the upper half or the lower one, which neither mirroring nor brightness changes."""
    rng = np.random.default_rng(0)
    views = []
    for number in range(16):
        picture = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
        half = slice(0, 16) if number % 2 else slice(16, 32)
        picture[half] += 150
        views.append(Views(picture, picture, picture, number % 2))
    torch.manual_seed(0)
    resnet = ResNet18(8, 2)
    (shown,) = squares([(view,) for view in views], 16, [["whole", "around", "near"]])
    train_resnet(resnet, shown, epochs=6, batch=8, lr=5e-3, seed=0, log=lambda name, losses: None)
    assert not resnet.training
    assert measure_resnet(resnet, views, batch=6) == {"accuracy_whole": 1.0, "accuracy_near": 1.0}
    turned = [view._replace(near=view.near[::-1]) for view in views]
    assert measure_resnet(resnet, turned, batch=6) == {"accuracy_whole": 1.0, "accuracy_near": 0.0}
