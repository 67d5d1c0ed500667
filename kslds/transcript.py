"""What is said during a segment: the texts of a transcript that overlap it in time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from operator import itemgetter

_Text = tuple[int, int, str, str | None]
"""Start and end in ms, ``[start, end)``, the text, and where it was read."""


class Transcripts:
    """The texts of all recordings; add them all before the first question."""

    def __init__(self) -> None:
        self._texts: dict[str, list[_Text]] = defaultdict(list)
        self._ordered: dict[str, tuple[list[int], list[int], list[bool]]] = {}

    def add(
        self, recording_id: str, *, start_ms: int, end_ms: int, text: str, source: str | None
    ) -> None:
        """Add a text that is said in ``[start_ms, end_ms)`` of a recording.

        `unused` tells of it by its `source`, unless that is None.
        """
        self._texts[recording_id].append((start_ms, end_ms, text, source))

    def during(self, recording_id: str, *, start_ms: int, end_ms: int) -> str | None:
        """All texts that share a ms with ``[start_ms, end_ms)``, as they follow; None if none."""
        texts = self._texts.get(recording_id)
        if not texts:
            return None
        if recording_id not in self._ordered:
            texts.sort(key=itemgetter(0, 1, 2))
            # The latest end up to each text never falls, so it can be searched as starts can.
            latest = list(accumulate((text[1] for text in texts), max))
            self._ordered[recording_id] = [text[0] for text in texts], latest, [False] * len(texts)
        starts, latest, used = self._ordered[recording_id]
        said: list[_Text] = []
        for place in range(bisect_right(latest, start_ms), bisect_left(starts, end_ms)):
            if texts[place][1] > start_ms:
                used[place] = True
                # Two files may hold the same transcript.
                if not said or said[-1][:3] != texts[place][:3]:
                    said.append(texts[place])
        return " ".join(text[2] for text in said) or None

    def unused(self) -> Iterator[tuple[str, str]]:
        """Recording and place of the texts that no question met."""
        for recording_id, texts in sorted(self._texts.items()):
            _, _, used = self._ordered.get(recording_id, ([], [], [False] * len(texts)))
            for text, met in zip(texts, used, strict=True):
                if text[3] is not None and not met:
                    yield recording_id, text[3]
