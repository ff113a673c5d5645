"""The published checkpoints' parameter names, and ours (docs/ccol.md, Files)."""

import re
from collections.abc import Mapping

from torch import Tensor

# Layers that the published grounding network keeps and never uses.
UNUSED = re.compile(r"grounding\.fc_[va][12]\.")

_STATISTICS = {f"1.{name}": name for name in ("running_mean", "running_var", "num_batches_tracked")}
_VAST = re.compile(r"audionet_(up)?convlayer(\d+)\.(.+)")
_RESNET = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3"}
_NEST = ".model.3"  # a level of the published U-Net holds the next inner one here


def ccol_state(published: Mapping[str, Tensor], unet_levels: int = 7) -> dict[str, Tensor]:
    """Published tensors, named `<net>.<parameter>`, -> the state dict of `CCoL(shared_trunk=False)`.

    The nets are sound_ground, frame_ground, sound, frame, synthesizer and grounding.  The four unused layers are
    dropped knowingly.  Raises KeyError for a name that the published networks do not have; within sound_ground,
    grounding and synthesizer, whose names are ours, `load_state_dict` finds it.
    """
    unet = _unet_names(unet_levels)
    state = {}
    for name, tensor in published.items():
        if UNUSED.match(name):
            continue
        net, _, parameter = name.partition(".")
        if net == "sound_ground":
            state[f"grounding.sound.{parameter}"] = tensor
        elif net == "grounding":
            state[f"grounding.{parameter}"] = tensor
        elif net == "synthesizer":
            state[f"separation.synthesizer.{parameter}"] = tensor
        elif net == "sound":
            layer, _, leaf = parameter.rpartition(".")
            state[f"separation.unet.{unet[layer]}.{leaf}"] = tensor
        elif net == "frame" and parameter.startswith("fc."):
            state[f"separation.visual.{parameter.removeprefix('fc.')}"] = tensor
        elif net in ("frame_ground", "frame"):
            suffix = "_dilated" if net == "frame" else ""
            block, _, rest = parameter.removeprefix("features.").partition(".")
            if block == "7":
                state[f"frames.layer4{suffix}.{rest}"] = tensor
            else:
                state[f"frames.trunk{suffix}.{_RESNET[block]}.{rest}"] = tensor
        else:
            raise KeyError(name)
    return state


def _unet_names(levels: int) -> dict[str, str]:
    """The published U-Net is nested, outermost block first: its layers' names -> ours."""
    names = {"bn0": "norm", "unet_block.model.0": "down.0", "unet_block.model.4": f"up.{levels - 1}"}
    block = "unet_block.model.1"
    for level in range(1, levels):
        innermost = level == levels - 1
        names[f"{block}.model.1"] = f"down.{level}"
        if not innermost:
            names[f"{block}.model.2"] = f"down_norm.{level - 1}"
        up = 4 if innermost else 6
        names[f"{block}.model.{up}"] = f"up.{levels - 1 - level}"
        names[f"{block}.model.{up + 1}"] = f"up_norm.{levels - 1 - level}"
        block += _NEST
    return names


def vast_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """VAST's published tensors -> the state dict of `ConditionedUNet`. Raises KeyError for an unknown name."""
    state = {}
    for name, tensor in published.items():
        match = _VAST.fullmatch(name)
        if match is None:
            raise KeyError(name)
        up, layer, parameter = match.groups()
        level = int(layer) - 1
        state[f"{'up' if up else 'down'}.{level}.{parameter}"] = tensor
        if not up and parameter in _STATISTICS:  # one set for mixtures and separated sounds
            state[f"separated_norms.{level}.{_STATISTICS[parameter]}"] = tensor
    return state
