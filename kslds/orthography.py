"""Kazakh in Cyrillic, in three Latin alphabets, and in the ASCII of file names.

Cyrillic has 42 letters: the 33 of Russian and ә ғ қ ң ө ұ ү һ і. The Latin alphabet was laid
down three times, each time differently, so there is no "the" Latin spelling: every function
takes the version, and `ALPHABETS` holds one table for each.

None of the tables can be inverted. и and й share a letter, and so do х and һ; in 2018 и and
і also share their capital, and ``sh`` is ш or сһ or сх. `ambiguous` lists what a table merges, and
`from_latin` returns every reading instead of choosing one. ц щ ё ю я ъ ь э, which occur in
Russian loans, are in none of the tables (nor is ч in that of 2021): what `to_latin` writes for
them is a convention, and `Alphabet.unsettled` names them.

Tables are used throughout, never ``str.lower``: ``'İ'.lower()`` is two letters, and
``'ı'.upper()`` is the capital of i.
"""

from __future__ import annotations

import hashlib
import re
import types
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kslds.errors import UsageError

CYRILLIC = "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя"
"""The 42 letters of Kazakh Cyrillic, small, in the order of the alphabet."""

_CAPITALS = dict(zip(CYRILLIC, "АӘБВГҒДЕЁЖЗИЙКҚЛМНҢОӨПРСТУҰҮФХҺЦЧШЩЪЫІЬЭЮЯ", strict=True))
_APOSTROPHES = str.maketrans("’‘ʼʹ`´", "''''''")
_MAX_READINGS = 64


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """One version of the Latin alphabet."""

    version: str
    source: str
    """What laid it down."""
    small: Mapping[str, str]
    """Small Cyrillic letter → what is written for it."""
    capitals: Mapping[str, str]
    """Capital Cyrillic letter → what is written for it."""
    unsettled: str
    """Small Cyrillic letters that the source does not settle; what is written is a convention."""
    _table: dict[int, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = str.maketrans({**self.small, **self.capitals})
        object.__setattr__(self, "_table", table)


def _alphabet(
    version: str, *, source: str, settled: Mapping[str, str], unsettled: Mapping[str, str],
    capitals: Mapping[str, str],
) -> Alphabet:  # fmt: skip
    """`capitals` holds those that are not their small letter's in every alphabet."""
    small = {**settled, **unsettled}

    def capital(cyrillic: str) -> str:
        latin = small[cyrillic]
        return capitals.get(cyrillic, latin[:1].upper() + latin[1:])

    return Alphabet(
        version=version,
        source=source,
        small=types.MappingProxyType({c: small[c] for c in CYRILLIC}),
        capitals=types.MappingProxyType({_CAPITALS[c]: capital(c) for c in CYRILLIC}),
        unsettled="".join(c for c in CYRILLIC if c in unsettled),
    )


_SHARED = dict(zip("абвгдежзйкқлмнопрстфхһы", "abvgdejzikqlmnoprstfhhy", strict=True))

ALPHABETS: Mapping[str, Alphabet] = types.MappingProxyType(
    {
        "2017": _alphabet(
            "2017",
            source="Decree No. 569 of the President of Kazakhstan, 26 October 2017",
            settled={
                **_SHARED, "ә": "a'", "ғ": "g'", "и": "i'", "й": "i'", "ң": "n'", "ө": "o'",
                "у": "y'", "ұ": "u", "ү": "u'", "ч": "c'", "ш": "s'", "і": "i",
            },
            unsettled={
                "ц": "ts", "щ": "s'c'", "э": "e", "ё": "i'o", "ю": "i'y'", "я": "i'a",
                "ъ": "", "ь": "",
            },
            capitals={},
        ),
        "2018": _alphabet(
            "2018",
            source="Decree No. 637 of the President of Kazakhstan, 19 February 2018",
            settled={
                **_SHARED, "ә": "á", "ғ": "ǵ", "и": "ı", "й": "ı", "ң": "ń", "ө": "ó", "у": "ý",
                "ұ": "u", "ү": "ú", "ч": "ch", "ш": "sh", "і": "i",
            },
            unsettled={
                "ц": "ts", "щ": "shch", "э": "e", "ё": "ıo", "ю": "ıý", "я": "ıa",
                "ъ": "", "ь": "",
            },
            capitals={"и": "I", "й": "I", "ё": "Io", "ю": "Iý", "я": "Ia"},
        ),
        "2021": _alphabet(
            "2021",
            source="the draft presented in April 2021",
            settled={
                **_SHARED, "ә": "ä", "ғ": "ğ", "и": "i", "й": "i", "ң": "ñ", "ө": "ö", "у": "u",
                "ұ": "ū", "ү": "ü", "ш": "ş", "і": "ı",
            },
            unsettled={
                "ц": "c", "ч": "ç", "щ": "şç", "э": "e", "ё": "io", "ю": "iu", "я": "ia",
                "ъ": "", "ь": "",
            },
            capitals={"и": "İ", "й": "İ", "ё": "İo", "ю": "İu", "я": "İa", "і": "I"},
        ),
    }
)  # fmt: skip
"""Version → alphabet, the oldest first.

In 2017 the mark is an apostrophe; it is written ``'`` here and read in any of its shapes.
The unsettled letters of 2021 follow the table that Stanza uses (``kazakh_transliteration``;
unlike Stanza, і is ı, as in the draft), those of 2017 and 2018 do so by analogy."""

LATEST = "2021"
"""The version that is meant where none is named."""

_NAMES = ", ".join(ALPHABETS)


def alphabet(version: str) -> Alphabet:
    """A version of the Latin alphabet.

    Raises:
        UsageError: There is no such version.
    """
    if version not in ALPHABETS:
        raise UsageError(f"there is no Latin alphabet of {version!r}; there are those of {_NAMES}.")
    return ALPHABETS[version]


def to_latin(text: str, *, version: str = LATEST) -> str:
    """Kazakh Cyrillic in a Latin alphabet; other characters stay.

    A capital that becomes two letters has the first of them large: ``ШАШ`` → ``ShASh`` (2018).

    Raises:
        UsageError: There is no such version.
    """
    return unicodedata.normalize("NFC", text).translate(alphabet(version)._table)


def ambiguous(version: str = LATEST) -> Mapping[str, tuple[str, ...]]:
    """What a Latin alphabet merges: Latin spelling → the Cyrillic ones it may stand for.

    Only settled letters count, small ones and capitals; ъ and ь are not written at all.

    Raises:
        UsageError: There is no such version.
    """
    readings: dict[str, set[str]] = {}
    letters = _settled(alphabet(version))
    for latin in letters:
        readings[latin] = {"".join(parts) for parts in _spelled(latin, letters)}
    return {
        latin: tuple(sorted(found)) for latin, found in sorted(readings.items()) if len(found) > 1
    }


def _settled(chosen: Alphabet) -> dict[str, list[str]]:
    """Latin spelling → Cyrillic letters, of the settled letters."""
    found: dict[str, list[str]] = {}
    for small in CYRILLIC:
        if small in chosen.unsettled:
            continue
        capital = _CAPITALS[small]
        written = {chosen.small[small]: small, chosen.capitals[capital]: capital}
        if len(chosen.capitals[capital]) > 1:
            written[chosen.capitals[capital].upper()] = capital  # SH in a text all in capitals
        for latin, cyrillic in written.items():
            found.setdefault(latin, []).append(cyrillic)
    return found


def _spelled(text: str, letters: Mapping[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Every way to cut a text into letters, and of each letter every Cyrillic one."""
    if not text:
        yield ()
    for length in (1, 2):
        # An apostrophe always belongs to the letter before it.
        if len(text) >= length and text[length : length + 1] != "'":
            for cyrillic in letters.get(text[:length], ()):
                for rest in _spelled(text[length:], letters):
                    yield (cyrillic, *rest)


def from_latin(text: str, *, version: str = LATEST) -> tuple[str, ...]:
    """Every Kazakh Cyrillic text that has this Latin spelling, sorted.

    ``üi`` may be үи or үй: nothing but a dictionary can tell. Letters that the alphabet leaves
    unsettled are not among the readings. Digits, spaces and punctuation stay.

    Raises:
        UsageError: There is no such version; a letter is not in its alphabet; or a text has
            more than 64 readings.
    """
    letters = _settled(alphabet(version))
    readings = [""]
    plain = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    for token in re.findall(r"(?:[^\W\d_]'?)+|.", plain, re.DOTALL):
        if not token[0].isalpha():
            readings = [before + token for before in readings]
            continue
        units = _units(token, letters)
        unknown = next((unit for unit, choices in units if not choices), None)
        if unknown is not None:
            raise UsageError(
                f"{token!r}: {unknown!r} is not a letter of the Latin alphabet of {version}."
            )
        for _, choices in units:
            readings = [before + choice for before in readings for choice in choices]
            if len(readings) > _MAX_READINGS:
                raise UsageError(
                    f"{text[:60]!r} has more than {_MAX_READINGS} readings in Cyrillic.",
                    hint="Read it word by word.",
                )
    return tuple(sorted(set(readings)))


def _units(word: str, letters: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """The letters of a word, the longest first, each with what it may stand for."""
    units: list[tuple[str, list[str]]] = []
    position = 0
    while position < len(word):
        unit = word[position : position + 2]
        if unit not in letters:
            unit = word[position] + ("'" if unit[1:] == "'" else "")
        choices = sorted({"".join(parts) for parts in _spelled(unit, letters)})
        if not choices and unit.endswith("'"):  # a closing quotation mark
            choices = [c + "'" for c in letters.get(unit[0], ())]
        units.append((unit, choices))
        position += len(unit)
    return units


# --------------------------------------------------------------------------- ASCII

LATIN_2021: Mapping[str, str] = ALPHABETS["2021"].small
"""Small Cyrillic letter → the Latin alphabet of April 2021."""

_WITHOUT_ACCENTS = str.maketrans("äğñöūüı", "agnouui")
ASCII: Mapping[str, str] = types.MappingProxyType({
    **{cyrillic: latin.translate(_WITHOUT_ACCENTS) for cyrillic, latin in LATIN_2021.items()},
    "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch",
    "ş": "sh", "ı": "i", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d",
})  # fmt: skip
"""Small letter → the ASCII letters of file names, as the KSL-Emo recordings spell them
(мысық → mysyq, әпке → apke). Other Latin letters lose their accents."""

_ASCII_TABLE = str.maketrans(dict(ASCII))
_MAX_SLUG = 48


def ascii_words(text: str) -> list[str]:
    """The words of a text in the ASCII spelling of file names."""
    folded = fold(text)
    if not folded.isascii():
        decomposed = unicodedata.normalize("NFKD", folded.translate(_ASCII_TABLE))
        folded = "".join(c for c in decomposed if not unicodedata.combining(c))
    return re.findall("[a-z0-9]+", folded)


def ascii_form(text: str) -> str:
    """The ASCII spelling that file names use: small letters and digits, nothing between.

    ``сау бол`` → ``saubol``. Empty where a text has no Latin or Cyrillic letter or digit.
    """
    return "".join(ascii_words(text))


def slug(label: str) -> str:
    """A key for a label that no lexicon names: its ASCII form, ``_`` between words.

    Different labels may have the same slug. A label without any letter to keep becomes
    ``label_`` and 8 hex digits of its SHA-256; a long one is cut and gets the digits too.
    """
    words = "_".join(ascii_words(label))
    digest = hashlib.sha256(unicodedata.normalize("NFC", label).encode()).hexdigest()[:8]
    if not words:
        return f"label_{digest}"
    return words if len(words) <= _MAX_SLUG else f"{words[:_MAX_SLUG].rstrip('_')}_{digest}"


# --------------------------------------------------------------------------- folding

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_SEPARATORS = re.compile(r"[\s_-]+")


def fold(text: str) -> str:
    """Without case, invisible characters, and differences between separators."""
    if text.isascii():
        return _SEPARATORS.sub(" ", text.lower()).strip()
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text)).replace("İ", "i")
    return unicodedata.normalize("NFC", _SEPARATORS.sub(" ", text.casefold()).strip())


def fold_latin(text: str) -> str:
    """`fold`, and every shape of the apostrophe as ``'``."""
    return fold(text.translate(_APOSTROPHES))


def fold_yo(folded: str) -> str:
    """Ё written as е, as most Russian text does; a single letter is the letter itself."""
    return folded if len(folded) == 1 else folded.replace("ё", "е")


# --------------------------------------------------------------------------- scripts

_LOOKALIKES = {  # Latin → Cyrillic; a capital and its small letter may look like different ones
    **dict(zip("ABCEHIKMOPTXYƏƟË", "АВСЕНІКМОРТХУӘӨЁ", strict=True)),
    **dict(zip("aceihkmoptxyəɵë", "асеіһкмортхуәөё", strict=True)),
}
TO_CYRILLIC = str.maketrans(_LOOKALIKES)
"""Latin letters → the Cyrillic ones that look the same."""
_TO_LATIN = str.maketrans(
    {cyrillic: latin for latin, cyrillic in _LOOKALIKES.items()}
    | dict(zip("ӘәƏəӨөƟɵ", "ÄäÄäÖöÖö", strict=True))
)
_LATIN = re.compile("[A-Za-zªºÀ-ÖØ-öø-ʯḀ-ỿ]")
_CYRILLIC = re.compile("[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
_OLD_LATIN = re.compile("[əƏɵƟ]")
_TOKEN = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_WORD = re.compile(r"[^\W_]+")


def has_cyrillic(text: str) -> bool:
    """Is there a Cyrillic letter?"""
    return _CYRILLIC.search(text) is not None


def has_latin(text: str) -> bool:
    """Is there a Latin letter?"""
    return _LATIN.search(text) is not None


def is_mixed(text: str) -> bool:
    """Are there letters of both scripts?"""
    return has_latin(text) and has_cyrillic(text)


def mixed_scripts(text: str) -> tuple[str, ...]:
    """The words that mix Cyrillic and Latin letters, as ``САНКТ-ПEТЕРБУРГ`` with a Latin E.

    A hyphen may join words of different scripts: ``SMS-хабарлама`` is not mixed.
    """
    if not is_mixed(text):
        return ()
    words = _TOKEN.findall(unicodedata.normalize("NFC", text))
    return tuple(w for w in words if any(is_mixed(part) for part in _WORD.findall(w)))


def foreign_letters(text: str) -> str:
    """The Cyrillic letters of a text that Kazakh does not have, once each."""
    known = {*CYRILLIC, *_CAPITALS.values()}
    letters = _CYRILLIC.findall(unicodedata.normalize("NFC", text))
    return "".join(dict.fromkeys(c for c in letters if c not in known))


def readings(text: str) -> Iterator[str]:
    """What a label can mean once its look-alike letters are all of one script, folded."""
    yield fold_yo(fold(text))
    if not (is_mixed(text) or _OLD_LATIN.search(text)):
        return

    def rewritten(table: dict[int, str]) -> str:
        return _WORD.sub(
            lambda m: m[0].translate(table) if is_mixed(m[0]) or _OLD_LATIN.search(m[0]) else m[0],
            unicodedata.normalize("NFC", text),
        )

    for table in (TO_CYRILLIC, _TO_LATIN):
        yield fold_yo(fold(rewritten(table)))
