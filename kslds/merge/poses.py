"""Poses in a merged dataset: every sample has them, or none has.

Where the datasets that have poses name the same points, those cross with their clips; clips of
a dataset without poses get points that are not seen (NaN), as those of a recording without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kslds import pack, pose
from kslds.merge.names import Corpus, issue
from kslds.schema import Issue


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """What the points of all samples are."""

    points: tuple[str, ...]
    """Names of the points, as ``component/point``."""
    numbers: int
    """Numbers for each point, the confidence last."""

    @property
    def shape(self) -> tuple[int, int]:
        """Points, and numbers for each."""
        return len(self.points), self.numbers

    def unseen(self, num_frames: int) -> bytes:
        """The member of a clip in which no point is seen."""
        return pose.encode(np.full((num_frames, *self.shape), np.nan, np.float32))


def points_of(corpus: Corpus) -> tuple[str, ...]:
    """Names of the points of a dataset; none where it has no poses."""
    return tuple(corpus.dataset.provenance.get("pose_points", ()))


def common(corpora: Sequence[Corpus]) -> tuple[Skeleton | None, list[Issue]]:
    """What the poses of a merged dataset are, and why it has none though a dataset has."""
    found = {corpus.name: skeleton for corpus in corpora if (skeleton := _skeleton(corpus))}
    if not found:
        return None, []
    first, *others = found
    for other in others:
        if found[other] != found[first]:
            here, there = (
                f"{name} has {len(found[name].points)} points of {found[name].numbers} numbers "
                f"({found[name].points[0]}, …)"
                for name in (first, other)
            )
            message = f"no poses cross: {here}, {there}, and they are not the same"
            return None, [issue("K711", table="recordings", key=other, message=message)]
    return found[first], []


def _skeleton(corpus: Corpus) -> Skeleton | None:
    points = points_of(corpus)
    if not points:
        return None
    for tar in sorted((corpus.dataset.root / "clips").glob("*/*.tar")):
        with pack.PackReader(tar) as reader:
            for member in reader.members:
                if member.field == pose.FIELD:
                    array = pose.decode(reader.read(member.key, field=pose.FIELD))
                    return Skeleton(points=points, numbers=array.shape[2])
    return None
