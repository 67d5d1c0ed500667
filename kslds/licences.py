"""Licences of recordings: what they ask for, what holds for all, and which do not combine.

This serves to say what a dataset made of several others is under. It is not legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_TERMS: Mapping[str, frozenset[str]] = {
    "CC0": frozenset(),
    "MIT": frozenset({"notice"}),
    "BSD": frozenset({"notice"}),
    "Apache-2.0": frozenset({"notice"}),
    "CC-BY": frozenset({"notice", "by"}),
    "CC-BY-SA": frozenset({"notice", "by", "sa"}),
    "CC-BY-NC": frozenset({"notice", "by", "nc"}),
    "CC-BY-NC-SA": frozenset({"notice", "by", "nc", "sa"}),
    "CC-BY-ND": frozenset({"notice", "by", "nd"}),
    "CC-BY-NC-ND": frozenset({"notice", "by", "nc", "nd"}),
    "academic use only": frozenset({"academic"}),
}
"""Kind of licence → what it asks for. One may stand for another only if it asks for all that the
other does; "academic use only" says nothing of the rest, and so stands for none."""

LICENCES = tuple(_TERMS)
"""Kinds of licences that are known."""

_KINDS: Mapping[str, str] = {
    r"cc0(-1\.0)?|pddl(-1\.0)?|unlicense|public-domain": "CC0",
    r"(the-)?mit(-licen[cs]e)?": "MIT",
    r"bsd(-[23]-clause)?(-licen[cs]e)?": "BSD",
    r"apache(-licen[cs]e,?)?(-version)?-2(\.0)?": "Apache-2.0",
    r"c-uda(-1\.0)?|(for-)?(academic|research)(-use)?(-only)?": "academic use only",
}
_CC_BY = re.compile(r"(cc-by(?:-nc)?(?:-nd|-sa)?)(?:-(\d(?:\.\d)?))?")


_URL = re.compile(
    r"https?://creativecommons\.org/(?:publicdomain|licenses)/([a-z-]+)/(\d\.\d)"
    r"(?:/(?:(?:deed|legalcode)(?:\.\w+)?)?)?"
)


def _plain(text: str | None) -> str:
    plain = re.sub(r"[\s_]+", "-", (text or "").strip().casefold())
    if found := _URL.fullmatch(plain):
        name = "cc0" if found[1] == "zero" else f"cc-{found[1]}"
        return f"{name}-{found[2]}"
    return plain


def licence_kind(text: str | None) -> str | None:
    """The kind of a licence, one of `LICENCES`; None where it is not known."""
    plain = _plain(text)
    known = next((kind for style, kind in _KINDS.items() if re.fullmatch(style, plain)), None)
    found = _CC_BY.fullmatch(plain)
    return found[1].upper() if found else known


def strictest(licences: Iterable[str | None]) -> str | None:
    """What has to be said of the licence of all together; None where one is not stated.

    A licence that asks for all that another does stands for both. What else is under Creative
    Commons licences of one version is under the one that asks for what all of them do, if there
    is one: CC-BY-SA-4.0 and CC-BY-NC-4.0 become CC-BY-NC-SA-4.0. The rest, and what is not
    known, is joined with ``AND``.
    """
    stated = set(licences)
    if not stated or None in stated:
        return None
    texts = {part.strip() for text in stated for part in str(text).split(" AND ")}
    terms = {
        text: _TERMS[kind] if (kind := licence_kind(text)) else frozenset({text}) for text in texts
    }
    left = {t for t in texts if not any(terms[t] < terms[other] for other in texts)}
    creative = {t: found[2] for t in left if (found := _CC_BY.fullmatch(_plain(t)))}
    if len(creative) > 1 and len(set(creative.values())) == 1:
        asked = frozenset[str]().union(*(terms[t] for t in creative))
        kind = next((kind for kind in LICENCES if _TERMS[kind] == asked), None)
        if kind is not None:
            version = next(iter(creative.values()))
            left = left - creative.keys() | {f"{kind}-{version}" if version else kind}
    return " AND ".join(sorted(left))


def combine(one: str, other: str) -> bool | None:
    """May things under these two licences become one work? None where a licence is not known.

    Share-alike asks that what is made of the work bears the same licence; no-derivatives that
    nothing is made of it. Either goes only with licences that ask for nothing more.
    """
    kinds = licence_kind(one), licence_kind(other)
    if None in kinds:
        return None
    pairs = [(_TERMS[str(x)], _TERMS[str(y)]) for x, y in (kinds, kinds[::-1])]
    return all(other <= own for own, other in pairs if own & {"sa", "nd"})
