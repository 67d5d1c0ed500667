"""What is said during a segment: the texts of a transcript, each with the segment it fits best.

A text belongs to the segment that it overlaps most, to the earlier one of two that it overlaps
as much; so each is said once. Segments are lined up as they were annotated, tier by tier, glosses
apart from sentences: a text belongs to one segment of every such line.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import itemgetter

from kslds.bounds import Bounds, Problem
from kslds.corpora import Annotation
from kslds.schema import Recording

_Text = tuple[int, int, str, str | None]
"""Start and end in ms, ``[start, end)``, the text, and where it was read."""
_Span = tuple[int, int]
_Line = tuple[str, Hashable]
"""A recording, and what the segments of a line have in common."""


def sorted_out(rows: Iterable[Annotation]) -> tuple[deque[Annotation], deque[Annotation]]:
    """Rows that are segments, or have a problem; rows that say what is spoken. Some are both."""
    segments, spoken = deque[Annotation](), deque[Annotation]()
    for row in rows:
        if row.problem is not None or _is_segment(row):
            segments.append(row)
        if row.problem is None and _is_said(row):
            spoken.append(row)
    return segments, spoken


def _is_said(row: Annotation) -> bool:
    return row.spoken is not None or row.spoken_kk is not None


def _is_segment(row: Annotation) -> bool:
    return not _is_said(row) or bool(row.label or row.sentence)


def _line(row: Annotation) -> Hashable:
    """What the segments that follow each other have in common."""
    return _clean(row.tier), _clean(row.annotator), _clean(row.label) is None


def _clean(text: str | None) -> str | None:
    return (unicodedata.normalize("NFC", text).strip() if text else None) or None


Place = Callable[[Annotation], tuple[Recording, Bounds]]
"""Finds the recording of a row and its boundaries there; raises `Problem`."""


class Texts:
    """What is said on the recordings, and which segment gets it as its translation."""

    def __init__(self) -> None:
        self.num_read = 0
        """Texts that are no segments."""
        self._said, self._said_kk = Transcripts(), Transcripts()
        self._unplaced: list[tuple[str, Problem]] = []

    def read(self, rows: deque[Annotation], *, hear: Place) -> None:
        """Take the texts of all rows, which are let go of one by one."""
        while rows:
            row = rows.popleft()
            alone = not _is_segment(row)
            self.num_read += alone
            try:
                recording, bounds = hear(row)
            except Problem as problem:
                if alone:  # else it is dropped as a segment
                    self._unplaced.append((row.source, problem))
                continue
            given = ((self._said, _clean(row.spoken)), (self._said_kk, _clean(row.spoken_kk)))
            for texts, text in given:
                if text is not None:
                    texts.add(
                        recording.recording_id, start_ms=bounds.start_ms, end_ms=bounds.end_ms,
                        text=text, source=row.source if alone else None,
                    )  # fmt: skip
            if alone and not any(text for _, text in given):
                self._unplaced.append((row.source, Problem("K118", "nothing is said")))

    def expect(self, rows: Iterable[Annotation], *, place: Place) -> None:
        """Note the segments that texts may belong to, before the first is `told`."""
        if not self._said and not self._said_kk:
            return
        for row in rows:
            if _is_said(row) or not (_clean(row.label) or _clean(row.sentence)):
                continue  # what has no label is dropped, and keeps no text from others
            try:
                recording, bounds = place(row)
            except Problem:
                continue  # it is dropped when it is read
            for texts, own in (
                (self._said, row.translation), (self._said_kk, row.translation_kk),
            ):  # fmt: skip
                texts.expect(
                    recording.recording_id, _line(row), start_ms=bounds.start_ms,
                    end_ms=bounds.end_ms, wants=_clean(own) is None,
                )  # fmt: skip

    def told(self, row: Annotation, recording: Recording, bounds: Bounds) -> Annotation:
        """A segment with what is said during it as its translation, if it has none."""
        if _is_said(row) or not (self._said or self._said_kk):
            return row
        said, said_kk = (
            texts.during(
                recording.recording_id, _line(row), start_ms=bounds.start_ms, end_ms=bounds.end_ms
            )
            for texts in (self._said, self._said_kk)
        )
        return dataclasses.replace(
            row,
            translation=_clean(row.translation) or said,
            translation_kk=_clean(row.translation_kk) or said_kk,
        )

    def without_segment(self) -> Iterator[tuple[str, Problem]]:
        """Source of the texts that no segment got, and why."""
        yield from self._unplaced
        for texts in (self._said, self._said_kk):
            for source, reason in texts.unused():
                yield source, Problem("K137", reason)


class Transcripts:
    """The texts of all recordings; add them all, then all segments, before the first question."""

    def __init__(self) -> None:
        self._texts: dict[str, list[_Text]] = defaultdict(list)
        self._lines: dict[_Line, dict[_Span, bool]] = defaultdict(dict)
        self._said: dict[_Line, dict[_Span, list[_Text]]] = {}
        self._met: dict[tuple[str, _Text], bool] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def add(
        self, recording_id: str, *, start_ms: int, end_ms: int, text: str, source: str | None
    ) -> None:
        """Add a text that is said in ``[start_ms, end_ms)`` of a recording.

        `unused` tells of it by its `source`, unless that is None.
        """
        self._texts[recording_id].append((start_ms, end_ms, text, source))

    def expect(
        self, recording_id: str, line: Hashable, *, start_ms: int, end_ms: int, wants: bool
    ) -> None:
        """Add a segment; one that `wants` no text keeps others from what is said during it."""
        spans = self._lines[recording_id, line]
        spans[start_ms, end_ms] = wants or spans.get((start_ms, end_ms), False)

    def during(
        self, recording_id: str, line: Hashable, *, start_ms: int, end_ms: int
    ) -> str | None:
        """The texts that belong to a segment, as they follow; None if none."""
        if recording_id not in self._texts:
            return None
        key = (recording_id, line)
        if key not in self._said:
            self._said[key] = self._settled(key)
        said: list[_Text] = []
        for text in self._said[key].get((start_ms, end_ms), ()):
            # Two files may hold the same transcript.
            if not said or said[-1][:3] != text[:3]:
                said.append(text)
        return " ".join(text[2] for text in said) or None

    def _settled(self, key: _Line) -> dict[_Span, list[_Text]]:
        """Span of a segment → its texts in order."""
        spans = sorted(self._lines[key])
        starts = [start for start, _ in spans]
        # The latest end up to each segment never falls, so it can be searched as starts can.
        latest = list(accumulate((end for _, end in spans), max))
        said: dict[_Span, list[_Text]] = defaultdict(list)
        for text in sorted(self._texts[key[0]], key=itemgetter(0, 1, 2)):
            first, stop = bisect_right(latest, text[0]), bisect_left(starts, text[1])
            best = _most(text, spans[first:stop])
            if best is not None:
                wants = self._lines[key][best]
                self._met[key[0], text] = wants or self._met.get((key[0], text), False)
                said[best].append(text)
        return said

    def unused(self) -> Iterator[tuple[str, str]]:
        """Source of the texts that no segment got, and why."""
        for key in self._lines.keys() - self._said.keys():
            if key[0] in self._texts:
                self._said[key] = self._settled(key)
        for recording_id, texts in sorted(self._texts.items()):
            for text in sorted(texts, key=itemgetter(0, 1, 2)):
                used = self._met.get((recording_id, text))
                if text[3] is not None and not used:
                    reason = (
                        "no segment lasts while it is said"
                        if used is None
                        else "the segment that it overlaps most has a translation of its own"
                    )
                    yield text[3], reason


def _most(text: _Text, spans: Sequence[_Span]) -> _Span | None:
    """The span that a text overlaps most, the first of several; None where it overlaps none."""
    best, longest = None, 0
    for start, end in spans:
        overlap = min(end, text[1]) - max(start, text[0])
        if overlap > longest:
            best, longest = (start, end), overlap
    return best
