"""Which frames are read: the formulas, and what holds for every clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kslds.errors import UsageError
from kslds.sampling import SAMPLINGS, Sampling, frame_indices


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@st.composite
def samplings(draw: st.DrawFn) -> Sampling:
    low = draw(st.integers(-20, 20))
    rule = draw(st.sampled_from(["uniform", "step"]))
    return Sampling(
        rule=rule,
        step=draw(st.integers(0, 9)) if rule == "step" else 0,
        random=draw(st.booleans()),
        windows=draw(st.integers(1, 5)),
        margin=draw(st.integers(0, 30)),
        jitter=(low, low + draw(st.integers(0, 10))),
    )


@given(st.integers(1, 400), st.integers(1, 64), samplings(), st.integers(0, 2**40))
def test_frames_are_as_many_as_wanted_ascending_and_in_the_clip(
    number: int, wanted: int, sampling: Sampling, seed: int
) -> None:
    got = np.array(frame_indices(number, wanted=wanted, sampling=sampling, rng=rng(seed)))
    windows = got.reshape(sampling.windows, wanted)
    assert (np.diff(windows, axis=1) >= 0).all()
    assert got.min() >= 0
    assert got.max() < number
    again = frame_indices(number, wanted=wanted, sampling=sampling, rng=rng(seed))
    assert again == got.tolist()


@given(st.integers(1, 400), st.integers(1, 64), st.integers(0, 2**40))
def test_equal_distance_is_k_rsl_s_sampler(m: int, n: int, seed: int) -> None:
    """S = (f_i, f_{i+s}, …, f_{i+(n-1)s}), s = m // n, i in 1..s+k, k = m mod n; counted from 1."""
    got = [i + 1 for i in frame_indices(m, wanted=n, sampling="equal-distance", rng=rng(seed))]
    s, k = divmod(m, n)
    if s == 0:  # The paper says nothing of clips that are too short: the last frame is repeated.
        assert got == [min(i, m) for i in range(1, n + 1)]
    else:
        assert got == list(range(got[0], got[0] + n * s, s))
        assert 1 <= got[0] <= s + k


def test_every_start_of_equal_distance_occurs() -> None:
    # m = 11, n = 4: s = 2, k = 3, so i is 1..5.
    starts = {
        frame_indices(11, wanted=4, sampling="equal-distance", rng=rng(n))[0] for n in range(200)
    }
    assert starts == {0, 1, 2, 3, 4}


def test_steps_take_the_middle_and_repeat_the_last_frame() -> None:
    assert frame_indices(90, wanted=32, sampling="step") == list(range(13, 13 + 64, 2))
    assert frame_indices(10, wanted=8, sampling="step") == [0, 2, 4, 6, 8, 9, 9, 9]
    assert frame_indices(63, wanted=32, sampling="step") == list(range(0, 63, 2))
    assert frame_indices(9, wanted=3, sampling=Sampling(rule="step", step=1)) == [3, 4, 5]


def test_windows_are_spread_over_the_clip() -> None:
    three = Sampling(rule="step", step=2, windows=3)
    assert frame_indices(20, wanted=4, sampling=three) == [
        *(0, 2, 4, 6), *(6, 8, 10, 12), *(13, 15, 17, 19)
    ]  # fmt: skip
    two = Sampling(windows=2)
    assert frame_indices(8, wanted=2, sampling=two) == [1, 5, 3, 7]
    short = frame_indices(3, wanted=2, sampling=Sampling(rule="step", step=5, windows=2))
    assert short == [0, 2, 0, 2]


def test_a_margin_is_left_out_and_jitter_reaches_into_it() -> None:
    every = {"wanted": None, "sampling": Sampling(margin=5)}
    assert frame_indices(30, **every) == list(range(5, 25))
    assert frame_indices(9, **every) == [4]
    firsts, lasts = set(), set()
    for seed in range(300):
        got = frame_indices(
            30, wanted=None, sampling=Sampling(margin=5, jitter=(-5, 5)), rng=rng(seed)
        )
        assert got == list(range(got[0], got[-1] + 1))
        firsts.add(got[0])
        lasts.add(got[-1])
    assert (firsts, lasts) == (set(range(11)), set(range(19, 30)))


def test_jitter_without_context_only_cuts() -> None:
    cut = Sampling(rule="all", jitter=(-5, 0))
    spans = {
        (got[0], got[-1])
        for seed in range(400)
        for got in [frame_indices(20, wanted=None, sampling=cut, rng=rng(seed))]
    }
    assert spans == {(a, b) for a in range(6) for b in range(14, 20)}
    assert frame_indices(20, wanted=None, sampling=cut) == list(range(20))  # nothing is random here
    assert frame_indices(1, wanted=3, sampling=Sampling(jitter=(-5, 5)), rng=rng()) == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rule": "middle"}, "rule='middle'"),
        ({"step": -1}, "step=-1"),
        ({"windows": 0}, "windows=0"),
        ({"windows": 2.0}, r"windows=2\.0"),
        ({"margin": -3}, "margin=-3"),
        ({"jitter": (5, -5)}, "ascending"),
        ({"jitter": 5}, "two whole numbers"),
        ({"rule": "all", "windows": 2}, "takes every frame"),
        ({"rule": "uniform", "step": 3}, "step=3: the rule 'uniform' has no steps"),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sampling(**values)


@pytest.mark.parametrize("name", list(SAMPLINGS))
def test_every_name_works_and_is_documented(name: str) -> None:
    from kslds.loader import load

    assert frame_indices(50, wanted=None if name == "all" else 5, sampling=name, rng=rng())
    assert f"``{name}``" in (load.__doc__ or "")
