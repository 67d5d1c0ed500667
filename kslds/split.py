"""Splits: whole signers (or sentences) to sides, and a refusal to write one that leaks."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

from kslds import schema
from kslds.codes import CODES
from kslds.corpora import benchmarks, table
from kslds.errors import (
    AnnotationError,
    IncompleteDataset,
    MissingFile,
    RecipeError,
    SplitLeak,
    UsageError,
)
from kslds.manifest import Dataset, key_of, shielded, unshielded, write_bytes
from kslds.schema import Clip, Dropped, Issue, Signer, SplitRow

_MOST_LEFT_OUT = 1000
"""Time and space of leaving one out grow with the square of the signers."""

_SAME_STRETCH = (
    "Two tiers mark one stretch of the recording with different labels. Cut one of them, as in "
    '[ingest] tiers = ["brows"], or split by signer.'
)
_SAME_FRAMES = ": a clip of the side 'test' shows the same frames with another label"
_SIDE = f"Use up to {schema.MAX_KEY_CHARS} lower-case letters, digits, '_' and '-'."


def _is_side(name: str) -> bool:
    return len(name) <= schema.MAX_KEY_CHARS and bool(re.fullmatch(schema.KEY_PATTERN, name))


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """The `[split]` part of a recipe.

    Raises:
        RecipeError: A value is out of range.
    """

    by: str = "signer"
    """One of `RULES`."""
    fractions: Mapping[str, float] = field(default_factory=lambda: {"train": 0.8, "test": 0.2})
    """Side → fraction of the signers (age bands, sentences); in the order they are written."""
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
            if not _is_side(name):
                raise RecipeError(
                    f"[split] fractions: {name[:40]!r} cannot be the name of a side.", hint=_SIDE
                )
        if self.folds < 2:
            raise RecipeError(f"[split] folds = {self.folds}: expected at least 2.")
        if self.by == "list" and self.file is None:
            raise RecipeError('[split] by = "list" needs the key file.')


def _shuffled(values: Iterable[str], *, seed: int) -> list[str]:
    """Signers, say, in an order that depends on the seed and their names only."""
    return sorted(values, key=lambda s: (hashlib.sha256(f"{seed}:{s}".encode()).digest(), s))


def _counts(number: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """How many of `number` values each side gets: largest remainders, none left empty."""
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
"""Name of a split → signer_id (or sentence) → side."""


def _by_fractions(values: Collection[str], *, options: SplitOptions, what: str) -> dict[str, str]:
    if len(values) < len(options.fractions):
        raise UsageError(
            f"{len(values)} {what}(s) cannot fill the {len(options.fractions)} sides "
            f"{', '.join(options.fractions)}.",
            hint=f"Record more {what}s, or ask for fewer sides.",
        )
    order = _shuffled(values, seed=options.seed)
    sides = {}
    for side, count in _counts(len(order), options.fractions).items():
        sides.update(dict.fromkeys(order[:count], side))
        order = order[count:]
    return sides


def by_signer(signers: Collection[str], *, options: SplitOptions) -> Sides:
    """One split, with the stated fraction of signers on each side."""
    return {"signer": _by_fractions(signers, options=options, what="signer")}


def by_age(signers: Mapping[str, str | None], *, options: SplitOptions) -> Sides:
    """One split, with the stated fraction of age bands on each side; `signers` have a band each."""
    ageless = sorted(signer for signer, band in signers.items() if band is None)
    if ageless:
        raise IncompleteDataset(
            f"{len(ageless)} signer(s) have no age band: {_some(ageless)}.",
            hint="Fill in the column age_band in the file of signers.",
        )
    bands = {band for band in signers.values() if band is not None}
    sides = _by_fractions(bands, options=options, what="age band")
    return {"age": {signer: sides[band or ""] for signer, band in signers.items()}}


def by_sentence(sentences: Collection[str], *, options: SplitOptions) -> Sides:
    """One split, with the stated fraction of sentences on each side; signers may be on several."""
    return {"sentence": _by_fractions(sentences, options=options, what="sentence")}


def leave_one_out(signers: Collection[str], *, options: SplitOptions) -> Sides:
    """One split per signer, who alone is the test side."""
    del options
    if len(signers) < 2:
        raise UsageError("leaving one signer out needs at least two signers.")
    if len(signers) > _MOST_LEFT_OUT:
        raise UsageError(
            f"leaving out one of {len(signers)} signers at a time would make as many splits; at "
            f"most {_MOST_LEFT_OUT} are made.",
            hint='Use [split] by = "kfold" instead.',
        )
    return {f"loso-{out}": {s: "test" if s == out else "train" for s in signers} for out in signers}


def k_folds(signers: Collection[str], *, options: SplitOptions) -> Sides:
    """One split per fold; every signer is in the test side of exactly one."""
    if len(signers) < options.folds:
        raise UsageError(f"{options.folds} folds need at least as many signers ({len(signers)}).")
    order = _shuffled(signers, seed=options.seed)
    fold_of = {signer: place % options.folds for place, signer in enumerate(order)}
    return {
        f"fold-{fold}": {s: "test" if fold_of[s] == fold else "train" for s in signers}
        for fold in range(options.folds)
    }


def leave_one_out_per_class(clips: Mapping[str, Clip], *, options: SplitOptions) -> Sides:
    """The split of the K-RSL paper: of each class, the clips of one signer are the test side.

    Which signer it is, is drawn for each class anew, so that a signer may be tested in one class
    and trained in the others: this does not measure unseen signers. A fifth of the other clips
    is the side ``val``, less those that show the frames of one in ``train``. The paper's ten
    repetitions are ten seeds.

    Tiers may mark one stretch twice, with one sign (both hands) or two (a sign, raised brows). Of
    clips that show the same frames, those that another class does not test have no side.
    """
    signers: dict[str | None, set[str]] = defaultdict(set)
    for clip in clips.values():
        signers[clip.gloss_id].add(clip.signer_id or "")
    if None in signers:
        number = sum(clip.gloss_id is None for clip in clips.values())
        raise UsageError(
            f"leaving a signer out of each class needs a class for each clip; {number} of "
            f"{len(clips)} have none (sentences, for one).",
            hint="Leave these clips out, or split by signer.",
        )
    alone = sorted(str(gloss) for gloss, those in signers.items() if len(those) < 2)
    if alone:
        raise UsageError(
            "leaving a signer out of each class needs classes of two signers; "
            f"{_some(alone)} has not.",
            hint="Leave these classes out, or record more signers.",
        )
    out = {
        gloss: _shuffled([f"{gloss}/{signer}" for signer in those], seed=options.seed)[0]
        for gloss, those in signers.items()
    }
    test = {k for k, c in clips.items() if out[c.gloss_id] == f"{c.gloss_id}/{c.signer_id}"}
    shown = {clips[key].frames_sha256 for key in test} - {None}
    out_of_it = {key for key, c in clips.items() if key not in test and c.frames_sha256 in shown}
    alike: dict[str, list[str]] = defaultdict(list)
    for key in _shuffled(clips.keys() - test - out_of_it, seed=options.seed):
        alike[clips[key].frames_sha256 or key].append(key)
    rest = list(chain.from_iterable(alike.values()))
    val = set(rest[: len(rest) // 5])
    val -= {key for keys in alike.values() if not val.issuperset(keys) for key in keys}
    return {
        "krsl-paper": {
            key: "test" if key in test else "val" if key in val else "train"
            for key in clips
            if key not in out_of_it
        }
    }


def as_published(clips: Mapping[str, Clip], *, options: SplitOptions) -> Sides:
    """The split that the collection itself publishes, leaks and all; of several benchmarks, each.

    Where it keeps signers apart, signers are assigned; else single clips, and an issue says how
    many signers are on several sides. Clips of which it says nothing have no side.
    """
    del options
    published: dict[str, dict[str, str]] = defaultdict(dict)
    for key, clip in clips.items():
        for name, side in _published(clip).items():
            published[name][key] = side
    if not published:
        raise UsageError(
            "no annotation says on which side the collection publishes it.",
            hint="Choose another rule; see [split] by.",
        )
    splits: Sides = {}
    for name, of in sorted(published.items()):
        named = {side: _side_name(side) for side in sorted(set(of.values()))}
        unit = _published_unit(clips.values(), name=name)
        splits[name] = {str(_value(clips[key], unit)): named[side] for key, side in of.items()}
    return splits


def _published(clip: Clip) -> dict[str, str]:
    """Name of a split → the side on which the collection publishes the clip there."""
    text = clip.published_split
    if not text:
        return {}
    several = benchmarks(text)
    return {f"published-{name}": side for name, side in several.items()} or {"published": text}


def _side_name(published: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", published.lower()).strip("_")
    if not _is_side(name):
        raise UsageError(f"the collection names a side {published[:40]!r}.", hint=_SIDE)
    return name


def _published_unit(clips: Iterable[Clip], *, name: str) -> str:
    """Signers, where none is published on two sides (or in part), else single clips."""
    sides: dict[str | None, set[str | None]] = defaultdict(set)
    for clip in clips:
        sides[clip.signer_id].add(_published(clip).get(name))
    return "signer_id" if all(len(found) == 1 for found in sides.values()) else "clip_id"


def by_list(signers: Collection[str], *, options: SplitOptions) -> Sides:
    """The split that a file lists, as it lists it."""
    path = Path(options.file or "")
    if not path.is_file():
        raise MissingFile(
            f"there is no split list {options.file!r}.", hint="See [split] file in the recipe."
        )
    sides: dict[str, str] = {}
    for line, name, side in _listed(path):
        where = f"{path.name}:{line}"
        if not name:
            raise AnnotationError(
                f"{where}: the cell 'signer_id' is empty.", hint="Fill it in, or delete the row."
            )
        if not _is_side(side):
            raise AnnotationError(
                f"{where}: {side[:40]!r} cannot be the name of a side.", hint=_SIDE
            )
        signer = key_of(name, prefix="signer")
        if sides.setdefault(signer, side) != side:
            raise SplitLeak(
                f"{where}: signer {signer!r} is on two sides, {sides[signer]!r} and {side!r} "
                "(K402).",
                hint="Keep one of the rows.",
            )
    if sides.keys().isdisjoint(signers):
        raise AnnotationError(
            f"{path.name} names no signer of this dataset: it lists "
            f"{_some(list(sides)) or 'nobody'}; the dataset has {_some(sorted(signers))}.",
            hint="Name the right list, or write the signers as the annotations do.",
        )
    return {"list": sides}


def _listed(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, signer and side of each row of a split list."""
    columns = ("signer_id", "split")
    for line, row in table.read_rows(path, names=columns):
        missing = [column for column in columns if column not in row]
        if missing:
            raise AnnotationError(
                f"{path.name} has no column {missing[0]!r}; it has {_some(list(row))[:200]}.",
                hint="Write the names of the columns into the first line: signer_id,split",
            )
        yield line, unshielded(row["signer_id"]), row["split"]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


RULES: Mapping[str, Callable[..., Sides]] = {
    "signer": by_signer,
    "age": by_age,
    "sentence": by_sentence,
    "loso": leave_one_out,
    "kfold": k_folds,
    "list": by_list,
    "krsl-paper": leave_one_out_per_class,
    "published": as_published,
}
"""How sides are assigned. A rule sees signers (or sentences) only, so no rule can divide one;
but ``krsl-paper`` and ``published``, which repeat what others have done, see clips."""

_UNITS: Mapping[str, str] = {"sentence": "sentence", "krsl-paper": "clip_id"}
"""What rules assign, where that is not `signer_id`: a field of `Clip`."""


def check_disjoint(placed: Iterable[tuple[Clip, str]], *, name: str, unit: str) -> None:
    """Refuse a split with anything on two sides.

    Args:
        placed: Clips with their sides.
        name: Name of the split.
        unit: What it assigns: `signer_id`, or `sentence` or `clip_id`, where signers and
            recordings may be on several sides.

    Raises:
        SplitLeak: A signer, a recording or a clip with identical frames is on two sides.
    """
    seen: dict[tuple[str, str], tuple[Clip, str]] = {}
    for clip, side in placed:
        found = [("clip with identical frames", clip.frames_sha256)]
        if unit != "signer_id":
            found.insert(0, (unit, _value(clip, unit)))
        else:
            found[:0] = [("signer", clip.signer_id), ("recording", clip.recording_id)]
        for what, value in found:
            if value is None:
                continue
            other, other_side = seen.setdefault((what, value), (clip, side))
            if other_side != side:
                raise SplitLeak(
                    f"split {name!r}: the {what} {value} would be on both {other_side!r} "
                    f"({_place(other)}) and {side!r} ({_place(clip)}) (K402).",
                    hint=_SAME_STRETCH
                    if unit == "clip_id" and other.recording_id == clip.recording_id
                    else "Look for a recording with two signers, or a copied clip.",
                )


def _place(clip: Clip) -> str:
    """Where people find a clip."""
    return f"{clip.source_file}, {clip.start_ms}-{clip.end_ms} ms, signer {clip.signer_id}"


def _value(clip: Clip, unit: str) -> str | None:
    """What of a clip decides its side."""
    value: str | None = getattr(clip, unit)
    return value


def _issue(code: str, *, name: str, key: str, message: str) -> Issue:
    known = CODES[code]
    return Issue(
        severity=known.severity, code=code, table=f"splits/{name}", key=key, message=message,
        hint=known.action,
    )  # fmt: skip


def _lopsided(placed: Iterable[tuple[Clip, str]], *, name: str) -> Iterator[Issue]:
    """Classes of one side that another side never shows."""
    classes: dict[str, set[str]] = defaultdict(set)
    for clip, side in placed:
        if clip.gloss_id is not None:
            classes[side].add(clip.gloss_id)
    for side in sorted(classes):
        others = set().union(*(classes[s] for s in classes if s != side))
        alone = sorted(classes[side] - others)
        if alone:
            message = f"{len(alone)} class(es) occur in {side!r} only: {_some(alone)}"
            yield _issue("K403", name=name, key=side, message=message)


def _dependent(placed: Iterable[tuple[Clip, str]], *, name: str, unit: str) -> Issue:
    """Says how many signers a split by something else has on several sides."""
    sides: dict[str | None, set[str]] = defaultdict(set)
    for clip, side in placed:
        sides[clip.signer_id].add(side)
    both = sum(len(found) > 1 for found in sides.values())
    rule = "it assigns sentences" if unit == "sentence" else "it assigns single clips"
    message = f"{rule}: {both} of {len(sides)} signer(s) are on several sides"
    return _issue("K405", name=name, key=name, message=message)


def split(dataset: Dataset, *, options: SplitOptions) -> dict[str, dict[str, int]]:
    """Assign whole signers (or sentences) to sides; write each split as a table and a text list.

    The tables are ``tables/splits/<name>.parquet``, the lists ``reports/splits/<name>.csv``.
    Splits of an earlier run are replaced.

    Returns:
        Name of each split → side → number of clips.

    Raises:
        SplitLeak: The split would leak; nothing is written.
        IncompleteDataset: There are clips without a signer, or without the age band or sentence
            that the rule goes by.
        UsageError: There are fewer signers than sides or folds.
        AnnotationError: The split list cannot be read, or names no signer of the dataset.
    """
    clips = dataset.read("clips", Clip)
    rule_unit = _UNITS.get(options.by, "signer_id")
    _check_complete(clips, unit=rule_unit)
    bands: dict[str, str | None] = {}
    if options.by == "age":
        bands = {s.signer_id: s.age_band for s in dataset.read("signers", Signer)}
    told: Mapping[str, object] = {
        value: bands.get(value) for value in sorted({_value(c, rule_unit) or "" for c in clips})
    }
    if options.by in ("krsl-paper", "published"):
        told = {clip.clip_id: clip for clip in clips}
    splits = RULES[options.by](told, options=options)
    units = dict.fromkeys(splits, rule_unit)
    if options.by == "published":
        units = {name: _published_unit(clips, name=name) for name in splits}
    issues: list[Issue] = list(_not_followed(clips, options=options, name=next(iter(splits))))
    counts: dict[str, Counter[str]] = {}
    for name, sides in splits.items():
        unit = units[name]
        strangers = sorted(set(sides) - {_value(clip, unit) or "" for clip in clips})
        if strangers:
            message = f"there is no clip of {len(strangers)} listed signer(s): {_some(strangers)}"
            issues.append(_issue("K404", name=name, key=strangers[0], message=message))
        for stranger in strangers:
            del sides[stranger]
        placed = [(c, sides[v]) for c in clips if (v := _value(c, unit) or "") in sides]
        check_disjoint(placed, name=name, unit=unit)
        issues += _lopsided(placed, name=name)
        if unit != "signer_id":
            issues.append(_dependent(placed, name=name, unit=unit))
        counts[name] = Counter(side for _, side in placed)

    _write(dataset, splits, units=units)
    kept = dataset.read("issues", Issue) if dataset.has("issues") else []
    dataset.write("issues", [*(i for i in kept if not i.code.startswith("K4")), *issues])
    first = next(iter(splits))
    unit = units[first]
    sideless = [c for c in clips if (_value(c, unit) or "") not in splits[first]]
    dataset.close_books(
        "split",
        rows_in=len(clips),
        rows_out=len(clips) - len(sideless),
        dropped=[
            Dropped(stage="split", table="clips", key=c.clip_id, code="K401",
                    reason=f"the split has no side for {_unit_of(c, unit)}"
                    + (_SAME_FRAMES if options.by == "krsl-paper" else ""))
            for c in sideless
        ],
    )  # fmt: skip
    return {
        name: {
            side: counts[name][side]
            for side in dict.fromkeys([*options.fractions, *sides.values()])
            if side in counts[name]
        }
        for name, sides in splits.items()
    }


def _not_followed(clips: Sequence[Clip], *, options: SplitOptions, name: str) -> Iterator[Issue]:
    """Says that clips have a published side, and that the rule is another."""
    published = sum(clip.published_split is not None for clip in clips)
    if published and options.by != "published":
        message = (
            f"the annotations name a published side of {published:,} of {len(clips):,} clips; "
            f"[split] by = {options.by!r} does not follow it"
        )
        yield _issue("K407", name=name, key=name, message=message)


def _unit_of(clip: Clip, unit: str) -> str:
    """What the split gives no side, for people."""
    if unit == "clip_id":
        return f"this clip ({_place(clip)})"
    return f"{unit.removesuffix('_id')} {_value(clip, unit)}"


def _check_complete(clips: Sequence[Clip], *, unit: str) -> None:
    """Has every clip what decides its side, and whom to ask for consent?"""
    if not clips:
        raise IncompleteDataset("there is no clip to split.", hint="Look at: kslds info DIR")
    nameless = [clip for clip in clips if clip.signer_id is None]
    if nameless:
        raise IncompleteDataset(
            f"{len(nameless)} clip(s) have no signer, the first is {nameless[0].clip_id} (K321).",
            hint="Fill in the signer in the annotations; no split by signer is possible without.",
        )
    wordless = [clip for clip in clips if _value(clip, unit) is None]
    if wordless:
        raise IncompleteDataset(
            f"{len(wordless)} clip(s) have no sentence, the first is {_place(wordless[0])}.",
            hint="Fill in the sentence in the annotations, or split by signer.",
        )


def _write(dataset: Dataset, splits: Sides, *, units: Mapping[str, str]) -> None:
    """Write each split as a table and as a text list, in place of those of an earlier run."""
    lists = dataset.root / "reports" / "splits"
    for stale in (dataset.root / "tables" / "splits").glob("*.parquet"):
        if stale.stem not in splits:
            stale.unlink()
            (lists / f"{stale.stem}.csv").unlink(missing_ok=True)
    for name, sides in splits.items():
        unit = units[name]
        rows = [SplitRow(split=s, unit=unit, value=v) for v, s in sides.items()]
        dataset.write(f"splits/{name}", rows, record=SplitRow)
        text = io.StringIO()
        listed = [(shielded(value), side) for value, side in sorted(sides.items())]
        csv.writer(text, lineterminator="\n").writerows([(unit, "split"), *listed])
        write_bytes(lists / f"{name}.csv", text.getvalue().encode())
