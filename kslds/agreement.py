"""How well several annotators agree, in numbers and in lists for review.

`kslds.consensus` says which segments mean the same sign, and makes one of them.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

from kslds.codes import CODES
from kslds.consensus import UNNAMED, ConsensusOptions, Outcome, iou, judge, order, said
from kslds.errors import RecipeError
from kslds.lexicon import Lexicon
from kslds.manifest import Dataset, key_of, readable_json, write_bytes, write_spreadsheet
from kslds.schema import DrawnSegment, Dropped, Issue, Recording, Segment

_MAX_LISTED = 200
_MAX_FURTHEST = 20

# --------------------------------------------------------------------------- measures


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


def _worked(outcomes: Iterable[Outcome]) -> dict[str, set[str]]:
    """Annotator → the recordings on which they drew anything."""
    where: dict[str, set[str]] = defaultdict(set)
    for outcome in outcomes:
        for m in outcome.members:
            where[m.annotator or UNNAMED].add(m.recording_id)
    return where


def _without(members: Sequence[Segment], *, where: Mapping[str, set[str]]) -> list[str]:
    """Who has worked on the recording of a group and is not in it."""
    found = {m.annotator or UNNAMED for m in members}
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
        found = {m.annotator or UNNAMED: m for m in members}
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
    outcomes: Sequence[Outcome],
    *,
    options: ConsensusOptions,
    same: Callable[[str], str],
    file_of: Mapping[str, str],
) -> dict[str, Any]:
    groups, where = [o.members for o in outcomes], _worked(outcomes)
    apart = [found for members in groups if (found := _apart(members))]
    drawn = Counter(m.annotator or UNNAMED for members in groups for m in members)
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
    outcomes: Sequence[Outcome],
    *,
    same: Callable[[str], str],
    file_of: Mapping[str, str],
    where: Mapping[str, set[str]],
) -> dict[str, Any]:
    """The groups that people should look at."""

    def place(o: Outcome) -> dict[str, Any]:
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
            hint=f"There are {', '.join(sorted(a or UNNAMED for a in annotators))}.",
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


def _tie(outcome: Outcome) -> Issue:
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


def _drawn(outcomes: Iterable[Outcome]) -> list[DrawnSegment]:
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
    outcomes: Sequence[Outcome], *, same: Callable[[str], str], file_of: Mapping[str, str]
) -> Iterator[Sequence[object]]:
    """A row for each group, for a spreadsheet; what is of each annotator is in one order."""
    yield _COLUMNS
    where = _worked(outcomes)
    for o in sorted(outcomes, key=lambda o: (file_of.get(o.members[0].recording_id, ""),
                                             order(o.members[0]))):  # fmt: skip
        first, apart = o.members[0], _apart(o.members)
        people = sorted(o.members, key=lambda m: m.annotator or UNNAMED)
        one = o.kept[0] if len(o.kept) == 1 else None
        distances = [f"{value:.4g}" for value in apart] if apart else ["", "", ""]
        yield (
            file_of.get(first.recording_id, first.recording_id), first.tier, first.signer_id,
            (one or first).start_ms, (one or first).end_ms,
            " ".join(m.annotator or UNNAMED for m in people), len(people),
            *distances, said(o.members, "label" if first.label else "sentence"),
            said(o.members, "emotion") if any(m.emotion for m in o.members) else "",
            " ".join(_differs(o.members, same=same)), " ".join(_without(o.members, where=where)),
            one.segment_id if one else "kept apart" if o.kept else "dropped",
            one.label if one else "", " ".join(m.segment_id for m in people),
            " + ".join(m.source for m in people),
        )  # fmt: skip
