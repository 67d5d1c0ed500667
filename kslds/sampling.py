"""Which frames of a clip are read: the rules of the papers, each with its formula.

N is the number of frames of the clip, T the number wanted (`num_frames`); frames count
from 0. Where a formula says *random*, the number comes from the seed, the epoch and the
sample's place in the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kslds.errors import UsageError

_MOST = 100_000


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How frames are chosen.

    - ``uniform``: the middles of T equal parts, ``floor((k + 0.5) * N / T)``; with `random` the
      0.5 is a random offset in [0, 1), the same for all parts. N < T repeats frames.
    - ``step``: ``start + k * step``, the last frame repeated where the clip ends (Training
      Strategies for Isolated Sign Language Recognition: 32 frames, step 2). ``step=0`` is
      ``max(1, N // T)``. With ``span = (T - 1) * step + 1`` the last possible start is
      ``L = max(0, N - span)``; the start is ``L // 2``, or of several windows the j-th of
      `windows`, ``round(j * L / (windows - 1))`` (as PySlowFast and mmaction2 test), or with
      `random` any from 0 to L.
    - ``all``: every frame.

    Raises:
        UsageError: A value has the wrong type or range.
    """

    rule: Literal["uniform", "step", "all"] = "uniform"
    step: int = 0
    """Frames from one to the next, for ``step``; 0 spreads T frames over the whole clip."""
    random: bool = False
    """A random start, anew in each epoch."""
    windows: int = 1
    """How many times T frames are taken of one clip, for evaluation; each window has another
    start. More than 1: the sample's video is (windows, T, C, H, W)."""
    margin: int = 0
    """Frames of context that the clips were cut with on either side of the sign (`margin_ms`).
    They are left out, but for what `jitter` takes in."""
    jitter: tuple[int, int] = (0, 0)
    """Each boundary of the sign moves outward by a random number of frames from this range,
    both ends included; less than 0 is inward. (-5, 5) is the boundary shift of Training
    Strategies (Table 6), (-5, 0) what it does on WLASL and AUTSL, whose clips have no context.
    Boundaries stay within the clip and at least one frame apart."""

    @property
    def is_random(self) -> bool:
        """Do the frames differ from epoch to epoch?"""
        return self.random or self.jitter != (0, 0)

    def __post_init__(self) -> None:
        if self.rule not in ("uniform", "step", "all"):
            raise UsageError(f"rule={self.rule!r} is not one of uniform, step, all.")
        for name, least in (("step", 0), ("windows", 1), ("margin", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= _MOST:
                raise UsageError(f"{name}={value!r}: expected a whole number, at least {least}.")
        if self.step and self.rule != "step":
            raise UsageError(
                f"step={self.step}: the rule {self.rule!r} has no steps; say rule='step'."
            )
        if self.rule == "all" and (self.random or self.windows > 1):
            raise UsageError("the rule 'all' takes every frame: nothing is random or repeated.")
        jitter = self.jitter
        if (
            not isinstance(jitter, tuple | list)
            or [type(n) for n in jitter] != [int, int]
            or not -_MOST <= jitter[0] <= jitter[1] <= _MOST
        ):
            raise UsageError(f"jitter={jitter!r}: expected two whole numbers, ascending.")


SAMPLINGS: Mapping[str, Sampling] = {
    "uniform": Sampling(),
    "random": Sampling(random=True),
    "step": Sampling(rule="step", step=2),
    "random-step": Sampling(rule="step", step=2, random=True),
    # K-RSL: f_i, f_{i+s}, …, n terms, s = m // n, i random in 1..s + m mod n. (The paper writes
    # n + 1 terms, of which the last would lie beyond the clip.)
    "equal-distance": Sampling(rule="step", step=0, random=True),
    "all": Sampling(rule="all"),
}
"""The samplings that have a name."""


def named(sampling: object) -> Sampling:
    """The sampling of a name, or itself.

    Raises:
        UsageError: There is none of this name.
    """
    if isinstance(sampling, Sampling):
        return sampling
    if not isinstance(sampling, str) or sampling not in SAMPLINGS:
        raise UsageError(f"sampling={sampling!r:.60} is not one of {', '.join(SAMPLINGS)}.")
    return SAMPLINGS[sampling]


def frame_indices(
    num_frames: int,
    *,
    wanted: int | None,
    sampling: str | Sampling = "uniform",
    rng: np.random.Generator | None = None,
) -> list[int]:
    """Which frames of a clip to read.

    Args:
        num_frames: Frames of the clip, at least 1.
        wanted: How many of them; None for all.
        sampling: A `Sampling` or its name.
        rng: Source of what is random; without it nothing is.

    Returns:
        `wanted` ascending indices, below `num_frames`; one such run after the other where
        there are several windows.
    """
    rule = named(sampling)
    if rng is None and rule.is_random:
        rule = replace(rule, random=False, jitter=(0, 0))
    first, end = _window(num_frames, rule, rng)
    length = end - first
    if rule.rule == "all" or wanted is None:
        return list(range(first, end))
    take = _uniform if rule.rule == "uniform" else _step
    return [
        first + min(index, length - 1)
        for window in range(rule.windows)
        for index in take(length, wanted, rule, window, rng)
    ]


def _window(num_frames: int, rule: Sampling, rng: np.random.Generator | None) -> tuple[int, int]:
    """The part of the clip to choose from, [first, end)."""
    margin = min(rule.margin, (num_frames - 1) // 2)
    low, high = rule.jitter
    before, after = (0, 0) if rng is None or (low, high) == (0, 0) else (
        int(n) for n in rng.integers(low, high, size=2, endpoint=True)
    )  # fmt: skip
    first = min(max(margin - before, 0), num_frames - 1)
    end = min(max(num_frames - margin + after, first + 1), num_frames)
    return first, end


def _uniform(
    length: int, wanted: int, rule: Sampling, window: int, rng: np.random.Generator | None
) -> list[int]:
    if rule.random and rng is not None:
        offset = float(rng.random())
    else:
        offset = (window + 0.5) / rule.windows
    return [int((k + offset) * length / wanted) for k in range(wanted)]


def _step(
    length: int, wanted: int, rule: Sampling, window: int, rng: np.random.Generator | None
) -> list[int]:
    step = rule.step or max(1, length // wanted)
    last_start = max(0, length - (wanted - 1) * step - 1)
    if rule.random and rng is not None:
        start = int(rng.integers(0, last_start, endpoint=True))
    elif rule.windows > 1:
        start = round(window * last_start / (rule.windows - 1))
    else:
        start = last_start // 2
    return [start + k * step for k in range(wanted)]
