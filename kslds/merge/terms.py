"""What is to be said of the licences of datasets that become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations

from kslds.licences import combine, licence_kind, strictest
from kslds.merge.names import issue
from kslds.schema import Issue


def stated_for_all(licence: str | None, *, of_recordings: str | None) -> list[Issue]:
    """What is to be said of the licence that a recipe states, if it asks for less than theirs, or
    one of them has none (`of_recordings` is None)."""
    if licence is None:
        return []
    if of_recordings is None:
        message = f"the recipe states {licence} for all, but some recordings are without a licence"
        return [issue("K710", table="recordings", key="licence", message=message)]
    together, kind = strictest((licence, of_recordings)), licence_kind(licence)
    # One licence may be spelled in several ways.
    if together == licence or (kind is not None and licence_kind(together) == kind):
        return []
    message = f"the recipe states {licence} for all, the recordings {of_recordings}"
    return [issue("K710", table="recordings", key="licence", message=message)]


def told(stated: Mapping[str, Counter[str | None]]) -> Iterator[Issue]:
    """What is to be said about the licences of each corpus."""
    for corpus, texts in sorted(stated.items()):
        for text in sorted(t or "" for t in texts if licence_kind(t) is None):
            what, so = (
                f"{text!r} is not a licence that kslds knows",
                "whether it goes with the other licences is not known",
            )
            if not text:
                what, so = "no licence is stated", "their clips may not be passed on"
            number = texts[text or None]
            yield issue("K707", table="recordings", key=corpus,
                         message=f"{corpus}: {what} ({number} recording(s)); {so}")  # fmt: skip
    pairs = sorted((corpus, text) for corpus, texts in stated.items() for text in texts if text)
    for (a, one), (b, other) in combinations(pairs, 2):
        # Where one is not known, K707 says that nothing is known of how it combines.
        if a != b and combine(one, other) is False:
            yield issue("K706", table="recordings", key=b,
                         message=f"{a} is under {one}, {b} under {other}: one of them asks for "
                         "terms that the other does not allow")  # fmt: skip
