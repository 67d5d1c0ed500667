"""A linear probe: hand-made motion features and logistic regression.

It needs no GPU and no download, and tells within minutes whether a dataset can be
learnt from. The features describe movement only, so that background, clothing and
skin of a signer do not enter: where in the picture, when in the sign, and in which
direction edges move. They are histograms of normal flow (the part of the optical
flow that is seen at an edge: B. Horn, B. Schunck, "Determining optical flow", 1981),
pooled as histograms of oriented gradients are (N. Dalal, B. Triggs, 2005), with
their square root taken (R. Arandjelović, A. Zisserman, 2012).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kslds.baselines import Job, Outcome
from kslds.errors import UsageError

PIXELS = 112
"""Side to which frames are averaged down before anything else."""
CELLS = 5
"""The picture is divided into so many cells a side, overlapping by half."""
STEPS = 8
"""The time in which something moves is divided into so many parts, overlapping by half."""
DIRECTIONS = 8
NOISE = 6.0
"""Changes of a pixel up to this many grey levels are no movement."""
FLAT = 2.0
"""Where the picture's slope is at most this many grey levels a pixel, it shows no direction."""


def features(video: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Motion features of one clip.

    Args:
        video: uint8 (T, 3, H, W), T at least 2.

    Returns:
        float32 (STEPS * DIRECTIONS * CELLS * CELLS,), of length 1, or 0 where nothing moves.
    """
    frames = np.ascontiguousarray(_shrink(_shrink(video.astype(np.float32), axis=2), axis=3))
    change = np.diff(frames, axis=0)
    slope_y, slope_x = np.gradient((frames[1:] + frames[:-1]) / 2, axis=(2, 3))
    # Of the three colours, the one that changes most says what happens at a pixel.
    strongest = np.abs(change).argmax(axis=1, keepdims=True)
    change, slope_y, slope_x = (
        np.take_along_axis(values, strongest, axis=1)[:, 0] for values in (change, slope_y, slope_x)
    )
    strength = np.maximum(np.abs(change) - NOISE, 0) * (np.hypot(slope_x, slope_y) > FLAT)
    # Few pixels move; only they are looked at from here on.
    moving = np.flatnonzero(strength)
    # An edge moves against its slope where the pixel brightens, along it where it darkens.
    sign = -np.sign(change.flat[moving])
    angle = np.arctan2(sign * slope_y.flat[moving], sign * slope_x.flat[moving])
    turns = angle / (2 * np.pi) % 1 * DIRECTIONS
    # Each pixel counts for the two nearest directions, by nearness.
    below = np.floor(turns)
    flow = np.zeros(DIRECTIONS * strength.size)
    for side in (0, 1):
        direction = (below.astype(np.int64) + side) % DIRECTIONS
        weights = strength.flat[moving] * np.abs(1 - side - (turns - below))
        flow += np.bincount(direction * strength.size + moving, weights, len(flow))
    flow = flow.reshape(DIRECTIONS, *strength.shape)
    cells = _overlapping(CELLS, start=0.0, stop=PIXELS, size=PIXELS)
    start, stop = _active(strength.sum(axis=(1, 2)))
    steps = _overlapping(STEPS, start=start, stop=stop, size=len(change))
    pooled = np.einsum("dthw,st,yh,xw->sdyx", flow, steps, cells, cells, optimize=True).ravel()
    return np.asarray(np.sqrt(pooled / max(pooled.sum(), 1e-6)), dtype=np.float32)


def _shrink(values: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    """Average one axis down to `PIXELS`; a shorter axis is repeated up."""
    values = np.moveaxis(values, axis, -1)
    size = values.shape[-1]
    if size % PIXELS:
        edges = np.arange(PIXELS + 1) * size // PIXELS
        counts = np.maximum(np.diff(edges), 1)
        means = np.add.reduceat(values, edges[:-1], axis=-1) / counts
    else:  # the same, and much faster
        step = size // PIXELS
        means = sum(values[..., i::step] for i in range(step)) / np.float32(step)
    return np.moveaxis(np.asarray(means, dtype=np.float32), -1, axis)


def _active(strength: NDArray[np.float32]) -> tuple[float, float]:
    """The time, in frame intervals, in which all but 3 % at either end of the movement lies."""
    total = np.concatenate([[0.0], np.cumsum(strength, dtype=np.float64)])
    if total[-1] <= 0:
        return 0.0, float(len(strength))
    start, stop = np.interp([0.03, 0.97], total / total[-1], np.arange(len(total)))
    return float(start), float(stop)


def _overlapping(parts: int, *, start: float, stop: float, size: int) -> NDArray[np.float32]:
    """Triangular weights (parts, size) of the units [i, i + 1) in equal parts of [start, stop)."""
    width = max((stop - start) / parts, 1e-6)
    centres = start + (np.arange(parts)[:, None] + 0.5) * width
    apart = np.abs(np.arange(size) + 0.5 - centres) / width
    return np.maximum(1 - apart, 0).astype(np.float32)


def fit(job: Job) -> Outcome:
    """Fit the probe on the training split and predict the test split."""
    from sklearn.linear_model import LogisticRegression

    settings = job.settings
    if settings.weights or settings.from_scratch:
        raise UsageError(f"{settings.model} has no weights to load or to leave out.")
    if (settings.num_frames or 0) < 2:
        raise UsageError(f"{settings.model} needs at least 2 frames per clip to see movement.")
    began = time.monotonic()
    train = dict(_described(job, settings.train_split, job.targets(job.train)))
    # The features share one scale; dividing each by its own spread would blow up the
    # cells in which hardly anybody ever moves.
    model = LogisticRegression(C=100.0, max_iter=1000, random_state=settings.seed)
    model.fit(
        np.stack([train[example.key] for example in job.train]),
        [example.target for example in job.train],
    )
    seconds = time.monotonic() - began
    test = dict(_described(job, settings.test_split, job.targets(job.test)))
    keys = [example.key for example in job.test]
    guesses: list[Any] = model.predict(np.stack([test[key] for key in keys])).tolist()
    return Outcome(
        predicted=dict(zip(keys, guesses, strict=True)),
        train_seconds=seconds,
        facts={"features": int(model.coef_.shape[1]), "iterations": int(model.n_iter_.max())},
    )


def _described(
    job: Job, split: str, wanted: dict[str, int]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Key and features of every labelled clip of a split."""
    stage, done = f"features of {split}", 0
    for sample in job.stream(split, rank=0, world_size=1):
        if sample["key"] not in wanted:
            continue
        yield sample["key"], features(sample["video"])
        done += 1
        if job.progress is not None:
            job.progress(stage, done, len(wanted))
