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
``latin``      `to_latin` of the Kazakh spelling (or of the label)
``lookalike``  letters of the other script that look the same; ё written as е
``ascii``      `ascii_form`, the spelling of file names
=============  ===============================================================

Kazakh has no one Latin spelling: `LATIN_2021` is the table of April 2021, and neither
it nor `ASCII` can be inverted (и and й share a letter, х and һ, ә and а). A label that
is wholly Cyrillic is therefore never romanised to find a Cyrillic entry: ``ұн`` is not
``үн``. Tables are used throughout, never ``str.lower``: ``'İ'.lower()`` is two letters.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rapidfuzz import fuzz, process

from kslds.errors import AnnotationError, MissingFile
from kslds.manifest import bundled
from kslds.schema import CODES, KEY_PATTERN, Issue, Sign

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
)
"""Columns of a lexicon file; only ``gloss_id`` has to be there."""

_PLAIN = ("kk", "kk_latn", "ru", "en", "category", "source", "variant_of")

MAX_BYTES = 16 * 2**20
"""Size limit of a lexicon file: some 150,000 entries."""

_NEAREST = 3
_CUTOFF = 60.0  # per cent of letters in common; below that a suggestion is noise
_MAX_SLUG = 48

# --------------------------------------------------------------------------- orthography

_KAZAKH = "аәбвгғдежзийкқлмнңоөпрстуұүфхһшыі"
LATIN_2021: Mapping[str, str] = {
    **dict(zip(_KAZAKH, "aäbvgğdejziikqlmnñoöprstuūüfhhşyı", strict=True)),
    "ц": "c", "ч": "ç", "щ": "şç", "э": "e", "ё": "io", "ю": "iu", "я": "ia", "ъ": "", "ь": "",
}  # fmt: skip
"""Kazakh Cyrillic → the Latin alphabet of April 2021, small letters.

The last line (ц ч щ э ё ю я ъ ь) is not settled by the reform; those letters follow the
table that Stanza uses (``kazakh_transliteration``), except that і is ı as in the reform."""

_WITHOUT_ACCENTS = str.maketrans("äğñöūüı", "agnouui")
ASCII: Mapping[str, str] = {
    **{cyrillic: latin.translate(_WITHOUT_ACCENTS) for cyrillic, latin in LATIN_2021.items()},
    "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch",
    "ş": "sh", "ı": "i", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d",
}  # fmt: skip
"""Small letter → the ASCII letters of file names, as the KSL-Emo recordings spell them
(мысық → mysyq, әпке → apke). Other Latin letters lose their accents."""

_LOOKALIKES = {  # Latin → Cyrillic; a capital and its small letter may look like different ones
    **dict(zip("ABCEHIKMOPTXYƏƟË", "АВСЕНІКМОРТХУӘӨЁ", strict=True)),
    **dict(zip("aceihkmoptxyəɵë", "асеіһкмортхуәөё", strict=True)),
}
_TO_CYRILLIC = str.maketrans(_LOOKALIKES)
_TO_LATIN = str.maketrans(
    {cyrillic: latin for latin, cyrillic in _LOOKALIKES.items()}
    | dict(zip("ӘәƏəӨөƟɵ", "ÄäÄäÖöÖö", strict=True))
)
_LATIN_TABLE = str.maketrans(
    {**LATIN_2021, **{c.upper(): latin.capitalize() for c, latin in LATIN_2021.items()}}
    | {"И": "İ", "Й": "İ", "І": "I"}
)
_ASCII_TABLE = str.maketrans(dict(ASCII))

_LATIN = re.compile("[A-Za-zªºÀ-ÖØ-öø-ʯḀ-ỿ]")
_CYRILLIC = re.compile("[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
_OLD_LATIN = re.compile("[əƏɵƟ]")
_TOKEN = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_SEPARATORS = re.compile(r"[\s_-]+")


def to_latin(text: str) -> str:
    """Kazakh Cyrillic in the Latin alphabet of April 2021; other characters stay."""
    return unicodedata.normalize("NFC", text).translate(_LATIN_TABLE)


def _fold(text: str) -> str:
    """Without case, invisible characters, and differences between separators."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text)).replace("İ", "i")
    return unicodedata.normalize("NFC", _SEPARATORS.sub(" ", text.casefold()).strip())


def _ascii_words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", _fold(text).translate(_ASCII_TABLE))
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return re.findall("[a-z0-9]+", kept)


def ascii_form(text: str) -> str:
    """The ASCII spelling that file names use: small letters and digits, nothing between.

    ``сау бол`` → ``saubol``. Empty where a text has no Latin or Cyrillic letter or digit.
    """
    return "".join(_ascii_words(text))


def slug(label: str) -> str:
    """A key for a label that no lexicon names: its ASCII form, ``_`` between words.

    Different labels may have the same slug. A label without any letter to keep becomes
    ``label_`` and 8 hex digits of its SHA-256; a long one is cut and gets the digits too.
    """
    words = "_".join(_ascii_words(label))
    digest = hashlib.sha256(unicodedata.normalize("NFC", label).encode()).hexdigest()[:8]
    if not words:
        return f"label_{digest}"
    return words if len(words) <= _MAX_SLUG else f"{words[:_MAX_SLUG].rstrip('_')}_{digest}"


def _is_mixed(text: str) -> bool:
    return bool(_LATIN.search(text) and _CYRILLIC.search(text))


def mixed_scripts(text: str) -> tuple[str, ...]:
    """The words that mix Cyrillic and Latin letters, as ``САНКТ-ПEТЕРБУРГ`` with a Latin E.

    A hyphen may join words of different scripts: ``SMS-хабарлама`` is not mixed.
    """
    if not _is_mixed(text):
        return ()
    words = _TOKEN.findall(unicodedata.normalize("NFC", text))
    return tuple(w for w in words if any(_is_mixed(part) for part in _WORD.findall(w)))


def _yo(folded: str) -> str:
    """Ё written as е, as most Russian text does; a single letter is the letter itself."""
    return folded if len(folded) == 1 else folded.replace("ё", "е")


def _readings(text: str) -> Iterator[str]:
    """What a label can mean once its look-alike letters are all of one script."""
    yield _yo(_fold(text))

    def rewritten(table: dict[int, str]) -> str:
        return _WORD.sub(
            lambda m: m[0].translate(table) if _is_mixed(m[0]) or _OLD_LATIN.search(m[0]) else m[0],
            unicodedata.normalize("NFC", text),
        )

    for table in (_TO_CYRILLIC, _TO_LATIN):
        yield _yo(_fold(rewritten(table)))


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


_Index = dict[str, set[str]]


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """Spelling → entries, one table per level. The ``bare`` ones hold entries without Cyrillic."""

    alias: _Index = field(default_factory=lambda: defaultdict(set))
    exact: _Index = field(default_factory=lambda: defaultdict(set))
    case: _Index = field(default_factory=lambda: defaultdict(set))
    latin: _Index = field(default_factory=lambda: defaultdict(set))
    latin_bare: _Index = field(default_factory=lambda: defaultdict(set))
    lookalike: _Index = field(default_factory=lambda: defaultdict(set))
    ascii: _Index = field(default_factory=lambda: defaultdict(set))
    ascii_bare: _Index = field(default_factory=lambda: defaultdict(set))

    def add(self, sign: Sign) -> None:
        """Enter all spellings of a sign."""
        key = sign.gloss_id
        words = [w for w in (sign.kk, sign.kk_latn, sign.ru, sign.en) if w]
        kazakh = [w for w in (sign.kk, sign.kk_latn, *sign.aliases) if w]
        bare = not any(_CYRILLIC.search(w) for w in (*words, *sign.aliases))
        for word in sign.aliases:
            self.alias[word].add(key)
        for word in words:
            self.exact[word].add(key)
        for word in kazakh:
            self.latin[_fold(to_latin(word))].add(key)
            self.lookalike[_fold(to_latin(word))].add(key)
            if bare:
                self.latin_bare[_fold(word)].add(key)
        for word in (key, *words, *sign.aliases):
            self.case[_fold(word)].add(key)
            self.lookalike[_yo(_fold(word))].add(key)
            self.ascii[ascii_form(word)].add(key)
            if bare:
                self.ascii_bare[ascii_form(word)].add(key)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lexicon:
    """The signs of a collection, and what was wrong in their file."""

    name: str
    signs: tuple[Sign, ...]
    """Distinct `gloss_id`, in the order of the file."""
    problems: tuple[Issue, ...] = ()

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
        """Every folded or ASCII spelling, and the entry that it belongs to."""
        pairs = {
            (spelling, gloss_id)
            for index in (self._levels.case, self._levels.ascii)
            for spelling, owners in index.items()
            for gloss_id in owners
            if spelling
        }
        ordered = sorted(pairs)
        return [spelling for spelling, _ in ordered], [gloss_id for _, gloss_id in ordered]

    def match(self, label: str, *, suggest: bool = True) -> Match:
        """Find the entry that a label names.

        Args:
            label: As annotated.
            suggest: Look for the nearest entries where there is none, which takes time in
                proportion to the lexicon; finding an entry does not.
        """
        text = unicodedata.normalize("NFC", label).strip()
        levels, cyrillic = self._levels, _CYRILLIC.search(text) is not None
        romanised = not cyrillic or _is_mixed(text)
        attempts: tuple[tuple[str, Mapping[str, set[str]], Iterable[str]], ...] = (
            ("gloss_id", {text: {text}} if text in self.by_id else {}, [text]),
            ("alias", levels.alias, [text]),
            ("exact", levels.exact, [text]),
            ("case", levels.case, [_fold(text)]),
            ("latin", levels.latin_bare if cyrillic else levels.latin, [_fold(to_latin(text))]),
            ("lookalike", levels.lookalike, _readings(text)),
            ("ascii", levels.ascii if romanised else levels.ascii_bare, [ascii_form(text)]),
        )
        for how, index, spellings in attempts:
            found = {owner for s in spellings if s for owner in index.get(s, ())}
            # A variant shares the spellings of its base; a label that does not say which
            # of them it means the base.
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
        for query in {_fold(label), ascii_form(label)} - {""}:
            for _, score, position in process.extract(
                query, spellings, scorer=fuzz.ratio, score_cutoff=_CUTOFF, limit=None
            ):
                owner = owners[position]
                best[owner] = max(score, best.get(owner, 0.0))
        return tuple(sorted(best, key=lambda owner: (-best[owner], owner))[:_NEAREST])

    def describe(self, gloss_id: str) -> str:
        """An entry as messages show it: ``'сәлем' (salem)``."""
        sign = self.by_id[gloss_id]
        word = sign.kk or sign.kk_latn or sign.ru or sign.en
        return f"{word!r} ({gloss_id})" if word and word != gloss_id else repr(gloss_id)


# --------------------------------------------------------------------------- reading


def load(name_or_path: str | Path) -> Lexicon:
    """Read a lexicon: UTF-8 CSV with a heading line, one entry a line.

    Args:
        name_or_path: A file, or the name of one under ``manifests/lexicon/``.

    Returns:
        The entries that can be used; `Lexicon.problems` tells what is wrong with the others.

    Raises:
        MissingFile: There is neither such a file nor a bundled lexicon of that name.
        AnnotationError: The file is not UTF-8 or not CSV, is too large, or lacks a column.
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
    try:
        text = path.read_bytes().decode("utf-8-sig")
        signs, problems = _read(text, file=path.name)
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path} is not UTF-8 (byte {error.start}).", hint="Save it as CSV UTF-8."
        ) from error
    except csv.Error as error:
        raise AnnotationError(f"{path} is not CSV: {error}.") from error
    return Lexicon(name=path.stem, signs=signs, problems=problems)


def _problem(code: str, *, where: str, message: str) -> Issue:
    return Issue(
        severity=CODES[code].severity,
        code=code,
        table="signs",
        key=where,
        message=f"{where}: {message}",
        hint=CODES[code].action,
    )


def _read(text: str, *, file: str) -> tuple[tuple[Sign, ...], tuple[Issue, ...]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    heading = [cell.strip() for cell in next(reader, [])]
    strange = sorted({name for name in heading if name not in COLUMNS or heading.count(name) > 1})
    if strange or "gloss_id" not in heading:
        what = (
            f"an unknown or repeated column {strange[0]!r}" if strange else "no column 'gloss_id'"
        )
        raise AnnotationError(
            f"the lexicon {file} has {what}; its heading line is {','.join(heading)!r}.",
            hint=f"Columns are: {','.join(COLUMNS)}",
        )
    signs: dict[str, Sign] = {}
    lines: dict[str, str] = {}
    problems: list[Issue] = []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{file}:{reader.line_num}"
        wrong: list[str] = []
        sign = _sign(heading, row, wrong=wrong)
        problems += [_problem("K306", where=where, message=message) for message in wrong]
        if sign is None:
            continue
        if sign.gloss_id in signs:
            message = f"gloss_id {sign.gloss_id!r} is already that of {lines[sign.gloss_id]}"
            problems.append(_problem("K305", where=where, message=message))
            continue
        signs[sign.gloss_id], lines[sign.gloss_id] = sign, where
    for gloss_id, sign in signs.items():
        if sign.variant_of is not None:
            base = signs.get(sign.variant_of)
            if base is None or base.variant_of is not None:
                message = f"variant_of: {sign.variant_of!r} is not the gloss_id of a base entry"
                problems.append(_problem("K306", where=lines[gloss_id], message=message))
    problems += _collisions(signs, lines=lines)
    return tuple(signs.values()), tuple(problems)


def _sign(heading: list[str], row: list[str], *, wrong: list[str]) -> Sign | None:
    """One entry; what is wrong with it goes to `wrong`, and None comes back if it has no key."""
    if len(row) != len(heading):
        wrong.append(f"{len(row)} cells where the heading has {len(heading)}")
        return None
    cells = {
        name: unicodedata.normalize("NFC", cell).strip()
        for name, cell in zip(heading, row, strict=True)
    }
    gloss_id = cells["gloss_id"]
    if not re.fullmatch(KEY_PATTERN, gloss_id):
        wrong.append(f"gloss_id: {gloss_id!r} is not made of a-z, 0-9, _ and - alone")
        return None
    for name, cell in cells.items():
        if any(unicodedata.category(c) == "Cc" for c in cell):
            wrong.append(f"{name}: {cell!r} holds a control character")
        if name in ("kk", "kk_latn", "ru", "en") and (mixed := mixed_scripts(cell)):
            wrong.append(f"{name}: {mixed[0]!r} mixes Cyrillic and Latin letters")

    def one_of(name: str, allowed: Mapping[str, int]) -> int | None:
        cell = cells.get(name, "").casefold()
        if cell and cell not in allowed:
            wrong.append(f"{name}: {cells[name]!r} is not {' or '.join(allowed)}, or empty")
        return allowed.get(cell)

    num_hands = one_of("num_hands", {"1": 1, "2": 2})
    mirror_safe = one_of("mirror_safe", {"true": 1, "false": 0})
    return Sign(
        gloss_id=gloss_id,
        **{name: cells.get(name) or None for name in _PLAIN},
        num_hands=num_hands,
        mirror_safe=None if mirror_safe is None else bool(mirror_safe),
        aliases=[a for a in map(str.strip, cells.get("aliases", "").split(";")) if a],
    )


def _collisions(signs: Mapping[str, Sign], *, lines: Mapping[str, str]) -> list[Issue]:
    """Spellings that name two entries. Translations may be shared, and so may those of variants."""
    owners: dict[str, str] = {}
    problems = []
    for gloss_id in signs:
        owners[gloss_id] = gloss_id
    for gloss_id, sign in signs.items():
        for spelling in dict.fromkeys(w for w in (sign.kk, sign.kk_latn, *sign.aliases) if w):
            owner = owners.setdefault(spelling, gloss_id)
            family = {gloss_id, sign.variant_of} & {owner, signs[owner].variant_of}
            if not family - {None}:
                problems.append(
                    _problem(
                        "K305",
                        where=lines[gloss_id],
                        message=f"{spelling!r} also names {owner!r} ({lines[owner]})",
                    )
                )
    return problems
