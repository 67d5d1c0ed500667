"""Splits: whole signers to sides, and a refusal to write one that leaks."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from kslds import schema
from kslds.errors import (
    AnnotationError,
    IncompleteDataset,
    MissingFile,
    RecipeError,
    SplitLeak,
    UsageError,
)
from kslds.manifest import Dataset, write_bytes
from kslds.schema import CODES, Clip, Dropped, Issue, SplitRow


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """The `[split]` part of a recipe.

    Raises:
        RecipeError: A value is out of range.
    """

    by: str = "signer"
    """One of `RULES`."""
    fractions: Mapping[str, float] = field(default_factory=lambda: {"train": 0.8, "test": 0.2})
    """Side → fraction of the signers; in the order in which they are written."""
    seed: int = 17
    folds: int = 5
    """Number of folds of ``kfold``."""
    file: str | None = None
    """For ``list``: a CSV or TSV with the columns ``signer_id`` and ``split``."""

    def __post_init__(self) -> None:
        if self.by not in RULES:
            raise RecipeError(f"[split] by = {self.by!r} is not one of {', '.join(RULES)}.")
        wrong = [name for name, part in self.fractions.items() if not 0 < part <= 1]
        if wrong or abs(sum(self.fractions.values()) - 1) > 1e-6:
            raise RecipeError(
                f"[split] fractions = {dict(self.fractions)}: expected parts above 0 that add up "
                "to 1."
            )
        for name in self.fractions:
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise RecipeError(f"[split] fractions: {name!r} cannot be the name of a side.")
        if self.folds < 2:
            raise RecipeError(f"[split] folds = {self.folds}: expected at least 2.")
        if self.by == "list" and self.file is None:
            raise RecipeError('[split] by = "list" needs the key file.')


def _shuffled(signers: Iterable[str], *, seed: int) -> list[str]:
    """Signers in an order that depends on the seed and their names only."""
    return sorted(signers, key=lambda s: (hashlib.sha256(f"{seed}:{s}".encode()).digest(), s))


def _counts(number: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """How many of `number` signers each side gets: largest remainders, none left empty."""
    exact = {side: Fraction(str(part)) * number for side, part in fractions.items()}
    counts = {side: max(1, int(value)) for side, value in exact.items()}
    order = list(fractions)
    while sum(counts.values()) < number:
        side = max(order, key=lambda s: (exact[s] - counts[s], -order.index(s)))
        counts[side] += 1
    while sum(counts.values()) > number:
        side = max(order, key=lambda s: (counts[s] > 1, counts[s] - exact[s], -order.index(s)))
        counts[side] -= 1
    return counts


Sides = dict[str, dict[str, str]]
"""Name of a split → signer_id → side."""


def by_signer(signers: Sequence[str], *, options: SplitOptions) -> Sides:
    """One split, with the stated fraction of signers on each side."""
    if len(signers) < len(options.fractions):
        raise UsageError(
            f"{len(signers)} signer(s) cannot fill the {len(options.fractions)} sides "
            f"{', '.join(options.fractions)}.",
            hint="Record more signers, or ask for fewer sides.",
        )
    order = _shuffled(signers, seed=options.seed)
    sides = {}
    for side, count in _counts(len(order), options.fractions).items():
        sides.update(dict.fromkeys(order[:count], side))
        order = order[count:]
    return {"signer": sides}


def leave_one_out(signers: Sequence[str], *, options: SplitOptions) -> Sides:
    """One split per signer, who alone is the test side."""
    del options
    if len(signers) < 2:
        raise UsageError("leaving one signer out needs at least two signers.")
    return {f"loso-{out}": {s: "test" if s == out else "train" for s in signers} for out in signers}


def k_folds(signers: Sequence[str], *, options: SplitOptions) -> Sides:
    """One split per fold; every signer is in the test side of exactly one."""
    if len(signers) < options.folds:
        raise UsageError(f"{options.folds} folds need at least as many signers ({len(signers)}).")
    order = _shuffled(signers, seed=options.seed)
    fold_of = {signer: place % options.folds for place, signer in enumerate(order)}
    return {
        f"fold-{fold}": {s: "test" if fold_of[s] == fold else "train" for s in signers}
        for fold in range(options.folds)
    }


def by_list(signers: Sequence[str], *, options: SplitOptions) -> Sides:
    """The split that a file lists; signers it leaves out have no side."""
    path = Path(options.file or "")
    if not path.is_file():
        raise MissingFile(f"there is no split list {options.file!r}.")
    sides: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, delimiter="\t" if path.suffix == ".tsv" else ",")
        if not {"signer_id", "split"} <= set(reader.fieldnames or []):
            raise AnnotationError(
                f"{path.name}: expected the columns signer_id and split, found "
                f"{', '.join(reader.fieldnames or []) or 'none'}."
            )
        for row in reader:
            signer, side = (row["signer_id"] or "").strip(), (row["split"] or "").strip()
            if not re.fullmatch(schema.KEY_PATTERN, side):
                raise AnnotationError(
                    f"{path.name}:{reader.line_num}: {side[:40]!r} cannot be the name of a side.",
                    hint="Use lower-case letters, digits, '_' and '-'.",
                )
            if sides.get(signer, side) != side:
                raise SplitLeak(
                    f"{path.name}:{reader.line_num}: signer {signer!r} is on two sides, "
                    f"{sides[signer]!r} and {side!r} (K402)."
                )
            sides[signer] = side
    return {"list": {s: sides[s] for s in signers if s in sides}}


RULES: Mapping[str, Callable[..., Sides]] = {
    "signer": by_signer,
    "loso": leave_one_out,
    "kfold": k_folds,
    "list": by_list,
}
"""How signers are assigned. A rule sees signers only, so no rule can divide one."""


def check_disjoint(clips: Iterable[Clip], sides: Mapping[str, str], *, name: str) -> None:
    """Refuse a split with anything on two sides.

    Raises:
        SplitLeak: A signer, a recording or a clip with identical frames is on two sides.
    """
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for clip in clips:
        side = sides.get(clip.signer_id or "")
        if side is None:
            continue
        for what, value in (
            ("signer", clip.signer_id),
            ("recording", clip.recording_id),
            ("clip with identical frames", clip.frames_sha256),
        ):
            if value is None:
                continue
            other, other_clip = seen.setdefault((what, value), (side, clip.clip_id))
            if other != side:
                raise SplitLeak(
                    f"split {name!r}: the {what} {value} would be on both {other!r} "
                    f"({other_clip}) and {side!r} ({clip.clip_id}) (K402).",
                    hint="Look for a recording with two signers, or a copied clip.",
                )


def _lopsided(clips: Iterable[Clip], sides: Mapping[str, str], *, name: str) -> list[Issue]:
    """Classes of one side that another side never shows."""
    classes: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.gloss_id is not None and (clip.signer_id or "") in sides:
            classes[sides[clip.signer_id or ""]].add(clip.gloss_id)
    issues = []
    for side in sorted(classes):
        others = set().union(*(classes[s] for s in classes if s != side))
        alone = sorted(classes[side] - others)
        if alone:
            listed = ", ".join(alone[:5]) + (" …" if len(alone) > 5 else "")
            issues.append(
                Issue(
                    severity=CODES["K403"].severity,
                    code="K403",
                    table=f"splits/{name}",
                    key=side,
                    message=f"{len(alone)} class(es) occur in {side!r} only: {listed}",
                    hint=CODES["K403"].action,
                )
            )
    return issues


def split(dataset: Dataset, *, options: SplitOptions) -> dict[str, dict[str, int]]:
    """Assign whole signers to sides and write each split as a table and as a text list.

    The tables are ``tables/splits/<name>.parquet``, the lists ``reports/splits/<name>.csv``.
    Splits of an earlier run are replaced.

    Returns:
        Name of each split → side → number of clips.

    Raises:
        SplitLeak: The split would leak; nothing is written.
        IncompleteDataset: There are clips without a signer.
        UsageError: There are fewer signers than sides or folds.
    """
    clips = dataset.read("clips", Clip)
    nameless = [clip for clip in clips if clip.signer_id is None]
    if nameless:
        raise IncompleteDataset(
            f"{len(nameless)} clip(s) have no signer, the first is {nameless[0].clip_id} (K321).",
            hint="Fill in the signer in the annotations; no split by signer is possible without.",
        )
    signers = sorted({clip.signer_id for clip in clips if clip.signer_id})
    if not signers:
        raise IncompleteDataset("there is no clip to split.", hint="Look at: kslds info DIR")
    splits = RULES[options.by](signers, options=options)
    issues: list[Issue] = []
    for name, sides in splits.items():
        check_disjoint(clips, sides, name=name)
        issues += _lopsided(clips, sides, name=name)

    folder = dataset.root / "tables" / "splits"
    for stale in folder.glob("*.parquet"):
        if stale.stem not in splits:
            stale.unlink()
            (dataset.root / "reports" / "splits" / f"{stale.stem}.csv").unlink(missing_ok=True)
    for name, sides in splits.items():
        rows = [SplitRow(split=s, unit="signer_id", value=v) for v, s in sides.items()]
        dataset.write(f"splits/{name}", rows, record=SplitRow)
        lines = ["signer_id,split", *(f"{signer},{sides[signer]}" for signer in sorted(sides))]
        write_bytes(
            dataset.root / "reports" / "splits" / f"{name}.csv", ("\n".join(lines) + "\n").encode()
        )
    kept = dataset.read("issues", Issue) if dataset.has("issues") else []
    dataset.write("issues", [*(i for i in kept if not i.code.startswith("K4")), *issues])

    first = next(iter(splits))
    sideless = [c for c in clips if c.signer_id not in splits[first]]
    dataset.close_books(
        "split",
        rows_in=len(clips),
        rows_out=len(clips) - len(sideless),
        dropped=[
            Dropped(stage="split", table="clips", key=c.clip_id, code="K401",
                    reason=f"the list does not name signer {c.signer_id}")
            for c in sideless
        ],
    )  # fmt: skip
    return {
        name: {
            side: sum(sides.get(c.signer_id or "") == side for c in clips)
            for side in dict.fromkeys([*options.fractions, *sides.values()])
            if side in sides.values()
        }
        for name, sides in splits.items()
    }
