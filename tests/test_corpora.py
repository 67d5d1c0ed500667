"""The contract of every adapter: rows by count, first, tenth and last, a recipe, a page section."""

from __future__ import annotations

import importlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kslds import recipe
from kslds.corpora import ADAPTERS, END, About
from tests.corpus_tools import rows, write

ROOT = Path(__file__).resolve().parents[1]
TWELVE = range(1, 13)
SIGNS = ("әке", "су", "ұл", "үй")
UUID = "44e8d2a0-7e01-450b-90b0-beb7400d2{:03d}"
TAKE = "train/sad/Су/sign_Су__sad__participant_{:03d}__2024-01-02T10-11-12_r01.mp4"


def sign(n: int) -> str:
    return SIGNS[n % 4]


def lines(header: str, row: str) -> str:
    """A file of twelve rows; ``{n}`` is the number of the row and ``{sign}`` its label."""
    written = [row.format(n=n, sign=sign(n), end=100 * n) for n in TWELVE]
    return "\n".join(filter(None, [header, *written])) + "\n"


def eaf() -> str:
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{t}" TIME_VALUE="{50 * t}"/>\n' for t in range(1, 26)
    )
    notes = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{n}" TIME_SLOT_REF1="ts{2 * n - 1}" '
        f'TIME_SLOT_REF2="ts{2 * n}"><ANNOTATION_VALUE>{sign(n)}</ANNOTATION_VALUE>'
        "</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        for n in TWELVE
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="" '
        'DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">\n'
        '<HEADER TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///a.mp4" '
        f'MIME_TYPE="video/mp4"/></HEADER><TIME_ORDER>{slots}</TIME_ORDER>'
        f'<TIER LINGUISTIC_TYPE_REF="d" TIER_ID="gloss">{notes}</TIER><LINGUISTIC_TYPE '
        'LINGUISTIC_TYPE_ID="d" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"/>'
        "</ANNOTATION_DOCUMENT>\n"
    )


def slan() -> str:
    notes = [
        {"ANNOTATION_ID": str(n), "BEGIN_TIME": 100 * n - 50, "END_TIME": 100 * n,
         "VALUE": sign(n), "TYPE": "x"}
        for n in TWELVE
    ]  # fmt: skip
    tier = {"TIER_ID": "row_1", "TIER_TYPE": "t", "TIER_NAME": "gloss", "ANNOTATIONS": notes}
    return json.dumps({"TIERS": [{"TIER": tier}]}, ensure_ascii=False)


def wlasl() -> str:
    instances = [
        {"fps": 25, "frame_start": n, "frame_end": -1 if n == 12 else n + 10, "signer_id": n,
         "split": "train", "url": "http://x/y.mp4", "video_id": f"{n:05d}"}
        for n in TWELVE
    ]  # fmt: skip
    return json.dumps([{"gloss": "book", "instances": instances}])


def msasl() -> str:
    return json.dumps([
        {"url": f"www.youtube.com/watch?v=abc{n:02d}", "start": 10 * n, "end": 10 * n + 30,
         "fps": 25.0, "text": f"word {n}", "clean_text": "x", "org_text": "x", "label": n,
         "signer_id": n, "signer": -1, "file": "X", "box": [0, 0, 1, 1]}
        for n in TWELVE
    ])  # fmt: skip


FIELDS = ("recording", "label", "start", "end", "signer", "split")
Row = tuple[str | None, ...]

FILES: Mapping[str, tuple[Mapping[str, str], Mapping[str, object], Row, Row, Row]] = {
    "table": (
        {"a.csv": lines("recording,gloss,start,end,signer", "{n:03d}.mp4,{sign},0,{end},s{n:02d}")},
        {},
        ("001.mp4", "су", "0", "100", "s01", None),
        ("010.mp4", "ұл", "0", "1000", "s10", None),
        ("012.mp4", "әке", "0", "1200", "s12", None),
    ),
    "theruslan": (
        {"a.csv": lines("file;sign;start;end;who", "S{n:02d}/take.avi;{sign};0;{end};S{n:02d}")},
        {"columns": {"recording": "file", "gloss": "sign", "signer": "who"}},
        ("S01/take.avi", "су", "0", "100", "S01", None),
        ("S10/take.avi", "ұл", "0", "1000", "S10", None),
        ("S12/take.avi", "әке", "0", "1200", "S12", None),
    ),
    "jsonl": (
        {"a.jsonl": lines("", '{{"recording": "{n:03d}.mp4", "gloss": "{sign}", "start": 0.10, '
                              '"end": {end}, "signer": "0{n}"}}')},
        {},
        ("001.mp4", "су", "0.10", "100", "01", None),
        ("010.mp4", "ұл", "0.10", "1000", "010", None),
        ("012.mp4", "әке", "0.10", "1200", "012", None),
    ),
    "videofolder": (
        {"metadata.csv": lines("file_name,signer", "test/a/{n:02d}.mp4,s{n:02d}")},
        {"media": tuple(f"test/a/{n:02d}.mp4" for n in TWELVE)},
        ("test/a/01.mp4", "a", "0", END, "s01", "test"),
        ("test/a/10.mp4", "a", "0", END, "s10", "test"),
        ("test/a/12.mp4", "a", "0", END, "s12", "test"),
    ),
    "slovo": (
        {"annotations.csv": lines(
            "attachment_id\ttext\tuser_id\theight\twidth\tlength\ttrain",
            UUID.format(0)[:-3] + "{n:03d}\t{sign}\tu{n:02d}\t9\t9\t76.0\tFalse")},
        {},
        (f"test/{UUID.format(1)}.mp4", "су", "0", END, "u01", "test"),
        (f"test/{UUID.format(10)}.mp4", "ұл", "0", END, "u10", "test"),
        (f"test/{UUID.format(12)}.mp4", "әке", "0", END, "u12", "test"),
    ),
    "autsl": (
        {"train_labels.csv": lines("", "signer{n}_sample7,{n}")},
        {"options": {"stream": "depth"}},
        ("train/signer1_sample7_depth.mp4", "1", "0", END, "signer1", "train"),
        ("train/signer10_sample7_depth.mp4", "10", "0", END, "signer10", "train"),
        ("train/signer12_sample7_depth.mp4", "12", "0", END, "signer12", "train"),
    ),
    "wlasl": (
        {"WLASL_v0.3.json": wlasl()},
        {},
        ("00001", "book", "0", "440", "1", "train"),
        ("00010", "book", "360", "800", "10", "train"),
        ("00012", "book", "440", END, "12", "train"),
    ),
    "ms-asl": (
        {"MSASL_val.json": msasl()},
        {},
        ("abc01", "word 1", "400", "1600", "1", "val"),
        ("abc10", "word 10", "4000", "5200", "10", "val"),
        ("abc12", "word 12", "4800", "6000", "12", "val"),
    ),
    "lsa64": (
        {"classes.txt": lines("", "{n:02d}|Sign{n}|R|")},
        {"media": tuple(f"{n:03d}_{1 + n % 10:03d}_001.mp4" for n in TWELVE),
         "options": {"split": "openhands"}},
        ("001_002_001.mp4", "Sign1", "0", END, "002", "train"),
        ("010_001_001.mp4", "Sign10", "0", END, "001", "train"),
        ("012_003_001.mp4", "Sign12", "0", END, "003", "train"),
    ),
    "phoenix": (
        {"PHOENIX-2014-T.test.corpus.csv": lines(
            "name|video|start|end|speaker|orth|translation",
            'x-{n:02d}|x-{n:02d}/1/*.png|-1|-1|Signer{n:02d}|"REGEN|es regnet')},
        {},
        ("x-01", None, "0", END, "Signer01", "test"),
        ("x-10", None, "0", END, "Signer10", "test"),
        ("x-12", None, "0", END, "Signer12", "test"),
    ),
    "ksl-emo": (
        {},
        {"media": tuple(TAKE.format(n) for n in TWELVE)},
        (TAKE.format(1), "Су", "0", END, "participant_001", "train"),
        (TAKE.format(10), "Су", "0", END, "participant_010", "train"),
        (TAKE.format(12), "Су", "0", END, "participant_012", "train"),
    ),
    "krsl": (
        {"elan.tsv": lines(
            "Время начала - миллисекунды\tВремя окончания - миллисекунды\tbrows\tФайл",
            "{n}\t{end}\tbr_raise\tst_neut_kot.spit_s{n}.eaf")},
        {"options": {"delay": "none"},
         "media": tuple(f"st-kot_spit-s{n}.mp4" for n in TWELVE)},
        ("st-kot_spit-s1.mp4", "br_raise", "1", "100", "s1", None),
        ("st-kot_spit-s10.mp4", "br_raise", "10", "1000", "s10", None),
        ("st-kot_spit-s12.mp4", "br_raise", "12", "1200", "s12", None),
    ),
    "fluentsigners-50": (
        {"gloss_annotation.csv": 'ID,Gloss\n4,"Я, ТЫ"\n',
         "split1.txt": lines("", "P{n}_S004_00 test")},
        {"media": tuple(f"004/P{n:02d}_S004_00.mp4" for n in TWELVE)},
        ("004/P01_S004_00.mp4", None, "0", END, "P01", "test"),
        ("004/P10_S004_00.mp4", None, "0", END, "P10", "test"),
        ("004/P12_S004_00.mp4", None, "0", END, "P12", "test"),
    ),
    "online-school": (
        {"l.vtt": "WEBVTT\n\n" + lines("", "00:{n:02d}.000 --> 00:{n:02d}.500\n{sign}\n"),
         "who.csv": "recording,signer\nl.mp4,i1\n"},
        {"media": ("l.mp4",), "options": {"transcripts": "keep"}},
        ("l", None, "00:01.000", "00:01.500", "i1", None),
        ("l", None, "00:10.000", "00:10.500", "i1", None),
        ("l", None, "00:12.000", "00:12.500", "i1", None),
    ),
    "elan": (
        {"a.eaf": eaf()},
        {"tiers": ("gloss",)},
        ("a.mp4", "су", "50", "100", None, None),
        ("a.mp4", "ұл", "950", "1000", None, None),
        ("a.mp4", "әке", "1150", "1200", None, None),
    ),
    "slan": (
        {"a.json": slan()},
        {"tiers": ("gloss",)},
        ("a", "су", "50", "100", None, None),
        ("a", "ұл", "950", "1000", None, None),
        ("a", "әке", "1150", "1200", None, None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ADAPTERS)
def test_count_first_tenth_and_last_row(name: str, tmp_path: Path) -> None:
    files, values, *expected = FILES[name]
    found = rows(name, write(tmp_path, files), **values)
    shown: Sequence[Row] = [tuple(getattr(row, field) for field in FIELDS) for row in found]
    assert len(shown) == 12
    assert [shown[0], shown[9], shown[11]] == expected
    assert {row.problem for row in found} == {None}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_recipe_and_a_section_for_every_adapter(name: str) -> None:
    module, _, function = ADAPTERS[name].partition(":")
    assert function == "read"
    about = importlib.import_module(module).ABOUT
    assert isinstance(about, About)
    facts = (about.title, about.what, about.size, about.licence, about.citation, about.access)
    assert all(text.strip() for text in facts)
    assert about.defects
    page = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
    assert f"## {about.title}\n" in page
    recipes = [
        path
        for path in sorted((ROOT / "recipes").glob("*.toml"))
        if tomllib.loads(path.read_text(encoding="utf-8")).get("ingest", {}).get("adapter") == name
    ]
    assert recipes
    for path in recipes:
        found = recipe.read(path)
        assert found.ingest is not None
        assert found.ingest.adapter == name
