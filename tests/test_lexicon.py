"""The vocabulary: which labels name which signs, and which must not."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kslds import lexicon, manifest
from kslds.errors import AnnotationError, MissingFile
from kslds.lexicon import Lexicon, ascii_form, load, mixed_scripts, slug, to_latin
from kslds.schema import KEY_PATTERN, Sign

NSPCRSIE = load("nspcrsie")
SLOVO = ("Е", "Ё", "С", "с", "Я", "я", "веселый", "весёлый", "желтый", "жёлтый", "все", "всё")
KSL_EMO = ["mysyq", "saubol", "apke", "adam", "ake", "bauyr", "kofe", "avtokolik", "duken", "su"]


def make(*signs: Sign) -> Lexicon:
    return Lexicon(name="test", signs=signs)


def words(*labels: str) -> Lexicon:
    """A lexicon of Russian words, keyed by their place."""
    return make(*(Sign(gloss_id=f"w{n}", ru=label) for n, label in enumerate(labels)))


def write(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "lab.csv"
    path.write_bytes(text.encode(encoding))
    return path


# --------------------------------------------------------------------------- what comes along


def test_the_bundled_lexicon_is_sound() -> None:
    assert NSPCRSIE.problems == ()
    path = manifest.bundled("manifests") / "lexicon" / "nspcrsie.csv"
    text = path.read_bytes().decode()
    assert text == unicodedata.normalize("NFC", text)
    assert "\r" not in text
    ids = [sign.gloss_id for sign in NSPCRSIE.signs]
    assert ids == sorted(ids)
    assert len(text.splitlines()) == len(ids) + 1
    for sign in NSPCRSIE.signs:
        assert sign.kk
        assert sign.kk_latn == to_latin(sign.kk)
        assert sign.gloss_id.replace("-", "") == ascii_form(sign.kk)
        assert sign.ru
        assert sign.en
        assert sign.category
        # No source states these.
        assert sign.num_hands is None
        assert sign.mirror_safe is None


def test_only_attested_signs_come_along() -> None:
    emo = {s.gloss_id for s in NSPCRSIE.signs if "KSL-Emo paper" in (s.source or "")}
    assert emo == set(KSL_EMO)
    assert all(
        "KSL-Emo" in (s.source or "") or "QazSL file name" in (s.source or "")
        for s in NSPCRSIE.signs
    )
    assert "not shown to be one of the 20" in (NSPCRSIE.by_id["salem"].source or "")


# --------------------------------------------------------------------------- matching


@pytest.mark.parametrize(
    ("label", "gloss_id", "how"),
    [
        ("mysyq", "mysyq", "gloss_id"),
        ("мысық", "mysyq", "exact"),
        ("кошка", "mysyq", "exact"),
        ("cat", "mysyq", "exact"),
        ("sälem", "salem", "exact"),
        (unicodedata.normalize("NFD", "sälem"), "salem", "exact"),
        (unicodedata.normalize("NFD", "бойдақ"), "boidaq", "exact"),
        ("  сәлем\n", "salem", "exact"),
        ("әдемі-емес", "ademi-emes", "alias"),
        ("СӘЛЕМ", "salem", "case"),
        ("Saubol", "saubol", "case"),
        ("Сау_бол", "saubol", "case"),
        ("сау\u00a0бол", "saubol", "case"),
        ("сәлем\u200b", "salem", "case"),
        ("сəлем", "salem", "lookalike"),  # Latin schwa
        ("кiшi", "kishi", "lookalike"),  # Latin i
        ("cәлем", "salem", "lookalike"),  # Latin c
        ("sälеm", "salem", "lookalike"),  # Cyrillic е
        ("ребенок", "bala", "lookalike"),  # ребёнок
        ("мyсyq", "mysyq", "ascii"),  # file names of the KSL-Emo recorder
        ("aпке", "apke", "ascii"),
        ("omirsuru", "omir-suru", "ascii"),
        ("KIŞI", "kishi", "ascii"),
        ("ápke", "apke", "latin_old"),  # the alphabet of 2018
        ("kis'i", "kishi", "latin_old"),
    ],
)
def test_spellings(label: str, gloss_id: str, how: str) -> None:
    match = NSPCRSIE.match(label)
    assert (match.gloss_id, match.how, match.candidates) == (gloss_id, how, ())


def test_latin_spelling_without_a_column_for_it() -> None:
    book = make(Sign(gloss_id="book", kk="кітап"))
    assert book.match("kıtap").how == "latin"
    assert book.match("KITAP").how == "ascii"
    only_latin = make(Sign(gloss_id="book", kk_latn="kıtap"))
    assert only_latin.match("кітап").how == "latin"
    only_key = make(Sign(gloss_id="kitap"))
    assert only_key.match("кітап").how == "ascii"


def test_turkic_letters_fold_without_case_functions() -> None:
    istanbul = make(Sign(gloss_id="city", kk_latn="İstanbul"))
    for label in ("İstanbul", "istanbul", "İSTANBUL", "ISTANBUL"):
        assert istanbul.match(label).gloss_id == "city"
    assert to_latin("ИНЕ ине Іні") == "İNE ine Inı"


@pytest.mark.parametrize(
    ("entry", "label"),
    [
        ("үн", "ұн"),  # voice, flour: the same ASCII
        ("хат", "һат"),  # the same Latin
        ("әпке", "апке"),
        ("Е", "Ё"),  # two letters of the manual alphabet
        ("қыз", "қыс"),
        ("cop", "сор"),  # a Cyrillic word that looks like an English one
        ("привет", "Привет!"),
    ],
)
def test_different_words_do_not_match(entry: str, label: str) -> None:
    for one, other in ((entry, label), (label, entry)):
        assert make(Sign(gloss_id="w", kk=one)).match(other).gloss_id is None


def test_pairs_of_slovo_stay_apart() -> None:
    slovo = words(*SLOVO)
    assert [slovo.match(label).gloss_id for label in SLOVO] == [f"w{n}" for n in range(12)]
    assert slovo.match("ВЕСЁЛЫЙ").gloss_id == slovo.match("весёлый").gloss_id
    # Latin C could be either the letter or the word.
    both = words("Сад", "сад").match("Cад")
    assert (both.how, both.candidates) == ("ambiguous", ("w0", "w1"))


def test_a_wider_level_never_overrules_a_narrower_one() -> None:
    pair = words("все", "всё", "ВСЕ")
    assert pair.match("все").gloss_id == "w0"
    assert pair.match("ВСЁ").gloss_id == "w1"
    assert pair.match("Все").candidates == ("w0", "w2")


def test_an_alias_settles_what_is_ambiguous() -> None:
    head = Sign(gloss_id="head", kk="бас")
    bass = Sign(gloss_id="bass", ru="бас")
    assert make(head, bass).match("бас").candidates == ("bass", "head")
    chosen = Sign(gloss_id="head", kk="бас", aliases=["бас"])
    assert make(chosen, bass).match("бас").gloss_id == "head"


def test_a_label_names_the_base_of_its_variants() -> None:
    base = Sign(gloss_id="salem", kk="сәлем")
    waved = Sign(gloss_id="salem-wave", kk="сәлем", variant_of="salem", aliases=["сәлем 2"])
    both = make(waved, base)
    assert both.match("Сәлем").gloss_id == "salem"
    assert both.match("salem-wave").gloss_id == "salem-wave"
    assert both.match("сәлем 2").gloss_id == "salem-wave"


@pytest.mark.parametrize(
    ("label", "first"), [("салам", "salem"), ("мысык", "mysyq"), ("avtokolk", "avtokolik")]
)
def test_nearest(label: str, first: str) -> None:
    match = NSPCRSIE.match(label)
    assert (match.gloss_id, match.how, match.candidates[0]) == (None, "none", first)
    assert len(match.candidates) <= 3
    assert NSPCRSIE.match(label, suggest=False).candidates == ()


@pytest.mark.parametrize("label", ["", " ", "你好", "42", "!", "qwertz"])
def test_nothing_is_near(label: str) -> None:
    match = NSPCRSIE.match(label)
    assert (match.gloss_id, match.how, match.candidates) == (None, "none", ())


def test_entries_in_messages() -> None:
    assert NSPCRSIE.describe("salem") == "'сәлем' (salem)"
    assert make(Sign(gloss_id="palm", en="open palm")).describe("palm") == "'open palm' (palm)"
    assert make(Sign(gloss_id="palm")).describe("palm") == "'palm'"


SPELLINGS = [
    (sign.gloss_id, spelling)
    for sign in NSPCRSIE.signs
    for spelling in (sign.gloss_id, sign.kk, sign.kk_latn, sign.ru, sign.en, *sign.aliases)
    if spelling
]
CHANGES = {
    "nothing": lambda s: s,
    "NFD": lambda s: unicodedata.normalize("NFD", s),
    "capitals": lambda s: s.upper(),
    "title": lambda s: s[0].upper() + s[1:],
    "underscores": lambda s: s.replace(" ", "_"),
    "spaces around": lambda s: f" {s}\t",
    "Latin schwa": lambda s: s.replace("ә", "ə"),
    "Latin i": lambda s: s.replace("і", "i"),
    "Latin a e o": lambda s: s.translate(str.maketrans("аео", "aeo")),
    "ASCII": lambda s: ascii_form(s) or s,
}


@settings(deadline=None)
@given(st.sampled_from(SPELLINGS), st.lists(st.sampled_from(sorted(CHANGES)), max_size=3))
def test_every_spelling_finds_its_own_entry_or_is_ambiguous(
    entry: tuple[str, str], changes: list[str]
) -> None:
    gloss_id, label = entry
    for change in changes:
        label = CHANGES[change](label)
    match = NSPCRSIE.match(label)
    assert match.gloss_id in (gloss_id, None), match
    if not changes:
        assert match.gloss_id == gloss_id


@settings(deadline=None)
@given(st.text())
def test_any_text_is_matched_without_an_error(label: str) -> None:
    match = NSPCRSIE.match(label)
    assert (match.gloss_id is None) == (match.how in ("none", "ambiguous"))


# --------------------------------------------------------------------------- orthography


def test_tables_hold_letters_of_the_script_they_say() -> None:
    def scripts(text: str) -> set[str]:
        return {unicodedata.name(c).split()[0] for c in text}

    assert scripts("".join(lexicon.LATIN_2021)) == {"CYRILLIC"}
    assert scripts("".join(lexicon.LATIN_2021.values())) == {"LATIN"}
    assert len(lexicon.LATIN_2021) == 42
    assert all(value.isascii() for value in lexicon.ASCII.values())
    assert set(lexicon.LATIN_2021) < set(lexicon.ASCII)


@pytest.mark.parametrize(
    ("kk", "latin", "plain"),
    [
        ("мысық", "mysyq", "mysyq"),
        ("сау бол", "sau bol", "saubol"),
        ("әпке", "äpke", "apke"),
        ("автокөлік", "avtokölık", "avtokolik"),
        ("дүкен", "düken", "duken"),
        ("Ұлы Дала", "Ūly Dala", "ulydala"),
        ("жаңғақ", "jañğaq", "jangaq"),
        ("Қазақстан", "Qazaqstan", "qazaqstan"),
    ],
)
def test_transliteration(kk: str, latin: str, plain: str) -> None:
    assert to_latin(kk) == latin
    assert ascii_form(kk) == plain
    assert ascii_form(latin) == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("САНКТ-ПEТЕРБУРГ", ("САНКТ-ПEТЕРБУРГ",)),
        ("менің aпке келді", ("aпке",)),
        ("мyсyq aпке", ("мyсyq", "aпке")),
        ("SMS-хабарлама", ()),
        ("SMS жіберу", ()),
        ("kofe", ()),
        ("", ()),
    ],
)
def test_mixed_scripts(text: str, expected: tuple[str, ...]) -> None:
    assert mixed_scripts(text) == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Сау бол", "sau_bol"),
        ("Добро пожаловать!", "dobro_pojalovat"),
        ("thumb_up", "thumb_up"),
        ("4. Bird", "4_bird"),
        ("İstanbul", "istanbul"),
        ("ΓΕΙΑ", "label_c70f110e"),
    ],
)
def test_slugs(label: str, expected: str) -> None:
    assert slug(label) == expected


@settings(deadline=None)
@given(st.text())
def test_a_slug_is_a_key(label: str) -> None:
    key = slug(label)
    assert re.fullmatch(KEY_PATTERN, key)
    assert len(key) <= 57
    assert slug(unicodedata.normalize("NFD", label)) == slug(unicodedata.normalize("NFC", label))


# --------------------------------------------------------------------------- reading


def test_a_file_from_a_spreadsheet(tmp_path: Path) -> None:
    text = "\ufeffgloss_id,kk,aliases,num_hands,mirror_safe\r\n"
    text += "book,кітап,Кітап!; кітаптар ;,2,TRUE\r\n,,,,\r\n"
    lab = load(write(tmp_path, text))
    assert lab.name == "lab"
    assert lab.problems == ()
    assert lab.signs == (
        Sign(
            gloss_id="book",
            kk="кітап",
            aliases=["Кітап!", "кітаптар"],
            num_hands=2,
            mirror_safe=True,
        ),
    )


def test_a_missing_lexicon_names_those_that_exist(tmp_path: Path) -> None:
    for name in ("nspcrs", tmp_path / "none.csv", "../lexicon/nspcrsie"):
        with pytest.raises(MissingFile, match="nspcrsie"):
            load(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'gloss_id'"),
        ("word,kk\nbook,кітап\n", "unknown or repeated column 'word'"),
        ("kk,ru\nкітап,книга\n", "no column 'gloss_id'; its heading line is 'kk,ru'"),
        ("gloss_id;kk\nbook;кітап\n", "'gloss_id;kk'"),
        ("gloss_id,kk,kk\nbook,кітап,кітап\n", "repeated column 'kk'"),
        ('gloss_id,kk\nbook,"кітап\n', "not CSV"),
        ("gloss_id,kk\nbook," + "к" * 200_000 + "\n", "not CSV"),
    ],
)
def test_an_unreadable_lexicon(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(message)):
        load(write(tmp_path, text))


def test_another_encoding_or_a_huge_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="not UTF-8"):
        load(write(tmp_path, "gloss_id,ru\nbook,книга\n", encoding="cp1251"))
    path = write(tmp_path, "gloss_id,ru\n")
    with path.open("r+b") as file:
        file.truncate(lexicon.MAX_BYTES + 1)
    with pytest.raises(AnnotationError, match="larger than a lexicon may be"):
        load(path)


def test_bad_rows_are_reported_and_the_others_kept(tmp_path: Path) -> None:
    rows = [
        "book,кітап,,",
        "Pen,қалам,,",
        "pen,қалам\x00,,",
        "table,үстел,,chair",
        "book,дәптер,,",
        "note,дәптер,кітап,",
        "a,,,b",
        "b,,,a",
    ]
    lab = load(write(tmp_path, "\n".join(["gloss_id,kk,aliases,variant_of", *rows])))
    assert [s.gloss_id for s in lab.signs] == ["book", "pen", "table", "note", "a", "b"]
    assert [(p.code, p.key) for p in lab.problems] == [
        ("K306", "lab.csv:3"),
        ("K306", "lab.csv:4"),
        ("K305", "lab.csv:6"),
        ("K306", "lab.csv:5"),
        ("K306", "lab.csv:8"),
        ("K306", "lab.csv:9"),
        ("K305", "lab.csv:7"),
    ]
    assert lab.match("a").gloss_id == "a"
