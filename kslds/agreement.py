"""Several annotators: how well they agree, and one segment out of what they drew.

**Which segments mean the same sign.** Segments are compared within one recording, signer and
tier, those with a label apart from sentences. The measure is IoU, the time that two segments
share over the time that they cover together. Every pair of segments by different annotators with
``IoU >= min_iou`` is looked at, the highest IoU first; among equals those that say the same
come first, then the earlier ones. The groups of the two are joined if no annotator is in both
and every pair across them has ``IoU >= min_iou``. So a group holds at most one segment of each
annotator, all of them overlap, and the names of annotators change nothing. For two annotators
whose own segments do not overlap and ``min_iou`` above 0.5 this is the one possible matching.
Where some rows name an annotator, those that name none count as by one more.

**What comes of a group.** Its boundaries are the mean, the median or the weighted mean of its
members', in ms, halves rounded up; its label is the one with the most votes. Labels are compared
as the lexicon reads them, so that two spellings of one sign agree.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import Any

from kslds.codes import CODES
from kslds.errors import RecipeError
from kslds.lexicon import Lexicon
from kslds.manifest import (
    Dataset,
    key_of,
    readable_json,
    segment_key,
    write_bytes,
    write_spreadsheet,
)
from kslds.schema import DrawnSegment, Dropped, Issue, Recording, Segment

_MAX_LISTED = 200
_MAX_FURTHEST = 20
_UNNAMED = "(unnamed)"
"""Stands for the annotator of rows that name none; it is not a key."""


@dataclass(frozen=True, kw_only=True)
class ConsensusOptions:
    """The `[consensus]` part of a recipe: what is made of segments by several annotators.

    Raises:
        RecipeError: A value is out of range.
    """

    rule: str = "none"
    """The boundaries of a group: their ``mean`` (as in SlovoExt), ``median`` or ``weighted``
    mean; ``none`` keeps every annotator's segment."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Annotator → weight in means and votes, for ``weighted``; 1 where it is not named."""
    labels: str = "majority"
    """How a group gets its label; with the rule ``weighted`` the votes have weights too."""
    min_iou: float = 0.5
    """Segments that overlap less are not the same sign."""
    min_annotators: int = 1
    """Groups with fewer annotators are dropped (K143)."""
    disagreement: str = "keep"
    """A group whose votes are tied (K142): ``keep`` takes the first of the tied labels in
    alphabetical order, ``drop`` leaves the group out."""
    tiers: str = "same"
    """``same`` compares segments of one tier only; ``any`` suits ELAN files in which every
    annotator has a tier."""

    def __post_init__(self) -> None:
        for key, known in (
            ("rule", ("none", "mean", "median", "weighted")),
            ("labels", ("majority",)),
            ("disagreement", ("keep", "drop")),
            ("tiers", ("same", "any")),
        ):
            if getattr(self, key) not in known:
                raise RecipeError(
                    f"[consensus] {key} = {getattr(self, key)!r} is not one of {', '.join(known)}."
                )
        if not 0 < self.min_iou <= 1:
            raise RecipeError(f"[consensus] min_iou = {self.min_iou}: expected above 0, up to 1.")
        if self.min_annotators < 1:
            raise RecipeError(f"[consensus] min_annotators = {self.min_annotators}: expected 1 up.")
        wrong = [name for name, weight in self.weights.items() if not 0 < weight < 1e6]
        if wrong:
            raise RecipeError(
                f"[consensus] weights: that of {wrong[0]!r} is {self.weights[wrong[0]]}; expected "
                "a number above 0."
            )
        if bool(self.weights) != (self.rule == "weighted"):
            raise RecipeError('[consensus] weights belong to rule = "weighted", and it needs them.')


# --------------------------------------------------------------------------- measures


def iou(a: Segment, b: Segment) -> float:
    """Time that two segments share over the time that they cover together, 0 to 1."""
    shared = min(a.end_ms, b.end_ms) - max(a.start_ms, b.start_ms)
    return max(0, shared) / (a.end_ms - a.start_ms + b.end_ms - b.start_ms - max(0, shared))


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for nominal values, any number of annotators, values missing.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C to E:
    ``alpha = ((n-1) sum_c o_cc - sum_c n_c (n_c-1)) / (n (n-1) - sum_c n_c (n_c-1))``, where
    a unit with ``m`` values adds ``n_uc (n_uc-1) / (m-1)`` to ``o_cc``, and ``n`` counts the
    values of units with at least two.

    Args:
        units: The values that each unit was given; a missing one is left out.

    Returns:
        1 for perfect agreement, 0 for that of chance; None where it is not defined, as fewer
        than two different values were paired.
    """
    agreed, counts = Fraction(0), Counter[str]()
    for values in units:
        if len(values) < 2:
            continue
        for value, number in Counter(values).items():
            counts[value] += number
            agreed += Fraction(number * (number - 1), len(values) - 1)
    total = counts.total()
    chance = sum(number * (number - 1) for number in counts.values())
    if len(counts) < 2:
        return None
    return float(((total - 1) * agreed - chance) / (total * (total - 1) - chance))


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two annotators (Cohen 1960, doi:10.1177/001316446002000104).

    ``kappa = (p_o - p_e) / (1 - p_e)`` with the agreement that is observed and the one that
    the annotators' own frequencies make by chance.

    Args:
        pairs: The two values of every unit that both have given one.

    Returns:
        At most 1; None without a pair, or where both always give the same value.
    """
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    # Times n², so that it stays exact.
    chance = sum(first[value] * second[value] for value in first)
    if n == 0 or chance == n * n:
        return None
    return float(Fraction(n * sum(a == b for a, b in pairs) - chance, n * n - chance))


# --------------------------------------------------------------------------- groups


_TEXTS = (
    "label", "emotion", "sentence", "translation", "translation_kk", "published_split", "tier",
)  # fmt: skip
"""What a segment says in words; whoever drew it votes on each."""


def _content(segment: Segment) -> tuple[int | str, ...]:
    """All that a segment says, without who said it."""
    return (segment.start_ms, segment.end_ms, *(getattr(segment, name) or "" for name in _TEXTS))


def _order(segment: Segment) -> tuple[tuple[int | str, ...], str]:
    return _content(segment), segment.annotator or ""


def group(segments: Iterable[Segment], *, options: ConsensusOptions) -> list[tuple[Segment, ...]]:
    """Segments that mean the same sign, by the rule that the module states.

    Returns:
        Groups, each in the order of time and content; every segment is in exactly one.
    """
    lines: dict[tuple[str, str, str, bool], list[Segment]] = defaultdict(list)
    for segment in segments:
        tier = segment.tier or "" if options.tiers == "same" else ""
        key = (segment.recording_id, segment.signer_id or "", tier, segment.label is None)
        lines[key].append(segment)
    found: list[tuple[Segment, ...]] = []
    for key in sorted(lines):
        line = sorted(lines[key], key=_order)
        found += _group_line(line, min_iou=options.min_iou)
    return found


def _group_line(line: Sequence[Segment], *, min_iou: float) -> list[tuple[Segment, ...]]:
    pairs = []
    for i, a in enumerate(line):
        for j in range(i + 1, len(line)):
            b = line[j]
            if b.start_ms >= a.end_ms:
                break
            if a.annotator != b.annotator and (shared := iou(a, b)) >= min_iou:
                first, second = _content(a), _content(b)
                rank = (-shared, first != second, a.label != b.label, first, second)
                pairs.append((rank, i, j))
    groups: dict[int, list[int]] = {i: [i] for i in range(len(line))}
    for _, i, j in sorted(pairs):
        one, other = groups[i], groups[j]
        if one is other or {line[k].annotator for k in one} & {line[k].annotator for k in other}:
            continue
        if all(iou(line[k], line[m]) >= min_iou for k in one for m in other):
            joined = sorted([*one, *other])
            groups.update(dict.fromkeys(joined, joined))
    return [tuple(line[k] for k in members) for i, members in groups.items() if i == members[0]]


# --------------------------------------------------------------------------- consensus


def _half_up(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _boundary(times: Sequence[int], weights: Sequence[Fraction], *, rule: str) -> int:
    """One time out of several, in ms; a half is rounded up."""
    if rule == "median":
        ordered, middle = sorted(times), len(times) // 2
        return _half_up(Fraction(ordered[middle] + ordered[-1 - middle], 2))
    total = sum((t * w for t, w in zip(times, weights, strict=True)), Fraction(0))
    return _half_up(total / sum(weights, Fraction(0)))


def _vote(
    values: Sequence[str | None],
    weights: Sequence[Fraction],
    *,
    same: Callable[[str], str] = lambda value: value,
) -> tuple[str | None, bool]:
    """The value with the most votes, and whether others have as many; those of None are not cast.

    Among spellings that are the `same` one, that with the most votes stands for them.
    """
    votes: dict[str, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for value, weight in zip(values, weights, strict=True):
        if value is not None:
            votes[same(value)][value] += weight
    if not votes:
        return None, False
    totals = {key: sum(spelled.values()) for key, spelled in votes.items()}
    best = sorted(key for key, total in totals.items() if total == max(totals.values()))
    spelled = votes[best[0]]
    return min(spelled, key=lambda text: (-spelled[text], text)), len(best) > 1


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What became of a group."""

    members: tuple[Segment, ...]
    kept: tuple[Segment, ...]
    """The consensus segment, the members as they were, or nothing."""
    dropped: tuple[tuple[Segment, str, str], ...] = ()
    """Segment, code and reason."""
    tied: tuple[str, ...] = ()
    """What the votes were tied on: ``label``, ``emotion``."""


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """Makes one segment of a group."""

    options: ConsensusOptions
    same: Callable[[str], str]
    """Label → what it is compared by."""

    def _weights(self, members: Sequence[Segment]) -> list[Fraction]:
        named = {key_of(n, prefix="annotator"): w for n, w in self.options.weights.items()}
        return [Fraction(str(named.get(m.annotator or "", 1))) for m in members]

    def judge(self, members: tuple[Segment, ...]) -> _Outcome:
        """The outcome for one group."""
        options, weights = self.options, self._weights(members)
        values: dict[str, Any] = {}
        tied = []
        for name in _TEXTS:
            same = self.same if name == "label" else str
            values[name], tie = _vote([getattr(m, name) for m in members], weights, same=same)
            if tie and name in ("label", "emotion"):
                tied.append(name)
        number = len(members)
        if options.rule == "none":
            return _Outcome(members=members, kept=members, tied=tuple(tied))
        if number < options.min_annotators:
            reason = f"{number} of {options.min_annotators} annotators marked it"
            return self._drop(members, "K143", reason)
        if number == 1:
            return _Outcome(members=members, kept=members)
        if tied and options.disagreement == "drop":
            what = "; ".join(said(members, name) for name in tied)
            return self._drop(members, "K142", what, tied=tied)
        lead = members[0]
        values |= {
            "recording_id": lead.recording_id,
            "signer_id": lead.signer_id,
            "start_ms": _boundary([m.start_ms for m in members], weights, rule=options.rule),
            "end_ms": _boundary([m.end_ms for m in members], weights, rule=options.rule),
            "annotator": "consensus",
        }
        side = values.pop("published_split")
        made = Segment(
            segment_id=segment_key(values),
            published_split=side,
            source=" + ".join(sorted(m.source for m in members)),
            **values,
        )
        folded = tuple(
            (m, "K141", f"part of {made.segment_id}, together with {lead.source}")
            for m in members[1:]
        )
        return _Outcome(members=members, kept=(made,), dropped=folded, tied=tuple(tied))

    def _drop(
        self, members: tuple[Segment, ...], code: str, reason: str, *, tied: Sequence[str] = ()
    ) -> _Outcome:
        dropped = tuple((m, code, reason) for m in members)
        return _Outcome(members=members, kept=(), dropped=dropped, tied=tuple(tied))


def said(members: Iterable[Segment], name: str) -> str:
    """Who gave which label (or emotion), for people: ``a: су, b: әке``."""
    pairs = ((m.annotator or _UNNAMED, getattr(m, name) or "nothing") for m in members)
    return ", ".join(f"{annotator}: {value}" for annotator, value in sorted(pairs))


def judge(
    segments: Iterable[Segment], *, options: ConsensusOptions, same: Callable[[str], str] = str
) -> list[_Outcome]:
    """Group segments, and decide what becomes of each group.

    Where two groups come to the very same segment, the later one becomes part of the first.

    Args:
        segments: Of all annotators.
        options: The rule.
        same: Label → what labels are compared by.
    """
    made = _Judge(options=options, same=same)
    outcomes: list[_Outcome] = []
    seen: set[str] = set()
    for members in group(segments, options=options):
        outcome = made.judge(members)
        twins = [s for s in outcome.kept if s.segment_id in seen]
        if twins:
            again = (members[0], "K141", f"part of {twins[0].segment_id}, which is the same")
            outcome = dataclasses.replace(outcome, kept=(), dropped=(again, *outcome.dropped))
        seen |= {s.segment_id for s in outcome.kept}
        outcomes.append(outcome)
    return outcomes


# --------------------------------------------------------------------------- numbers


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {
        "mean": round(statistics.fmean(values), 4),
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


def _apart(members: Sequence[Segment]) -> tuple[float, float, float] | None:
    """Of a group, means over its pairs: IoU, and ms between the starts and between the ends."""
    pairs = list(combinations(members, 2))
    if not pairs:
        return None
    return (
        statistics.fmean(iou(a, b) for a, b in pairs),
        statistics.fmean(abs(a.start_ms - b.start_ms) for a, b in pairs),
        statistics.fmean(abs(a.end_ms - b.end_ms) for a, b in pairs),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _labels_of(
    groups: Iterable[Sequence[Segment]], name: str, *, same: Callable[[str], str]
) -> dict[str, Any]:
    units = [[same(v) for m in g if (v := getattr(m, name)) is not None] for g in groups]
    paired = [values for values in units if len(values) > 1]
    return {
        "compared": len(paired),
        "agreed": sum(len(set(values)) == 1 for values in paired),
        "krippendorff_alpha": _rounded(krippendorff_alpha(units)),
    }


def _worked(outcomes: Iterable[_Outcome]) -> dict[str, set[str]]:
    """Annotator → the recordings on which they drew anything."""
    where: dict[str, set[str]] = defaultdict(set)
    for outcome in outcomes:
        for m in outcome.members:
            where[m.annotator or _UNNAMED].add(m.recording_id)
    return where


def _without(members: Sequence[Segment], *, where: Mapping[str, set[str]]) -> list[str]:
    """Who has worked on the recording of a group and is not in it."""
    found = {m.annotator or _UNNAMED for m in members}
    recording = members[0].recording_id
    return sorted(a for a in where if a not in found and recording in where[a])


def _pair_numbers(
    groups: Sequence[tuple[Segment, ...]],
    *,
    same: Callable[[str], str],
    where: Mapping[str, set[str]],
) -> list[dict[str, Any]]:
    """What any two annotators have in common, over the recordings that both have worked on."""
    shared: dict[tuple[str, str], list[tuple[Segment, Segment]]] = defaultdict(list)
    alone = Counter[tuple[str, str]]()
    for members in groups:
        found = {m.annotator or _UNNAMED: m for m in members}
        for a, b in combinations(sorted(found), 2):
            shared[a, b].append((found[a], found[b]))
        alone.update((a, b) for a in found for b in _without(members, where=where))
    rows = []
    for a, b in combinations(sorted(where), 2):
        pairs = shared[a, b]
        labels = [(same(x.label), same(y.label)) for x, y in pairs if x.label and y.label]
        ious = [iou(x, y) for x, y in pairs]
        rows.append(
            {
                "a": a,
                "b": b,
                "recordings": len(where[a] & where[b]),
                "shared": len(pairs),
                "only_a": alone[a, b],
                "only_b": alone[b, a],
                "iou": round(statistics.fmean(ious), 4) if ious else None,
                "start_ms": _mean_apart(pairs, "start_ms"),
                "end_ms": _mean_apart(pairs, "end_ms"),
                "same_label": sum(x == y for x, y in labels),
                "cohen_kappa": _rounded(cohen_kappa(labels)),
            }
        )
    return rows


def _mean_apart(pairs: Sequence[tuple[Segment, Segment]], name: str) -> float | None:
    apart = [abs(getattr(x, name) - getattr(y, name)) for x, y in pairs]
    return round(statistics.fmean(apart), 4) if apart else None


def _numbers(
    outcomes: Sequence[_Outcome],
    *,
    options: ConsensusOptions,
    same: Callable[[str], str],
    file_of: Mapping[str, str],
) -> dict[str, Any]:
    groups, where = [o.members for o in outcomes], _worked(outcomes)
    apart = [found for members in groups if (found := _apart(members))]
    drawn = Counter(m.annotator or _UNNAMED for members in groups for m in members)
    return {
        "rule": options.rule,
        "min_iou": options.min_iou,
        "annotators": dict(sorted(drawn.items())),
        "groups": len(groups),
        "groups_by_annotators": {str(k): v for k, v in sorted(Counter(map(len, groups)).items())},
        "iou": _spread([found[0] for found in apart]),
        "start_ms": _spread([found[1] for found in apart]),
        "end_ms": _spread([found[2] for found in apart]),
        "labels": _labels_of(groups, "label", same=same),
        "emotions": _labels_of(groups, "emotion", same=str),
        "pairs": _pair_numbers(groups, same=same, where=where),
        **_review(outcomes, same=same, file_of=file_of, where=where),
    }


def _differs(members: Sequence[Segment], *, same: Callable[[str], str]) -> list[str]:
    """What the annotators of a group do not agree on."""
    compared = (("label", same), ("emotion", str))
    return [
        name
        for name, key in compared
        if len({key(v) for m in members if (v := getattr(m, name)) is not None}) > 1
    ]


def _review(
    outcomes: Sequence[_Outcome],
    *,
    same: Callable[[str], str],
    file_of: Mapping[str, str],
    where: Mapping[str, set[str]],
) -> dict[str, Any]:
    """The groups that people should look at."""

    def place(o: _Outcome) -> dict[str, Any]:
        first = o.members[0]
        shown = o.kept[0] if len(o.kept) == 1 else first
        return {
            "file": file_of.get(first.recording_id, first.recording_id),
            "start_ms": shown.start_ms,
            "end_ms": shown.end_ms,
            "segment_id": shown.segment_id,
        }

    differing = [
        {**place(o), "said": "; ".join(said(o.members, name) for name in names),
         "became": "; ".join(f"{getattr(o.kept[0], name)}" for name in names)
         if len(o.kept) == 1 else "kept apart" if o.kept else "dropped",
         "tied": bool(o.tied)}
        for o in outcomes
        if (names := _differs(o.members, same=same))
    ]  # fmt: skip
    furthest = [(found, o) for o in outcomes if (found := _apart(o.members)) and found[0] < 1]
    furthest.sort(key=lambda pair: pair[0][0])
    missed = [
        {**place(o), "said": said(o.members, "label" if o.members[0].label else "sentence"),
         "not_by": ", ".join(absent), "became": "kept" if o.kept else "dropped"}
        for o in outcomes
        if (absent := _without(o.members, where=where))
    ]  # fmt: skip
    return {
        "missed": len(missed),
        "missing": sorted(missed, key=lambda row: (row["file"], row["start_ms"]))[:_MAX_LISTED],
        "differing": len(differing),
        "review": sorted(differing, key=lambda row: (not row["tied"], row["file"],
                                                     row["start_ms"]))[:_MAX_LISTED],
        "furthest": [
            {**place(o), "iou": round(found[0], 4), "start_apart_ms": round(found[1], 1),
             "end_apart_ms": round(found[2], 1)}
            for found, o in furthest[:_MAX_FURTHEST]
        ],
    }  # fmt: skip


# --------------------------------------------------------------------------- the stage


def consensus(
    dataset: Dataset, *, options: ConsensusOptions, lexicon: Lexicon | None = None
) -> dict[str, Any] | None:
    """Measure how far annotators agree, and make one segment of what several of them drew.

    Writes `reports/agreement.json` and `reports/agreement.csv`, a row for each group, the table
    `annotations` with every annotator's segments, the ties (K142) into `issues`, and, unless the
    rule is ``none``, the new `segments`. A dataset with one annotator stays as it is.

    Args:
        dataset: Has just been ingested.
        options: The rule.
        lexicon: Says which labels are the same sign; without one, those that are the same text.

    Returns:
        The numbers of `reports/agreement.json`; None where there is one annotator.

    Raises:
        RecipeError: A weight is given for somebody who has annotated nothing.
    """
    segments = dataset.read("segments", Segment)
    annotators = {s.annotator for s in segments}
    strangers = {key_of(n, prefix="annotator") for n in options.weights} - annotators
    if strangers:
        raise RecipeError(
            f"[consensus] weights names {min(strangers)!r}, who has annotated nothing.",
            hint=f"There are {', '.join(sorted(a or _UNNAMED for a in annotators))}.",
        )
    reports = dataset.root / "reports"
    if len(annotators) < 2:
        for path in (reports / "agreement.json", reports / "agreement.csv"):
            path.unlink(missing_ok=True)
        dataset.path("annotations").unlink(missing_ok=True)
        return None
    same = _lexical(lexicon)
    outcomes = judge(segments, options=options, same=same)
    files = {r.recording_id: r.source_file for r in dataset.read("recordings", Recording)}
    numbers = _numbers(outcomes, options=options, same=same, file_of=files)
    write_bytes(reports / "agreement.json", readable_json(numbers))
    write_spreadsheet(reports / "agreement.csv", _rows(outcomes, same=same, file_of=files))
    dataset.write("annotations", _drawn(outcomes))
    ties = [_tie(o) for o in outcomes if o.tied]
    dataset.write("issues", [*dataset.read("issues", Issue), *ties])
    if options.rule == "none":
        return numbers
    kept = [s for o in outcomes for s in o.kept]
    dropped = [
        Dropped(stage="consensus", table="segments", key=s.segment_id, code=code,
                reason=f"{s.source}: {reason}")
        for o in outcomes
        for s, code, reason in o.dropped
    ]  # fmt: skip
    dataset.write("segments", kept)
    dataset.close_books(
        "consensus",
        rows_in=len(segments),
        rows_out=len(kept),
        dropped=dropped,
        facts={"groups": len(outcomes)},
    )
    return numbers


def measure(
    dataset: Dataset, *, options: ConsensusOptions, lexicon: Lexicon | None = None
) -> dict[str, Any] | None:
    """The numbers of `consensus`, computed anew from what annotators drew; writes nothing.

    Returns:
        What `reports/agreement.json` holds; None where there is one annotator.

    Raises:
        IncompleteDataset: Nothing has been ingested yet.
    """
    drawn: Sequence[Segment] = (
        dataset.read("annotations", DrawnSegment)
        if dataset.has("annotations")
        else dataset.read("segments", Segment)
    )
    if len({s.annotator for s in drawn}) < 2:
        return None
    same = _lexical(lexicon)
    files = {r.recording_id: r.source_file for r in dataset.read("recordings", Recording)}
    outcomes = judge(drawn, options=options, same=same)
    return _numbers(outcomes, options=options, same=same, file_of=files)


def _lexical(lexicon: Lexicon | None) -> Callable[[str], str]:
    """Label → its entry in the lexicon, or itself."""
    if lexicon is None:
        return str
    return functools.cache(lambda label: lexicon.match(label, suggest=False).gloss_id or label)


def _tie(outcome: _Outcome) -> Issue:
    known = CODES["K142"]
    what = "; ".join(f"{name}: {said(outcome.members, name)}" for name in outcome.tied)
    return Issue(
        severity=known.severity,
        code="K142",
        table="segments",
        key=(outcome.kept or outcome.members)[0].segment_id,
        message=f"{outcome.members[0].source}: {what}",
        hint=known.action,
    )


def _drawn(outcomes: Iterable[_Outcome]) -> list[DrawnSegment]:
    rows = []
    for o in outcomes:
        for member in o.members:
            kept = (
                member.segment_id if len(o.kept) > 1 else o.kept[0].segment_id if o.kept else None
            )
            rows.append(DrawnSegment(**dataclasses.asdict(member), consensus_id=kept))
    return rows


_COLUMNS = (
    "file", "tier", "signer_id", "start_ms", "end_ms", "annotators", "num_annotators", "iou",
    "start_apart_ms", "end_apart_ms", "labels", "emotions", "differ_on", "not_by", "became",
    "label", "segment_ids", "sources",
)  # fmt: skip


def _rows(
    outcomes: Sequence[_Outcome], *, same: Callable[[str], str], file_of: Mapping[str, str]
) -> Iterator[Sequence[object]]:
    """A row for each group, for a spreadsheet."""
    yield _COLUMNS
    where = _worked(outcomes)
    for o in sorted(outcomes, key=lambda o: (file_of.get(o.members[0].recording_id, ""),
                                             _order(o.members[0]))):  # fmt: skip
        first, apart = o.members[0], _apart(o.members)
        one = o.kept[0] if len(o.kept) == 1 else None
        distances = [f"{value:.4g}" for value in apart] if apart else ["", "", ""]
        yield (
            file_of.get(first.recording_id, first.recording_id), first.tier, first.signer_id,
            (one or first).start_ms, (one or first).end_ms,
            " ".join(sorted(m.annotator or _UNNAMED for m in o.members)), len(o.members),
            *distances, said(o.members, "label" if first.label else "sentence"),
            said(o.members, "emotion") if any(m.emotion for m in o.members) else "",
            " ".join(_differs(o.members, same=same)), " ".join(_without(o.members, where=where)),
            one.segment_id if one else "kept apart" if o.kept else "dropped",
            one.label if one else "", " ".join(m.segment_id for m in o.members),
            " + ".join(m.source for m in o.members),
        )  # fmt: skip
