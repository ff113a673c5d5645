"""VAST's objective against its formula, written out in plain numbers, and who learns from it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from avsep.models.vast import VAST, Seen, visual_query
from avsep.training.vast import see, validate
from stages import finetune
from stages.trimodal import PUBLISHED, objective
from tests.helpers.factories import CLIP, SPECTROGRAM, noise, tiny_clip, tiny_heard, tiny_waves

B, N, P, Q, V = 3, 2, 4, 8, 5  # clips, frames, positions, values of an embedding, captions
WEIGHTS = {"visual_masks": 0.7, "text_masks": 0.3, "consistency": 0.2, "classification": 0.1}


def tiny_vast() -> VAST:
    torch.manual_seed(0)
    networks = VAST(V, levels=3, channels=2, embedding=Q)
    networks.captions.copy_(noise(V, Q, seed=50))
    return networks


def tiny_asked(networks: VAST, seed: int = 0) -> dict[str, Seen]:
    numbers = {"A": torch.tensor([0, 1, 2]), "C": torch.tensor([3, 4, 1])}
    return {
        name: Seen(noise(B, N, P, Q, seed=seed + i), networks.captions[rows], rows)
        for i, (name, rows) in enumerate(numbers.items())
    }


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(x - max(logits)) for x in logits]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("masked", ["log", "linear"])
def test_the_loss_is_its_formula(masked: str) -> None:
    networks, heard = tiny_vast().eval(), tiny_heard(B)
    seen = tiny_asked(networks)
    with torch.no_grad():
        found = {n: float(v) for n, v in objective(networks, heard, seen, weights=WEIGHTS, masked=masked).items()}
        maps = networks.unet.encode(heard.mixture.log())
        by_picture = {n: networks.unet.decode(maps, clip.tokens.flatten(1, 2).amax(1)) for n, clip in seen.items()}
        by_caption = {n: networks.unet.decode(maps, clip.sentence) for n, clip in seen.items()}
        sounds = {}
        for name, mask in by_picture.items():
            kept = heard.mixture.log() * mask if masked == "log" else (heard.mixture * mask + 1e-10).log()
            sounds[name] = networks.unet.embed(kept).double().numpy()

    def l1(masks: Mapping[str, Tensor]) -> float:
        return float(np.mean([(heard.weight * (masks[n] - heard.target(n, 5.0)).abs()).mean() for n in seen]))

    divergences, entropies = [], []
    for name, clip in seen.items():
        tokens, captions = clip.tokens.double().numpy(), networks.captions.double().numpy()
        for b in range(B):
            sound, own = sounds[name][b], int(clip.caption[b])
            classes = softmax([100 * cosine(sound, caption) for caption in captions])
            entropies.append(-math.log(classes[own]))
            for frame in tokens[b]:
                told = softmax([100 * cosine(captions[own], token) for token in frame])
                looks = softmax([100 * cosine(sound, token) for token in frame])
                divergences += [t * (math.log(t) - math.log(q)) for t, q in zip(told, looks, strict=True)]
    expected = {
        "visual_masks": l1(by_picture),
        "text_masks": l1(by_caption),
        "consistency": float(np.mean(divergences)),
        "classification": float(np.mean(entropies)),
    }
    expected["loss"] = sum(WEIGHTS[name] * value for name, value in expected.items())
    assert found == pytest.approx(expected, rel=2e-4)


def test_a_term_that_weighs_nothing_costs_no_pass() -> None:
    networks, heard = tiny_vast(), tiny_heard(B)
    seen = tiny_asked(networks)
    only = {**dict.fromkeys(PUBLISHED, 0.0), "visual_masks": 1.0}
    networks.embed = None  # type: ignore[method-assign, assignment]
    found = objective(networks, heard, seen, weights=only)
    assert set(found) == {"loss", "visual_masks"}
    assert found["loss"] == found["visual_masks"]


def test_half_of_the_masks_are_the_whole_loss_on_the_mean() -> None:
    networks, heard = tiny_vast().eval(), tiny_heard(B)
    seen = tiny_asked(networks)
    halves: dict[float, dict[str, Tensor]] = {}
    with torch.no_grad():
        whole = objective(networks, heard, seen, weights=WEIGHTS)
        for seed in range(20):  # both draws come up
            torch.manual_seed(seed)
            found = objective(networks, heard, seen, weights=WEIGHTS, asks="one")
            halves[float(found["loss"])] = dict(found)
    assert len(halves) == 2
    for name, value in whole.items():
        mean = torch.stack([half[name] for half in halves.values()]).mean()
        torch.testing.assert_close(mean, value, rtol=1e-5, atol=1e-6)


def test_half_of_the_masks_cost_half_of_the_decoding() -> None:
    networks = tiny_vast().eval()
    decoded: list[int] = []
    decode = networks.unet.decode

    def counted(maps: Sequence[Tensor], query: Tensor) -> Tensor:
        decoded.append(len(query))
        return decode(maps, query)

    networks.unet.decode = counted  # type: ignore[method-assign]
    seen = tiny_asked(networks)
    for asks in ("both", "one"):
        objective(networks, tiny_heard(B), seen, weights=WEIGHTS, asks=asks)
    assert decoded == [4 * B, 2 * B]


def test_finetuning_has_the_terms_of_the_masks() -> None:
    networks, heard = tiny_vast().eval(), tiny_heard(B)
    seen = tiny_asked(networks)
    with torch.no_grad():
        whole = objective(networks, heard, seen, weights=WEIGHTS)
        found = finetune.objective(networks, heard, seen, weights=WEIGHTS)
    assert set(found) == {"loss", "visual_masks", "text_masks"}
    assert all(torch.equal(found[name], whole[name]) for name in ("visual_masks", "text_masks"))
    torch.testing.assert_close(found["loss"], 0.7 * whole["visual_masks"] + 0.3 * whole["text_masks"])


@pytest.mark.parametrize("term", ["text_masks", "consistency", "classification"])
def test_each_term_teaches_the_network(term: str) -> None:
    networks = tiny_vast().train()
    weights = {**dict.fromkeys(PUBLISHED, 0.0), term: 1.0}
    objective(networks, tiny_heard(B), tiny_asked(networks), weights=weights)["loss"].backward()
    first = networks.unet.down[0][0].weight.grad  # type: ignore[index, union-attr]
    assert first is not None and first.abs().sum() > 0


def test_one_clip_alone() -> None:
    networks, heard = tiny_vast().eval(), tiny_heard(1)
    seen = {name: Seen(*(values[:1] for values in clip)) for name, clip in tiny_asked(networks).items()}
    assert all(math.isfinite(value) for value in objective(networks, heard, seen).values())
    assert networks.embed(heard.mixture, torch.ones_like(heard.mixture)).shape == (1, Q)


def test_validation_asks_both_ways() -> None:
    networks, heard, waves = tiny_vast().eval(), tiny_heard(B), tiny_waves(B)
    seen = tiny_asked(networks)
    with torch.no_grad():
        found = validate(networks, heard, seen, waves, spectrogram=SPECTROGRAM)
        same = {n: clip._replace(sentence=visual_query(clip.tokens)) for n, clip in seen.items()}
        both = validate(networks, heard, same, waves, spectrogram=SPECTROGRAM)
    assert set(found) == {f"{way}{score}" for way in ("", "visual_", "text_") for score in ("snri", "si_sdri")}
    assert all(values.shape == (B,) for values in found.values())
    torch.testing.assert_close(found["snri"], (found["visual_snri"] + found["text_snri"]) / 2)
    assert not torch.allclose(found["visual_snri"], found["text_snri"])
    torch.testing.assert_close(both["visual_snri"], both["text_snri"])


def test_each_source_is_asked_by_the_sentence_of_its_own_video() -> None:
    sentences = noise(4, Q, seed=1)
    features = {"A": [noise(2, N, P, Q, seed=2)], "C": [noise(2, N, P, Q, seed=3)]}
    batch = {"videos": {"A": ["x/1", "y/2"], "C": ["y/2", "z/3"]}, "features": features}
    seen = see(batch, None, {"x/1": 2, "y/2": 0, "z/3": 3}, sentences)
    assert torch.equal(seen["A"].sentence, sentences[[2, 0]])
    assert seen["C"].caption.tolist() == [0, 3]
    assert torch.equal(seen["C"].tokens, features["C"][0])


def test_the_teacher_goes_to_where_the_loop_has_put_the_pictures() -> None:
    clip, side = tiny_clip(), CLIP["image_size"]
    pictures = {name: torch.empty(1, N, 3, side, side, device="meta") for name in ("A", "C")}
    batch = {"videos": {"A": ["x/1"], "C": ["y/2"]}, "pictures": pictures}
    seen = see(batch, clip, {"x/1": 0, "y/2": 1}, noise(2, CLIP["embedding"], seed=0))
    assert {parameter.device.type for parameter in clip.parameters()} == {"meta"}
    assert all(values.device.type == "meta" for clip_sees in seen.values() for values in clip_sees)


def learning(networks: VAST) -> dict[str, Seen]:
    """What is seen beside captions that learn, and have left where they started."""
    seen = tiny_asked(networks)
    networks.captions.data += 0.3 * noise(V, Q, seed=60)
    networks.captions.requires_grad_()
    return seen


def test_captions_that_learn_are_asked_for_and_kept_near_their_start() -> None:
    networks, heard = tiny_vast().eval(), tiny_heard(B)
    seen = learning(networks)
    weights = {"visual_masks": 0.7, "text_masks": 0.3, "captions": 2.0}
    found = finetune.objective(networks, heard, seen, weights=weights)
    now = {n: clip._replace(sentence=networks.captions.detach()[clip.caption]) for n, clip in seen.items()}
    with torch.no_grad():
        masks = objective(networks, heard, now, weights=WEIGHTS)
        at_start = objective(networks, heard, seen, weights=WEIGHTS)
    torch.testing.assert_close(found["text_masks"], masks["text_masks"])
    assert not torch.allclose(found["text_masks"], at_start["text_masks"])
    gaps = [
        (float(one) - float(other)) ** 2
        for n in seen
        for row, start in zip(now[n].sentence, seen[n].sentence, strict=True)
        for one, other in zip(row, start, strict=True)
    ]
    assert float(found["captions"]) == pytest.approx(sum(gaps) / len(gaps), rel=1e-4)
    expected = 0.7 * masks["visual_masks"] + 0.3 * masks["text_masks"] + 2.0 * sum(gaps) / len(gaps)
    torch.testing.assert_close(found["loss"], expected)


@pytest.mark.parametrize("term", ["text_masks", "captions"])
def test_both_terms_teach_the_captions_of_the_batch_alone(term: str) -> None:
    networks = tiny_vast().train()
    seen = {n: Seen(*(values[:2] for values in clip)) for n, clip in learning(networks).items()}  # not caption 2
    weights = {**dict.fromkeys(("visual_masks", "text_masks", "captions"), 0.0), term: 1.0}
    finetune.objective(networks, tiny_heard(2), seen, weights=weights)["loss"].backward()
    gradient = networks.captions.grad
    assert gradient is not None
    assert gradient.abs().sum(1).gt(0).tolist() == [True, True, False, True, True]
