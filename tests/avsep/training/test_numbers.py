"""What becomes of a step whose numbers went bad. The loop itself is test_loop.py's."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from avsep.errors import InputError
from avsep.training.numbers import EARLY, IN_A_ROW, OnNan, WatchNumbers, clips_of, lower

VIDEOS = {"A": ["cello/a", "cello/b"], "B": ["flute/a", "flute/a"]}


class Trained:
    """A parameter at 1 and a running mean, by SGD at rate 0.5, with a gradient of 1: a good step moves it to 0.5."""

    def __init__(self, on_nan: OnNan, state: Path, *, scaled: bool = False) -> None:
        norm: Any = nn.BatchNorm1d(1)
        self.module = norm
        self.module.loss_of_step, self.module.videos_of_step, self.module.share = torch.zeros(()), VIDEOS, 2
        self.logged: dict[str, float] = {}
        self.module.log = lambda name, value, **_: self.logged.update({name: value})
        self.optimizer = torch.optim.SGD([self.module.weight], lr=0.5, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 10)
        self.trainer: Any = SimpleNamespace(
            global_step=6, current_epoch=1, is_global_zero=True,
            strategy=SimpleNamespace(reduce=lambda value, **_: value),
            lr_scheduler_configs=[SimpleNamespace(scheduler=scheduler)],
        )  # fmt: skip
        self.watch = WatchNumbers("cyclic", on_nan, scaled=scaled, state=state)

    def step(self, loss: float = 1.0, gradient: float = 1.0) -> None:
        self.watch.on_train_batch_start(self.trainer, self.module, {}, 0)
        self.module.running_mean.fill_(loss)
        self.module.loss_of_step = torch.tensor(loss)
        self.module.weight.grad = torch.tensor([gradient])
        self.watch.on_before_optimizer_step(self.trainer, self.module, self.optimizer)
        self.optimizer.step()

    @property
    def value(self) -> float:
        return float(self.module.weight.detach())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "9").mkdir()
    (tmp_path / "10").mkdir()
    return tmp_path


def test_a_good_step_is_taken_and_its_norm_logged(state: Path) -> None:
    trained = Trained("stop", state)
    trained.step(gradient=-3.0)
    assert trained.value == 2.5 and trained.logged == {"train/gradient_norm": 3.0}


@pytest.mark.parametrize(
    ("loss", "gradient", "told"),
    [
        (math.nan, math.nan, "the loss is nan"),
        (math.inf, 1.0, "the loss is inf"),
        (1.0, math.nan, "norm is nan"),
        (1.0, math.inf, "norm is inf"),
    ],
)
def test_stop_names_step_clips_and_checkpoint(state: Path, loss: float, gradient: float, told: str) -> None:
    trained = Trained("stop", state)
    with pytest.raises(InputError, match=told) as refused:
        trained.step(loss, gradient)
    said = str(refused.value)
    assert "step 7, in epoch 2, of clips cello/a, cello/b, flute/a:" in said and str(state / "10/last.ckpt") in said
    assert trained.value == 1.0


def test_before_a_whole_epoch_there_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no epoch was whole yet"):
        Trained("stop", tmp_path).step(math.nan)


def test_a_loss_that_explodes_is_bad_and_a_high_one_is_not(state: Path) -> None:
    trained = Trained("stop", state)
    trained.step(0.5)
    for _ in range(EARLY - 1):
        trained.step(0.1)
    trained.step(499.0)
    with pytest.raises(InputError, match=r"the loss is 501, and was 0\.5 at most in the first 50 steps"):
        trained.step(501.0)


def test_the_first_steps_tell_what_is_usual_and_are_never_too_high(state: Path) -> None:
    trained = Trained("stop", state)
    trained.step(1e-3)
    trained.step(1e3)


def test_skip_leaves_the_step_out(state: Path) -> None:
    trained = Trained("skip", state)
    trained.step(0.25)
    before = trained.value
    trained.step(math.nan, math.nan)
    assert trained.value == before and trained.module.running_mean == 0.25, "not even momentum moves it"
    trained.step(0.5)
    assert trained.value != before and trained.module.running_mean == 0.5
    assert trained.watch.counts == {"skipped": 1, "lowered": 0} and trained.optimizer.param_groups[0]["lr"] == 0.5


def test_lower_halves_the_rates_for_good(state: Path) -> None:
    trained = Trained("lower", state)
    trained.step(math.nan)
    group, scheduler = trained.optimizer.param_groups[0], trained.trainer.lr_scheduler_configs[0].scheduler
    assert group["lr"] == group["initial_lr"] == 0.25 and scheduler.base_lrs == [0.25]
    assert trained.watch.counts == {"skipped": 1, "lowered": 1}


def test_lower_holds_for_a_schedule_that_computes_its_rates_anew() -> None:
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [1.0], total_steps=10, cycle_momentum=False)
    rates = []
    trainer: Any = SimpleNamespace(lr_scheduler_configs=[SimpleNamespace(scheduler=schedule)])
    for step in range(9):
        if step == 5:
            lower(trainer, optimizer)
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    plain = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.SGD([weight], lr=1.0), [1.0], total_steps=10, cycle_momentum=False
    )
    expected = []
    for _ in range(9):
        plain.optimizer.step()
        plain.step()
        expected.append(plain.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([*expected[:5], *(rate / 2 for rate in expected[5:])])


@pytest.mark.parametrize("on_nan", ["skip", "lower"])
def test_one_bad_step_after_the_other_ends_the_training(state: Path, on_nan: OnNan) -> None:
    trained = Trained(on_nan, state)
    for _ in range(IN_A_ROW):
        trained.step(math.nan)
    trained.step()
    for _ in range(IN_A_ROW):
        trained.step(math.nan)
    with pytest.raises(InputError, match="as 10 before it"):
        trained.step(math.nan)


def test_gradients_that_overflow_belong_to_16_mixed(state: Path) -> None:
    trained = Trained("stop", state, scaled=True)
    trained.step(1.0, math.inf)
    with pytest.raises(InputError, match="the loss is nan"):
        trained.step(math.nan)


def test_counts_outlive_a_stop(state: Path) -> None:
    trained = Trained("skip", state)
    trained.step(math.nan)
    other = WatchNumbers("cyclic", "skip", scaled=False, state=state)
    other.load_state_dict(trained.watch.state_dict())
    assert other.counts == {"skipped": 1, "lowered": 0}


def test_of_many_clips_the_first_are_named() -> None:
    assert clips_of({}) == "unknown"
    assert clips_of({"A": [f"v{number}" for number in range(9)]}).endswith("v7, ...")
