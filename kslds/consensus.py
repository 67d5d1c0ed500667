"""One segment out of what several annotators drew.

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
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from kslds.errors import RecipeError
from kslds.manifest import key_of, segment_key
from kslds.orthography import is_mixed
from kslds.schema import Segment

UNNAMED = "(unnamed)"
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
        if self.rule == "none" and (self.min_annotators > 1 or self.disagreement == "drop"):
            raise RecipeError(
                "[consensus] min_annotators and disagreement belong to a rule, and there is none.",
                hint='Add one, such as rule = "mean".',
            )
        if bool(self.weights) != (self.rule == "weighted"):
            raise RecipeError('[consensus] weights belong to rule = "weighted", and it needs them.')


def iou(a: Segment, b: Segment) -> float:
    """Time that two segments share over the time that they cover together, 0 to 1."""
    shared = min(a.end_ms, b.end_ms) - max(a.start_ms, b.start_ms)
    return max(0, shared) / (a.end_ms - a.start_ms + b.end_ms - b.start_ms - max(0, shared))


# --------------------------------------------------------------------------- groups


_TEXTS = (
    "label", "emotion", "sentence", "translation", "translation_kk", "published_split", "tier",
)  # fmt: skip
"""What a segment says in words; whoever drew it votes on each."""


def _content(segment: Segment) -> tuple[int | str, ...]:
    """All that a segment says, without who said it."""
    return (segment.start_ms, segment.end_ms, *(getattr(segment, name) or "" for name in _TEXTS))


def order(segment: Segment) -> tuple[tuple[int | str, ...], str]:
    """What segments are sorted by: time, all that they say, and who said it."""
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
        line = sorted(lines[key], key=order)
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

    Among spellings that are the `same` one, that with the most votes stands for them; among
    equals one that does not mix scripts, then the first in alphabetical order.
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
    # A word of two scripts is a slip of the keyboard.
    chosen = min(spelled, key=lambda text: (-spelled[text], is_mixed(text), text))
    return chosen, len(best) > 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
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

    def judge(self, members: tuple[Segment, ...]) -> Outcome:
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
            return Outcome(members=members, kept=members, tied=tuple(tied))
        if number < options.min_annotators:
            reason = f"{number} of {options.min_annotators} annotators marked it"
            return self._drop(members, "K143", reason)
        if number == 1:
            return Outcome(members=members, kept=members)
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
        return Outcome(members=members, kept=(made,), dropped=folded, tied=tuple(tied))

    def _drop(
        self, members: tuple[Segment, ...], code: str, reason: str, *, tied: Sequence[str] = ()
    ) -> Outcome:
        dropped = tuple((m, code, reason) for m in members)
        return Outcome(members=members, kept=(), dropped=dropped, tied=tuple(tied))


def said(members: Iterable[Segment], name: str) -> str:
    """Who gave which label (or emotion), for people: ``a: су, b: әке``."""
    pairs = ((m.annotator or UNNAMED, getattr(m, name) or "nothing") for m in members)
    return ", ".join(f"{annotator}: {value}" for annotator, value in sorted(pairs))


def judge(
    segments: Iterable[Segment], *, options: ConsensusOptions, same: Callable[[str], str] = str
) -> list[Outcome]:
    """Group segments, and decide what becomes of each group.

    Where two groups come to the very same segment, the later one becomes part of the first.

    Args:
        segments: Of all annotators.
        options: The rule.
        same: Label → what labels are compared by.
    """
    made = _Judge(options=options, same=same)
    outcomes: list[Outcome] = []
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
