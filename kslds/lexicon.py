"""The vocabulary: which sign a label names, however it is spelled.

A label is looked up verbatim first. Only where that finds nothing is it folded, level
by level, each wider than the one before (`Match.how` names the level). A level that
finds one entry decides; one that finds several reports the label as ambiguous. So
folding never merges two entries that differ: with both ``все`` and ``всё`` (or ``С``
and ``с``) in a lexicon, each label finds its own.

=============  ===============================================================
``gloss_id``   the key, verbatim
``alias``      a declared alias, verbatim (NFC)
``exact``      the Kazakh, Russian or English spelling, verbatim (NFC)
``case``       letter case; spaces, hyphens and underscores; invisible characters
``latin``      the Latin alphabet of 2021
``lookalike``  letters of the other script that look the same; ё written as е
``latin_old``  the Latin alphabets of 2018 and 2017
``ascii``      the ASCII spelling of file names
=============  ===============================================================

No Latin alphabet can be inverted (`kslds.orthography`), and neither can the ASCII form. A
label that is wholly Cyrillic is therefore never romanised to find a Cyrillic entry: ``ұн``
is not ``үн``.

A lexicon is a plain CSV file. What it is (version, date, licence) is stated in a small TOML
file beside it, ``<name>.about.toml``: lines of comment inside the CSV would be rows to
spreadsheets, pandas and GitHub.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import tomllib
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz import fuzz, process

from kslds.codes import CODES
from kslds.errors import AnnotationError, MissingFile
from kslds.manifest import bundled, unshielded
from kslds.orthography import (
    ALPHABETS,
    ASCII,
    LATEST,
    LATIN_2021,
    ascii_form,
    fold,
    fold_latin,
    fold_yo,
    has_cyrillic,
    is_mixed,
    mixed_scripts,
    readings,
    slug,
    to_latin,
)
from kslds.schema import KEY_PATTERN, MAX_KEY_CHARS, Issue, Sign

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ABOUT_KEYS", "ASCII", "COLUMNS", "LATIN_2021", "MAX_BYTES", "VARIANT_KINDS", "About", "Hit",
    "Lexicon", "Match", "ascii_form", "collect", "entry", "load", "mixed_scripts", "problem",
    "slug", "to_latin",
]  # fmt: skip

COLUMNS = (
    "gloss_id",
    "kk",
    "kk_latn",
    "ru",
    "en",
    "category",
    "num_hands",
    "mirror_safe",
    "aliases",
    "source",
    "variant_of",
    "variant_kind",
    "synonym_of",
    "region",
    "minimal_pairs",
)
"""Columns of a lexicon file; only ``gloss_id`` has to be there."""

_PLAIN = (
    "kk", "kk_latn", "ru", "en", "category", "source", "variant_of", "variant_kind", "synonym_of",
    "region",
)  # fmt: skip

VARIANT_KINDS = ("regional", "hands", "free")
"""How a variant differs from its base: used elsewhere; with one hand or two; in anything else."""

MAX_BYTES = 16 * 2**20
"""Size limit of a lexicon file: some 150,000 entries."""

_NEAREST = 3
_CUTOFF = 60.0  # per cent of letters in common; below that a suggestion is noise
_COMPARED = 2000  # spellings that a text is compared with, letter by letter
_OLD = tuple(version for version in ALPHABETS if version != LATEST)

# --------------------------------------------------------------------------- the lexicon


@dataclass(frozen=True, kw_only=True)
class Match:
    """What a label was found to name."""

    gloss_id: str | None
    """The entry; None where there is none, or more than one."""
    how: str
    """The level that found it, ``none`` or ``ambiguous``."""
    candidates: tuple[str, ...] = ()
    """`gloss_id` of the entries between which it is ambiguous, or of the nearest ones."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """An entry that a search found."""

    sign: Sign
    how: str
    """The level at which the text names it, ``prefix`` or ``similar``; ``category`` where no
    text was searched for."""


def _pairs_of(text: str) -> NDArray[np.uint64]:
    """The pairs of letters of words with a space around each; one for each letter and space."""
    letters = np.frombuffer(f" {text} ".encode("utf-32-le", "replace"), dtype=np.uint32)
    wide = letters.astype(np.uint64)
    return wide[:-1] << np.uint64(32) | wide[1:]


class _Index:
    """Spelling → `gloss_id` of its entries.

    Nearly every spelling has one owner: a string instead of a list of one, millions of which
    the garbage collector would walk over again and again.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._all: dict[str, list[str]] = {}

    def add(self, spelling: str, key: str) -> None:
        first = self._first.setdefault(spelling, key)
        if first != key:
            owners = self._all.setdefault(spelling, [first])
            # All spellings of an entry come one after the other.
            if owners[-1] != key:
                owners.append(key)

    def get(self, spelling: str) -> Sequence[str]:
        if spelling in self._all:
            return self._all[spelling]
        return (self._first[spelling],) if spelling in self._first else ()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every spelling with every owner."""
        for spelling, first in self._first.items():
            for key in self._all.get(spelling, (first,)):
                yield spelling, key


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """One index per level. The ``bare`` ones hold entries without Cyrillic."""

    alias: _Index = field(default_factory=_Index)
    exact: _Index = field(default_factory=_Index)
    case: _Index = field(default_factory=_Index)
    latin: _Index = field(default_factory=_Index)
    latin_bare: _Index = field(default_factory=_Index)
    latin_old: _Index = field(default_factory=_Index)
    lookalike: _Index = field(default_factory=_Index)
    ascii: _Index = field(default_factory=_Index)
    ascii_bare: _Index = field(default_factory=_Index)

    def add(self, sign: Sign) -> None:
        """Enter all spellings of a sign."""
        key = sign.gloss_id
        words = [w for w in (sign.kk, sign.kk_latn, sign.ru, sign.en) if w]
        kazakh = [w for w in (sign.kk, sign.kk_latn, *sign.aliases) if w]
        bare = not any(has_cyrillic(w) for w in (*words, *sign.aliases))
        for word in sign.aliases:
            self.alias.add(word, key)
        for word in words:
            self.exact.add(word, key)
        for word in kazakh:
            latin = fold(to_latin(word))
            self.latin.add(latin, key)
            self.lookalike.add(latin, key)
            if bare:
                self.latin_bare.add(fold(word), key)
            elif has_cyrillic(word):
                for version in _OLD:
                    self.latin_old.add(fold(to_latin(word, version=version)), key)
        for word in (key, *words, *sign.aliases):
            folded, plain = fold(word), ascii_form(word)
            self.case.add(folded, key)
            self.lookalike.add(fold_yo(folded), key)
            self.ascii.add(plain, key)
            if bare:
                self.ascii_bare.add(plain, key)


ABOUT_KEYS = ("name", "version", "date", "licence", "title", "source")


@dataclass(frozen=True, kw_only=True)
class About:
    """What a lexicon is, as the TOML file beside it states."""

    name: str
    version: str
    date: datetime.date
    licence: str
    title: str | None = None
    source: str | None = None
    """Where the list comes from, or whom to ask."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lexicon:
    """The signs of a collection, and what was wrong in their file."""

    name: str
    signs: tuple[Sign, ...]
    """Distinct `gloss_id`, in the order of the file."""
    problems: tuple[Issue, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """`gloss_id` → where its entry stands, as ``lab.csv:3``."""
    about: About | None = None
    """Version, date and licence; None where no file states them."""

    @cached_property
    def by_id(self) -> Mapping[str, Sign]:
        """`gloss_id` → entry."""
        return {sign.gloss_id: sign for sign in self.signs}

    @cached_property
    def _levels(self) -> _Levels:
        levels = _Levels()
        for sign in self.signs:
            levels.add(sign)
        return levels

    @cached_property
    def _choices(self) -> tuple[list[str], list[str]]:
        """Every folded or ASCII spelling, sorted, and the entry that it belongs to."""
        levels = (self._levels.case, self._levels.ascii)
        pairs = {pair for index in levels for pair in index.pairs() if pair[0]}
        ordered = sorted(pairs)
        return [spelling for spelling, _ in ordered], [gloss_id for _, gloss_id in ordered]

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """Every pair of letters that follow each other in a spelling, sorted; whose it is."""
        spellings, _ = self._choices
        codes = _pairs_of(" ".join(spellings))
        owners = np.repeat(
            np.arange(len(spellings), dtype=np.int32), [len(s) + 1 for s in spellings]
        )
        order = np.argsort(codes, kind="stable")
        return codes[order], owners[order]

    def _similar(self, query: str) -> list[int]:
        """Positions of the spellings to compare a text with.

        Where there are many, only those that share the most pairs of letters with it:
        comparing thousands of unknown labels with every spelling takes minutes.
        """
        number = len(self._choices[0])
        if number <= _COMPARED:
            return list(range(number))
        codes, owners = self._pairs
        wanted = np.unique(_pairs_of(query))
        starts, ends = (np.searchsorted(codes, wanted, side=s) for s in ("left", "right"))
        parts = [owners[a:b] for a, b in zip(starts, ends, strict=True)]
        shared = np.bincount(np.concatenate(parts), minlength=number)
        best = np.argsort(-shared, kind="stable")[:_COMPARED]
        return [int(position) for position in best if shared[position]]

    def _attempts(self, text: str) -> Iterator[tuple[str, Iterable[str]]]:
        """The levels, each with the entries that a label finds there."""
        levels, cyrillic = self._levels, has_cyrillic(text)
        yield "gloss_id", [text] if text in self.by_id else ()
        yield "alias", levels.alias.get(text)
        yield "exact", levels.exact.get(text)
        yield "case", levels.case.get(fold(text))
        latin = levels.latin_bare if cyrillic else levels.latin
        yield "latin", latin.get(fold(to_latin(text)))
        seen = {reading for reading in readings(text) if reading}
        yield "lookalike", {g for reading in seen for g in levels.lookalike.get(reading)}
        latin_form = fold_latin(text)
        # Letters without any mark say nothing about the alphabet.
        if not cyrillic and ("'" in latin_form or not latin_form.isascii()):
            yield "latin_old", levels.latin_old.get(latin_form)
        plain = levels.ascii_bare if cyrillic and not is_mixed(text) else levels.ascii
        yield "ascii", plain.get(ascii_form(text) or " ")

    def match(self, label: str, *, suggest: bool = True) -> Match:
        """Find the entry that a label names.

        Args:
            label: As annotated.
            suggest: Look for the nearest entries where there is none, which takes time in
                proportion to the lexicon; finding an entry does not.
        """
        text = unicodedata.normalize("NFC", label).strip()
        for how, owners in self._attempts(text) if text else ():
            found = set(owners)
            # A variant shares the spellings of its base; a label that does not say which
            # of them it means the base. Synonyms are different signs and stay ambiguous.
            found = {g for g in found if self.by_id[g].variant_of not in found} or found
            if len(found) == 1:
                return Match(gloss_id=found.pop(), how=how)
            if found:
                return Match(gloss_id=None, how="ambiguous", candidates=tuple(sorted(found)))
        nearest = self.nearest(text) if suggest else ()
        return Match(gloss_id=None, how="none", candidates=nearest)

    def nearest(self, label: str) -> tuple[str, ...]:
        """`gloss_id` of up to three entries that are spelled most like a label, best first."""
        spellings, owners = self._choices
        best: dict[str, float] = {}
        for query in {fold(label), ascii_form(label)} - {""}:
            positions = self._similar(query)
            for _, score, index in process.extract(
                query,
                [spellings[position] for position in positions],
                scorer=fuzz.ratio,
                score_cutoff=_CUTOFF,
                limit=None,
            ):
                owner = owners[positions[index]]
                best[owner] = max(score, best.get(owner, 0.0))
        return tuple(sorted(best, key=lambda owner: (-best[owner], owner))[:_NEAREST])

    def search(
        self, text: str | None, *, category: str | None = None, limit: int = 20
    ) -> tuple[Hit, ...]:
        """The entries that a text names, then those it begins, then those most like it.

        Args:
            text: In any spelling; None for every entry of a category.
            category: Only entries of this category, without regard to case.
            limit: Of at most so many entries.
        """
        if text is None:
            ways = dict.fromkeys(self.by_id, "category")
        else:
            match = self.match(text)
            named = (match.gloss_id,) if match.gloss_id else match.candidates
            ways = dict.fromkeys((g for g in named if g and match.how != "none"), match.how)
            for gloss_id in self._beginning(text):
                ways.setdefault(gloss_id, "prefix")
            for gloss_id in match.candidates or self.nearest(text):
                ways.setdefault(gloss_id, "similar")
        hits = (Hit(sign=self.by_id[gloss_id], how=how) for gloss_id, how in ways.items())
        wanted = fold(category or "")
        chosen = [hit for hit in hits if not category or fold(hit.sign.category or "") == wanted]
        return tuple(chosen[:limit])

    def _beginning(self, text: str) -> Iterator[str]:
        """The entries with a spelling that a text begins, in the order of the spellings."""
        spellings, owners = self._choices
        for query in dict.fromkeys((fold(text), ascii_form(text))):
            position = bisect_left(spellings, query) if query else len(spellings)
            while position < len(spellings) and spellings[position].startswith(query):
                yield owners[position]
                position += 1

    def describe(self, gloss_id: str) -> str:
        """An entry as messages show it: ``'сәлем' (salem)``."""
        sign = self.by_id[gloss_id]
        word = sign.kk or sign.kk_latn or sign.ru or sign.en
        return f"{word!r} ({gloss_id})" if word and word != gloss_id else repr(gloss_id)


# --------------------------------------------------------------------------- reading


def load(name_or_path: str | Path) -> Lexicon:
    """Read a lexicon: UTF-8 CSV with a heading line, one entry a line.

    ``<name>.about.toml`` beside it, where there is one, states what it is.

    Args:
        name_or_path: A file, or the name of one under ``manifests/lexicon/``.

    Returns:
        The entries that can be used; `Lexicon.problems` tells what is wrong with the others.

    Raises:
        MissingFile: There is neither such a file nor a bundled lexicon of that name.
        AnnotationError: The file is not UTF-8 or not CSV, is too large, or lacks a column; or
            the file beside it is not TOML, or has another key or value than it should.
    """
    path = Path(name_or_path)
    if not path.is_file() and re.fullmatch(KEY_PATTERN, str(name_or_path)):
        path = bundled("manifests") / "lexicon" / f"{name_or_path}.csv"
    if not path.is_file():
        names = sorted(p.stem for p in (bundled("manifests") / "lexicon").glob("*.csv"))
        raise MissingFile(
            f"there is no lexicon {str(name_or_path)!r}.",
            hint=f"Name a CSV file, or one that comes with kslds: {', '.join(names)}.",
        )
    if path.stat().st_size > MAX_BYTES:
        raise AnnotationError(f"{path} is larger than a lexicon may be ({MAX_BYTES} bytes).")
    data = path.read_bytes()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise AnnotationError(
            f"{path} is a spreadsheet; expected UTF-8 CSV.", hint=_IMPORT.format(path.name)
        )
    try:
        signs, problems, places = _read(data.decode("utf-8-sig"), file=path.name)
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path} is not UTF-8 (byte {error.start}).",
            hint=f"Save it as CSV UTF-8. {_IMPORT.format(path.name)}",
        ) from error
    except csv.Error as error:
        raise AnnotationError(f"{path} is not CSV: {error}.") from error
    about = _about(path.with_suffix(".about.toml"))
    name = about.name if about else path.stem
    return Lexicon(name=name, signs=signs, problems=problems, places=places, about=about)


_IMPORT = "To make a lexicon of another table: kslds lexicon import {} --out NEW.csv"


def _about(path: Path) -> About | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            values = tomllib.loads(file.read(1 << 16).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnnotationError(f"{path} is not TOML: {error}.") from error
    shown = f"{', '.join(ABOUT_KEYS[:4])}; and, if you like, {', '.join(ABOUT_KEYS[4:])}"
    for key in values:
        if key not in ABOUT_KEYS:
            raise AnnotationError(f"{path} has an unknown key {key!r}.", hint=f"Keys are {shown}.")
    for key in ABOUT_KEYS[:4]:
        if key not in values:
            raise AnnotationError(f"{path} has no key {key!r}.", hint=f"Keys are {shown}.")
    for key, value in values.items():
        what = "a date, as 2026-01-31" if key == "date" else "text"
        kind = datetime.date if key == "date" else str
        if type(value) is not kind or not value:
            raise AnnotationError(f"{path}: {key} = {value!r}: expected {what}.")
    return About(**values)


def problem(
    code: str, *, where: str, message: str, hint: str | None = None, severity: str | None = None
) -> Issue:
    """A finding about an entry; severity and hint are those of the code if not given."""
    return Issue(
        severity=severity or CODES[code].severity,
        code=code,
        table="signs",
        key=where,
        message=f"{where}: {message}",
        hint=hint or CODES[code].action,
    )


_Read = tuple[tuple[Sign, ...], tuple[Issue, ...], Mapping[str, str]]


def _read(text: str, *, file: str) -> _Read:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    heading = [cell.strip() for cell in next(reader, [])]
    strange = sorted({name for name in heading if name not in COLUMNS or heading.count(name) > 1})
    if strange or "gloss_id" not in heading:
        what = (
            f"an unknown or repeated column {strange[0]!r}" if strange else "no column 'gloss_id'"
        )
        raise AnnotationError(
            f"the lexicon {file} has {what}; its heading line is {','.join(heading)!r}.",
            hint=f"Columns are: {','.join(COLUMNS)}. {_IMPORT.format(file)}",
        )
    entries: list[tuple[str, Sign]] = []
    problems: list[Issue] = []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{file}:{reader.line_num}"
        wrong: list[str] = []
        if len(row) != len(heading):
            wrong.append(f"{len(row)} cells where the heading has {len(heading)}")
        elif sign := entry(dict(zip(heading, map(unshielded, row), strict=True)), wrong=wrong):
            entries.append((where, sign))
        problems += [problem("K306", where=where, message=message) for message in wrong]
    signs, more, places = collect(entries)
    return signs, (*problems, *more), places


def collect(entries: Iterable[tuple[str, Sign]]) -> _Read:
    """Entries with the place of each, checked against each other.

    Returns:
        Those with a `gloss_id` of their own; what is wrong (K305, K306); `gloss_id` → place.
    """
    signs: dict[str, Sign] = {}
    places: dict[str, str] = {}
    problems: list[Issue] = []
    for where, sign in entries:
        if sign.gloss_id in signs:
            message = f"gloss_id {sign.gloss_id!r} is already that of {places[sign.gloss_id]}"
            problems.append(problem("K305", where=where, message=message))
            continue
        signs[sign.gloss_id], places[sign.gloss_id] = sign, where
    for gloss_id, sign in signs.items():
        problems += [
            problem("K306", where=places[gloss_id], message=message)
            for message in _relations(sign, signs)
        ]
    problems += _collisions(signs, places=places)
    return tuple(signs.values()), tuple(problems), places


def entry(row: Mapping[str, str], *, wrong: list[str]) -> Sign | None:
    """One entry from its cells; what is wrong goes to `wrong`. None if it has no usable key."""
    cells = {name: unicodedata.normalize("NFC", cell).strip() for name, cell in row.items()}
    gloss_id = cells["gloss_id"]
    if not re.fullmatch(KEY_PATTERN, gloss_id):
        wrong.append(f"gloss_id: {gloss_id!r:.60} is not made of a-z, 0-9, _ and - alone")
        return None
    if len(gloss_id) > MAX_KEY_CHARS:
        wrong.append(f"gloss_id: {gloss_id!r:.60} has more than {MAX_KEY_CHARS} characters")
        return None
    for name, cell in cells.items():
        if not cell.isprintable() and any(unicodedata.category(c) == "Cc" for c in cell):
            wrong.append(f"{name}: {cell!r} holds a control character")
        if name in ("kk", "kk_latn", "ru", "en") and (mixed := mixed_scripts(cell)):
            wrong.append(f"{name}: {mixed[0]!r} mixes Cyrillic and Latin letters")

    def one_of(name: str, allowed: Mapping[str, int]) -> int | None:
        cell = cells.get(name, "").casefold()
        if cell and cell not in allowed:
            wrong.append(f"{name}: {cells[name]!r} is not {' or '.join(allowed)}, or empty")
        return allowed.get(cell)

    def several(name: str) -> list[str]:
        return [part for part in map(str.strip, cells.get(name, "").split(";")) if part]

    num_hands = one_of("num_hands", {"1": 1, "2": 2})
    mirror_safe = one_of("mirror_safe", {"true": 1, "false": 0})
    one_of("variant_kind", dict.fromkeys(VARIANT_KINDS, 1))
    return Sign(
        gloss_id=gloss_id,
        **{name: cells.get(name) or None for name in _PLAIN},
        num_hands=num_hands,
        mirror_safe=None if mirror_safe is None else bool(mirror_safe),
        aliases=several("aliases"),
        minimal_pairs=several("minimal_pairs"),
    )


def _relations(sign: Sign, signs: Mapping[str, Sign]) -> Iterator[str]:
    """What is wrong with the entries that an entry names.

    Bases are neither variants nor synonyms themselves, so there can be no circle.
    """
    base = signs.get(sign.variant_of or "")
    if sign.variant_of and (base is None or base.variant_of):
        yield f"variant_of: {sign.variant_of!r} is not the gloss_id of a base entry"
    other = signs.get(sign.synonym_of or "")
    if sign.synonym_of and (other is None or other.variant_of or other.synonym_of):
        yield f"synonym_of: {sign.synonym_of!r} is not the gloss_id of a base entry"
    if sign.variant_of and sign.synonym_of:
        yield "variant_of and synonym_of: a variant is another form of one sign, a synonym another"
    if sign.variant_kind and not sign.variant_of:
        yield f"variant_kind: {sign.variant_kind!r}, but variant_of is empty"
    if sign.variant_kind == "regional" and not sign.region:
        yield "variant_kind: 'regional', but region is empty"
    if sign.variant_kind == "hands" and base is not None:
        hands = (sign.num_hands, base.num_hands)
        if None in hands or hands[0] == hands[1]:
            yield (
                f"variant_kind: 'hands', but num_hands is {hands[0] or 'empty'} here and "
                f"{hands[1] or 'empty'} in {sign.variant_of!r}; expected 1 and 2"
            )
    for pair in sign.minimal_pairs:
        if pair == sign.gloss_id or pair not in signs:
            yield f"minimal_pairs: {pair!r} is not the gloss_id of another entry"


def _collisions(signs: Mapping[str, Sign], *, places: Mapping[str, str]) -> list[Issue]:
    """Spellings that name two entries.

    Translations may be shared, and so may the spellings of variants and declared synonyms.
    """
    owners: dict[str, str] = {gloss_id: gloss_id for gloss_id in signs}
    problems = []
    for gloss_id, sign in signs.items():
        for spelling in dict.fromkeys(w for w in (sign.kk, sign.kk_latn, *sign.aliases) if w):
            owner = owners.setdefault(spelling, gloss_id)
            if not sign.family & signs[owner].family:
                problems.append(
                    problem(
                        "K305",
                        where=places[gloss_id],
                        message=f"{spelling!r} also names {owner!r} ({places[owner]})",
                    )
                )
    return problems
