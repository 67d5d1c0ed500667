"""Kazakh in Cyrillic, three Latin alphabets and ASCII."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kslds.errors import UsageError
from kslds.orthography import (
    ALPHABETS,
    ASCII,
    CYRILLIC,
    alphabet,
    ambiguous,
    ascii_form,
    foreign_letters,
    from_latin,
    mixed_scripts,
    to_latin,
)

VERSIONS = list(ALPHABETS)
SETTLED = {v: "".join(c for c in CYRILLIC if c not in ALPHABETS[v].unsettled) for v in VERSIONS}


def test_the_alphabet_has_42_letters() -> None:
    assert len(set(CYRILLIC)) == len(CYRILLIC) == 42
    assert set("әғқңөұүһі") < set(CYRILLIC)
    assert {unicodedata.name(c).split()[0] for c in CYRILLIC} == {"CYRILLIC"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_table_has_every_letter_in_nfc(version: str) -> None:
    chosen = alphabet(version)
    assert "".join(chosen.small) == CYRILLIC
    assert len(chosen.capitals) == 42
    for latin in (*chosen.small.values(), *chosen.capitals.values()):
        assert latin == unicodedata.normalize("NFC", latin)
        assert all(c == "'" or unicodedata.name(c).startswith("LATIN") for c in latin)
    assert set("цщэёюяъь") <= set(chosen.unsettled)
    assert set(SETTLED[version]) < set(ASCII)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2017", "Qazaqstan a'pke jan'g'aq ko'lik u'i' kis'i"),
        ("2018", "Qazaqstan ápke jańǵaq kólik úı kishi"),
        ("2021", "Qazaqstan äpke jañğaq kölık üi kışı"),
    ],
)
def test_the_three_alphabets(version: str, expected: str) -> None:
    assert to_latin("Қазақстан әпке жаңғақ көлік үй кіші", version=version) == expected


@pytest.mark.parametrize(
    ("version", "latin"),
    [("2017", "I'ne Iri Y'aqyt S'ala"), ("2018", "Ine Iri Ýaqyt Shala"),
     ("2021", "İne Irı Uaqyt Şala")],
)  # fmt: skip
def test_capitals_come_from_tables(version: str, latin: str) -> None:
    assert to_latin("Ине Ірі Уақыт Шала", version=version) == latin


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2017", {"h": ("х", "һ"), "i'": ("и", "й"), "H": ("Х", "Һ"), "I'": ("И", "Й")}),
        (
            "2018",
            {
                "h": ("х", "һ"), "ı": ("и", "й"), "H": ("Х", "Һ"), "I": ("И", "Й", "І"),
                "sh": ("сх", "сһ", "ш"), "Sh": ("Сх", "Сһ", "Ш"), "SH": ("СХ", "СҺ", "Ш"),
            },
        ),
        ("2021", {"h": ("х", "һ"), "i": ("и", "й"), "H": ("Х", "Һ"), "İ": ("И", "Й")}),
    ],
)  # fmt: skip
def test_what_a_table_merges(version: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert ambiguous(version) == {k: tuple(sorted(v)) for k, v in expected.items()}


@pytest.mark.parametrize(
    ("latin", "version", "expected"),
    [
        ("äpke", "2021", ("әпке",)),
        ("a’pke", "2017", ("әпке",)),
        ("aʼpke", "2017", ("әпке",)),
        ("ápke", "2018", ("әпке",)),
        ("üi", "2021", ("үи", "үй")),
        ("Qaz, 2!", "2021", ("Қаз, 2!",)),
        ("kishi", "2018", ("кісхі", "кісһі", "кіші")),
        ("'ata'", "2021", ("'ата'",)),
        ("'ata qaz'", "2018", ("'ата қаз'",)),
        ("", "2021", ("",)),
    ],
)
def test_every_reading_of_a_latin_word(latin: str, version: str, expected: tuple[str, ...]) -> None:
    assert from_latin(latin, version=version) == expected


@pytest.mark.parametrize(
    ("latin", "version", "message"),
    [
        ("windows", "2021", "'w' is not a letter of the Latin alphabet of 2021"),
        ("á", "2021", "'á' is not a letter"),
        ("тау", "2018", "'т' is not a letter"),
        ("i" * 7, "2021", "more than 64 readings"),
        ("i" * 100_000, "2021", "more than 64 readings"),
        ("a", "2019", "no Latin alphabet of '2019'"),
    ],
)
def test_a_reading_that_is_refused(latin: str, version: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_latin(latin, version=version)


@settings(deadline=None)
@given(st.sampled_from(VERSIONS), st.data())
def test_a_word_is_among_the_readings_of_its_latin_spelling(
    version: str, data: st.DataObject
) -> None:
    letters = SETTLED[version] + " "
    word = data.draw(st.text(letters, max_size=6))
    latin = to_latin(word, version=version)
    readings = from_latin(latin, version=version)
    assert word in readings
    assert {to_latin(reading, version=version) for reading in readings} == {latin}
    if not any(latin_letter in latin for latin_letter in ambiguous(version)):
        assert readings == (word,)


def test_ascii_names_do_not_depend_on_case_functions() -> None:
    assert ascii_form("İSTANBUL") == ascii_form("ıstanbul") == "istanbul"
    assert ascii_form("ҚЫЗ") == ascii_form("қыз") == "qyz"
    assert ascii_form(unicodedata.normalize("NFD", "бойдақ")) == "boidaq"
    # Not invertible: these are different words.
    assert ascii_form("ұн") == ascii_form("үн") == "un"


def test_letters_that_kazakh_does_not_have() -> None:
    assert foreign_letters("їжак ґанок їжа") == "їґ"
    assert foreign_letters("Қазақ тілі, әёцъ") == ""


@pytest.mark.parametrize("word", ["САНКТ-ПEТЕРБУРГ", "aпке"])
def test_mixed_words_as_collections_have_them(word: str) -> None:
    assert mixed_scripts(f"бұл {word} екен") == (word,)
