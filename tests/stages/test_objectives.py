"""The phases' objectives against their formulas, written out sample by sample, and who learns from them."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avsep.clips.index import OBJECTS, PAIRS, SOUNDING
from avsep.clips.mixtures import Heard
from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.training.losses import Gates, gate, gated_separation, negative, positive
from avsep.training.masks import weighted_l1
from stages import baseline, colearning, cyclic, grounding, ungated
from tests.helpers.factories import (
    SAMPLES,
    SIZE,
    UNET,
    WIDTH,
    hear_tiny,
    noise,
    part_of_batch,
    tiny_ccol,
    tiny_heard,
    tiny_seen,
)

B = 6
PHASES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "grounding": grounding.objective,
    "colearning": colearning.objective,
    "cyclic": cyclic.objective,
}
each_phase = pytest.mark.parametrize("phase", PHASES)


# Given networks look at nothing.
UNSEEN = {name: FrameFeatures(torch.empty(0), torch.empty(0)) for name in OBJECTS}


class Given:
    """Networks of which every logit and every mask is given."""

    def __init__(self, logits: Mapping[tuple[str, str], Tensor], masks: Mapping[str, Tensor]) -> None:
        self.logits, self.masks = logits, masks

    def ground(self, log_sounds: Mapping[str, Tensor], seen: Mapping[str, FrameFeatures]) -> Callable[..., Tensor]:
        return lambda sound, name: self.logits[sound, name]

    def separate(self, log_mixture: Tensor, seen: Mapping[str, FrameFeatures]) -> dict[str, Tensor]:
        return dict(self.masks)


def given(heard: Heard, seed: int = 0) -> Given:
    sounds = [*SOUNDING, "mixture"]
    pairs = [(sound, name) for sound in sounds for name in OBJECTS]
    logits = {pair: 2 * noise(B, 2, seed=seed + i) for i, pair in enumerate(pairs)}
    masks = {name: noise(*heard.mixture.shape, seed=seed + 50 + i).sigmoid() for i, name in enumerate(OBJECTS)}
    return Given(logits, masks)


class ByHand:
    """One sample's terms of ccol.md (Losses), in plain numbers."""

    def __init__(self, networks: Given, heard: Heard, b: int) -> None:
        self.networks, self.heard, self.b = networks, heard, b

    def ce(self, sound: str, name: str, target: int) -> float:
        logits = self.networks.logits[sound, name][self.b].tolist()
        return math.log(sum(math.exp(x) for x in logits)) - logits[target]

    def plus(self, sound: str, name: str) -> float:
        return self.ce(sound, name, 0)

    def minus(self, sound: str, name: str) -> float:
        return self.ce(sound, name, 1)

    def s(self, name: str) -> int:
        sounding, silent = self.networks.logits["mixture", name][self.b].tolist()
        return int(sounding > silent)

    def mask(self, name: str) -> np.ndarray:
        return self.networks.masks[name][self.b].numpy().astype(np.float64)

    def l1(self, mask: np.ndarray, target: str) -> float:
        mixture = self.heard.mixture[self.b].numpy().astype(np.float64)
        ratio = np.clip(self.heard.solo[target][self.b].numpy() / mixture, 0, 5)
        weight = np.clip(np.log1p(mixture), 1e-3, 10)
        return float(np.mean(weight * np.abs(mask - ratio)))

    def separation(self) -> float:
        pairs = (("A", "B"), ("C", "D"))
        return sum(self.l1(self.s(x) * self.mask(x) + self.s(y) * self.mask(y), x) for x, y in pairs) / 2

    def grounding(self) -> float:
        return min(self.plus("A", "A"), self.plus("A", "B")) + self.minus("C", "A")

    def colearning(self) -> float:
        pairs = (("A", "B"), ("C", "D"))
        mixture = sum(min(self.plus("mixture", x), self.plus("mixture", y)) for x, y in pairs)
        return self.separation() + 0.25 * (self.grounding() + mixture)

    def distances(self) -> dict[str, float]:
        return {x: self.l1(self.mask(x), target) for x, target in zip("ABCD", "AACC", strict=True)}

    def cyclic(self, threshold: float = 0.1) -> float:
        d = self.distances()
        a = round(1 - d["A"] / (d["A"] + d["B"]))
        c = round(1 - d["C"] / (d["C"] + d["D"]))
        sounds = {"A": a, "B": 1 - a, "C": c, "D": 1 - c}
        solo = a * self.plus("A", "A") + (1 - a) * self.plus("A", "B") + self.minus("C", "A")
        positives = sum(sounds[x] * self.plus("mixture", x) for x in OBJECTS)
        negatives = sum((1 - sounds[x]) * (d[x] > threshold) * self.minus("mixture", x) for x in OBJECTS)
        return self.separation() + 0.25 * (positives + negatives) + 0.5 * solo


# --- The formulas


def test_cross_entropies() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    small, large = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    torch.testing.assert_close(positive(logits), torch.tensor([small, large]))
    torch.testing.assert_close(negative(logits), torch.tensor([large, small]))


def test_weighted_l1_is_a_mean_of_each_sample() -> None:
    mask, target = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    weight = torch.tensor([1.0, 2.0, 3.0, 6.0]).reshape(1, 1, 2, 2).expand(2, -1, -1, -1).clone()
    weight[1] *= 10
    torch.testing.assert_close(weighted_l1(mask, target, weight), torch.tensor([3.0, 30.0]))


def test_gates_are_rounded_and_let_no_gradient_through() -> None:
    logits = torch.tensor([[0.1, 0.0], [0.0, 0.1]], requires_grad=True)
    gates = gate(logits)
    assert gates.shape == (2, 1, 1, 1)
    assert gates.flatten().tolist() == [1, 0]
    assert not gates.requires_grad


@each_phase
def test_the_loss_is_the_formula(phase: str) -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    by_hand = [getattr(ByHand(networks, heard, b), phase)() for b in range(B)]
    loss = PHASES[phase](networks, heard, UNSEEN)["loss"]
    assert loss.item() == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_the_threshold_of_the_negative_terms() -> None:
    """Also between the two distances of a pair, where each object meets its own."""
    heard = tiny_heard(B)
    networks = given(heard)
    hands = [ByHand(networks, heard, b) for b in range(B)]
    distances = sorted(d for hand in hands for d in hand.distances().values())
    between = [(low + high) / 2 for low, high in itertools.pairwise(distances)]
    losses = []
    for threshold in (0.0, *between, 1e6):
        by_hand = np.mean([hand.cyclic(threshold) for hand in hands])
        loss = cyclic.objective(networks, heard, UNSEEN, distance_threshold=threshold)["loss"]  # type: ignore[arg-type]
        assert loss.item() == pytest.approx(by_hand, rel=1e-5)
        losses.append(loss.item())
    assert losses[0] > losses[-1] + 0.1


def test_weights_of_the_terms() -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    separation = np.mean([ByHand(networks, heard, b).separation() for b in range(B)])
    nothing = cyclic.objective(networks, heard, UNSEEN, mixture_weight=0, solo_weight=0)  # type: ignore[arg-type]
    assert nothing["loss"].item() == pytest.approx(separation, rel=1e-5)
    alone = colearning.objective(networks, heard, UNSEEN, grounding_weight=0)  # type: ignore[arg-type]
    assert alone["loss"].item() == pytest.approx(separation, rel=1e-5)


def test_the_loss_of_separation_alone_is_the_formula() -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    hands = [ByHand(networks, heard, b) for b in range(B)]
    expected = np.mean([(h.l1(h.mask("A"), "A") + h.l1(h.mask("C"), "C")) / 2 for h in hands])
    assert ungated.objective(networks, heard, {})["loss"].item() == pytest.approx(expected, rel=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("binary", [True, False])
def test_the_loss_of_sound_of_pixels_is_the_formula(binary: bool) -> None:
    heard = tiny_heard(B)
    torch.manual_seed(0)
    networks = SoundOfPixels(WIDTH, **UNET, binary=binary)
    pictures = {n: noise(B, 2, 3, SIZE, SIZE, seed=i) for i, n in enumerate(SOUNDING)}
    seen = {name: networks.frames(picture) for name, picture in pictures.items()}
    masks = {
        name: mask.detach().double().numpy() for name, mask in networks.eval().separate(heard.mixture, seen).items()
    }
    mixture = heard.mixture.double().numpy()
    weight = np.log1p(mixture).clip(1e-3, 10)
    losses = []
    for name in SOUNDING:
        solo, mask = heard.solo[name].double().numpy(), masks[name]
        if binary:
            louder = solo > 0.5 * mixture
            losses.append(-(weight * np.where(louder, np.log(mask), np.log(1 - mask))).mean())
        else:
            losses.append((weight * np.abs(mask - (solo / mixture).clip(0, 5))).mean())
    loss = baseline.objective(networks, heard, seen)["loss"]
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-4)
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in networks.frames.trunk.parameters()), "its ResNet learns"


def test_where_nothing_sounds_no_source_is_louder() -> None:
    """As published, which adds 1e-10 to the mixture's magnitude alone."""
    waves = {name: torch.zeros(1, SAMPLES) for name in SOUNDING}
    waves["A"][:, :100] = 0.1 * noise(1, 100, seed=0)
    heard = hear_tiny(waves)
    louder = {name: heard.louder(name) for name in SOUNDING}
    assert louder["A"][..., 0].any() and not louder["A"][..., -1].any() and not louder["C"].any()


def test_a_frozen_sound_of_pixels_learns_nothing_of_its_frames() -> None:
    heard = tiny_heard(B)
    networks = SoundOfPixels(WIDTH, **UNET, frozen=True).train()
    before = {name: value.clone() for name, value in networks.frames.state_dict().items()}
    seen = {name: networks.frames(noise(B, 2, 3, SIZE, SIZE, seed=i)) for i, name in enumerate(SOUNDING)}
    baseline.objective(networks, heard, seen)["loss"].backward()
    assert all(p.grad is None for p in networks.frames.parameters())
    assert all(torch.equal(value, before[name]) for name, value in networks.frames.state_dict().items())


def test_what_cyclic_tells_grounding() -> None:
    """Perfect masks of A and C, and of B and D instead."""
    heard = tiny_heard(B)
    networks = given(heard)
    wrong = {name: torch.zeros_like(heard.mixture) for name in OBJECTS}
    for right_ones, told_right in (("AC", 1.0), ("BD", 0.0)):
        perfect = {x: heard.target(t, 5.0) for x, t in zip(right_ones, SOUNDING, strict=True)}
        values = cyclic.objective(Given(networks.logits, {**wrong, **perfect}), heard, UNSEEN)  # type: ignore[arg-type]
        assert values["told_right"] == told_right
        name = "distance_sounding" if told_right else "distance_silent"
        assert values[name] == 0
        assert values["loss"].isfinite()


# --- Gated separation


def opened(*names: str) -> Callable[[str, str], Tensor]:
    """Grounding for which just these objects sound in the mixture."""
    return lambda sound, name: torch.tensor([[4.0, 0.0] if name in names else [0.0, 4.0]]).expand(B, 2)


@pytest.mark.parametrize(
    ("names", "muted", "doubled"),
    [("AC", 0, 0), ("BD", 0, 0), ("", 1, 0), ("ABCD", 0, 1), ("A", 0.5, 0), ("ABC", 0, 0.5), ("CD", 0.5, 0.5)],
)
def test_gates_weigh_a_pairs_masks_and_are_counted(names: str, muted: float, doubled: float) -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    separated = gated_separation(networks, opened(*names), heard, {}, 5.0)  # type: ignore[arg-type]
    assert separated.counts["pairs_muted"] == muted
    assert separated.counts["pairs_doubled"] == doubled
    for pair in ("AB", "CD"):
        expected = sum((networks.masks[x] for x in pair if x in names), torch.zeros_like(heard.mixture))
        torch.testing.assert_close(separated.pair_masks[pair[0]], expected)


def test_likelier_opens_one_gate_of_each_pair() -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    odds = {"A": 1.0, "B": 3.0, "C": -4.0, "D": -5.0}  # each object by itself: both of one pair, none of the other

    def grounded(sound: str, name: str) -> Tensor:
        return torch.tensor([[odds[name], 0.0]]).expand(B, 2)

    separated = gated_separation(networks, grounded, heard, {}, 5.0, "likelier")  # type: ignore[arg-type]
    assert separated.counts["pairs_muted"] == separated.counts["pairs_doubled"] == 0
    for sounds, opens in (("A", "B"), ("C", "C")):
        torch.testing.assert_close(separated.pair_masks[sounds], networks.masks[opens])


def told_apart(right_in: str) -> Callable[[str, str], Tensor]:
    """Grounding that finds who sounds in the solos alone, or in the mixture alone, and the others elsewhere."""

    def grounded(sound: str, name: str) -> Tensor:
        right = (sound == "mixture") == (right_in == "mixture")
        return torch.tensor([[2.0 if (name in SOUNDING) == right else -1.0, 0.0]]).expand(B, 2)

    return grounded


@pytest.mark.parametrize(("gates", "right_in"), [("likelier", "mixture"), ("solo", "solos")])
def test_one_gate_opens_by_what_it_listens_to(gates: Gates, right_in: str) -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    for listens, right in ((right_in, 1), ({"mixture": "solos", "solos": "mixture"}[right_in], 0)):
        separated = gated_separation(networks, told_apart(listens), heard, {}, 5.0, gates)  # type: ignore[arg-type]
        assert separated.counts["gates_right"] == right
        opens = networks.masks["A" if right else "B"]
        torch.testing.assert_close(separated.pair_masks["A"], opens)


def test_colearning_told_by_solos_gives_the_mixture_one_object_of_each_pair() -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    by_hand = []
    for hand in (ByHand(networks, heard, b) for b in range(B)):
        value = min(hand.plus("A", "A"), hand.plus("A", "B")) + hand.minus("C", "A")
        for x, y in ("AB", "CD"):
            of_x, of_y = (hand.plus(x, name) - hand.minus(x, name) for name in (x, y))  # the smaller, the likelier
            sounds, silent = (x, y) if of_x <= of_y else (y, x)
            value += hand.plus("mixture", sounds) + hand.minus("mixture", silent)
        by_hand.append(value)
    values = colearning.objective(networks, heard, UNSEEN, told="solo")  # type: ignore[arg-type]
    assert values["grounding"].item() == pytest.approx(np.mean(by_hand), rel=1e-5)
    assert values["grounding"] != colearning.objective(networks, heard, UNSEEN)["grounding"]  # type: ignore[arg-type]


@pytest.mark.parametrize(("sure", "right"), [(4.0, 1), (0.1, 0)])
def test_cyclic_told_by_solos_asks_separation_and_the_pairs_own_sounds(sure: float, right: int) -> None:
    """Where they disagree, the one that is surer wins."""
    heard = tiny_heard(B)
    logits = {**given(heard).logits}
    for x, y in PAIRS:
        logits |= {(x, x): torch.tensor([[sure, 0.0]]).expand(B, 2), (x, y): torch.zeros(B, 2)}
    # the silent object's mask is a little nearer
    masks = {x: heard.target(t, 5.0) * part for x, t, part in zip("ABCD", "AACC", (0.8, 0.9, 0.8, 0.9), strict=True)}
    networks = Given(logits, masks)
    assert cyclic.objective(networks, heard, UNSEEN)["told_right"] == 0  # type: ignore[arg-type]
    assert cyclic.objective(networks, heard, UNSEEN, told="solo")["told_right"] == right  # type: ignore[arg-type]


# --- Batches


def networks_and_batch() -> tuple[CCoL, Heard, dict[str, FrameFeatures]]:
    networks = tiny_ccol().eval()  # else batch norm ties the samples together
    with torch.no_grad():
        networks.grounding.fc3.weight *= 30  # so that gates and minima differ from sample to sample
    return networks, tiny_heard(B), tiny_seen(networks, B)


@each_phase
def test_a_batchs_loss_is_the_mean_of_its_samples(phase: str) -> None:
    networks, heard, seen = networks_and_batch()
    together = PHASES[phase](networks, heard, seen)["loss"]
    alone = [PHASES[phase](networks, *part_of_batch(heard, seen, [b]))["loss"] for b in range(B)]
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-5, atol=1e-6)
    assert torch.stack(alone).std() > 1e-4, "equal samples would show nothing"
    permuted = PHASES[phase](networks, *part_of_batch(heard, seen, [3, 1, 5, 0, 2, 4]))["loss"]
    torch.testing.assert_close(permuted, together, rtol=1e-5, atol=1e-6)


@each_phase
def test_the_symmetric_loss_is_the_same_whichever_pair_comes_first(phase: str) -> None:
    networks, heard, seen = networks_and_batch()
    swapped = Heard(heard.mixture, {"A": heard.solo["C"], "C": heard.solo["A"]})
    swapped_seen = dict(zip("ABCD", (seen[name] for name in "CDAB"), strict=True))
    for symmetric in (True, False):
        loss = PHASES[phase](networks, heard, seen, symmetric=symmetric)["loss"].item()
        other = PHASES[phase](networks, swapped, swapped_seen, symmetric=symmetric)["loss"].item()
        assert (other == pytest.approx(loss, rel=1e-5)) == symmetric


def test_the_symmetric_warm_up_is_the_mean_of_what_each_pair_says() -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    by_hand = [
        np.mean([min(hand.plus(x, x), hand.plus(x, y)) for x, y in ("AB", "CD")])
        + np.mean([hand.minus(sound, name) for sound, names in (("A", "CD"), ("C", "AB")) for name in names])
        for hand in (ByHand(networks, heard, b) for b in range(B))
    ]
    loss = grounding.objective(networks, heard, UNSEEN, symmetric=True)["loss"]  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_as_published_colearning_takes_the_smaller_batch_mean() -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    hands = [ByHand(networks, heard, b) for b in range(B)]
    pairs = (("A", "B"), ("C", "D"))
    mixture = sum(min(np.mean([h.plus("mixture", x) for h in hands]) for x in pair) for pair in pairs)
    expected = np.mean([h.separation() + 0.25 * h.grounding() for h in hands]) + 0.25 * mixture
    published = colearning.objective(networks, heard, UNSEEN, as_published=True)["loss"].item()  # type: ignore[arg-type]
    assert published == pytest.approx(expected, rel=1e-5)
    assert published > colearning.objective(networks, heard, UNSEEN)["loss"].item() + 1e-2  # type: ignore[arg-type]


def test_as_published_cyclic_mixes_every_a_with_every_sample() -> None:
    heard = tiny_heard(B)
    networks = given(heard)
    for b in range(0, B, 2):  # a is 1 for every other sample
        networks.masks["A"][b] = heard.target("A", 5.0)[b]
        networks.masks["B"][b + 1] = heard.target("A", 5.0)[b + 1]
    ours = cyclic.objective(networks, heard, UNSEEN)["loss"].item()  # type: ignore[arg-type]
    published = cyclic.objective(networks, heard, UNSEEN, as_published=True)["loss"].item()  # type: ignore[arg-type]
    hands = [ByHand(networks, heard, b) for b in range(B)]
    a = [1 - b % 2 for b in range(B)]
    own = [x * h.plus("A", "A") + (1 - x) * h.plus("A", "B") for x, h in zip(a, hands, strict=True)]
    every = [[x * h.plus("A", "A") + (1 - x) * h.plus("A", "B") for x in a] for h in hands]  # (B, B)
    assert published - ours == pytest.approx(0.5 * (np.mean(every) - np.mean(own)), abs=1e-5)
    assert abs(published - ours) > 1e-3


# --- Who learns


def learning(networks: nn.Module, value: Tensor) -> set[str]:
    """Names of the parameters that `value` moves."""
    networks.zero_grad(set_to_none=True)
    value.backward(retain_graph=True)
    return {name for name, p in networks.named_parameters() if p.grad is not None and p.grad.any()}


def below(networks: nn.Module, prefixes: Iterable[str]) -> set[str]:
    return {name for name, _ in networks.named_parameters() if name.startswith(tuple(prefixes))}


@pytest.mark.parametrize("seed", [0, 1])
def test_which_networks_learn_in_which_phase(seed: int) -> None:
    networks = tiny_ccol(seed).train()
    heard, seen = tiny_heard(B, seed), tiny_seen(networks, B)
    with torch.no_grad():
        networks.grounding.fc3.bias.copy_(torch.tensor([5.0, -5.0]))  # gates open: the masks count

    warm_up = learning(networks, grounding.objective(networks, heard, seen)["loss"])
    assert warm_up and warm_up <= below(networks, ["grounding."])
    assert {"grounding.fc3.weight", "grounding.fc1.weight"} <= warm_up
    for objective in (colearning.objective, cyclic.objective):
        values = objective(networks, heard, seen)
        assert learning(networks, values["separation"]) == below(networks, ["separation."])
        assert learning(networks, values["grounding"]) <= below(networks, ["grounding."])
        both = learning(networks, values["loss"])
        assert below(networks, ["separation."]) < both
        assert not both & below(networks, ["frames."])
