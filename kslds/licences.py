"""Licences of recordings: their kinds, which is the strictest, and which do not combine.

This serves to say what a dataset made of several others is under. It is not legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

LICENCES = (
    "CC0", "CC-BY", "CC-BY-SA", "CC-BY-NC", "CC-BY-NC-SA", "CC-BY-ND", "CC-BY-NC-ND",
    "academic use only",
)  # fmt: skip
"""Kinds of licences, the more restrictive later; one that is not known counts as the most
restrictive. The order serves to state one licence for all. It is not legal advice."""

_GOES_WITH: Mapping[str, tuple[str, ...]] = {
    "CC-BY-SA": ("CC0", "CC-BY", "CC-BY-SA"),
    "CC-BY-NC-SA": ("CC0", "CC-BY", "CC-BY-NC", "CC-BY-NC-SA"),
    "CC-BY-ND": ("CC0", "CC-BY", "CC-BY-ND"),
    "CC-BY-NC-ND": ("CC0", "CC-BY", "CC-BY-NC", "CC-BY-NC-ND"),
}
"""Share-alike asks that what is made of the work bears the same licence; no-derivatives that
nothing is made of it. Either goes only with licences that let it."""


def licence_kind(text: str | None) -> str | None:
    """The kind of a licence, one of `LICENCES`; None where it is not known."""
    plain = re.sub(r"[\s_]+", "-", (text or "").strip().casefold())
    if re.fullmatch(r"cc0(-1\.0)?|pddl(-1\.0)?|unlicense|public-domain", plain):
        return "CC0"
    if re.fullmatch(r"c-uda(-1\.0)?|(for-)?(academic|research)(-use)?(-only)?", plain):
        return "academic use only"
    found = re.fullmatch(r"(cc-by(?:-nc)?(?:-nd|-sa)?)(-\d(\.\d)?)?", plain)
    return found[1].upper() if found else None


def strictest(licences: Iterable[str | None]) -> str | None:
    """The most restrictive licence by the order of `LICENCES`; None where one is not stated.

    Several that are equally restrictive are joined with ``AND``.
    """
    texts = set(licences)
    if not texts or None in texts:
        return None
    rank = {t: LICENCES.index(k) if (k := licence_kind(t)) else len(LICENCES) for t in texts}
    return " AND ".join(sorted(str(t) for t in texts if rank[t] == max(rank.values())))


def combine(one: str, other: str) -> bool:
    """May things under these two licences become one work? True where a licence is not known."""
    kinds = licence_kind(one), licence_kind(other)
    if None in kinds:
        return True
    return all(y in _GOES_WITH.get(str(x), LICENCES) for x, y in (kinds, kinds[::-1]))
