"""KRSL-OnlineSchool: transcripts in three formats, beside tables and ELAN files."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest

from kslds import clips, ingest
from kslds import recipe as recipes
from kslds.corpora import Annotation, Source, adapter, onlineschool
from kslds.errors import AnnotationError, MissingFile, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Clip, Segment
from kslds.validate import Rules, validate
from tests.painting import ffmpeg, record

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")

VTT = """WEBVTT - урок
Kind: captions

STYLE
::cue { color: red }

NOTE a remark --> not a cue

intro
00:01.000 --> 00:03.500 align:start position:10%
<v Мұғалім>Сәлем, <00:00:02.000><c.loud>балалар</c>!

00:00:03.000 --> 01:00:04.250
Екі &lt; үш
 екінші жол
"""
SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Привет</i>

2
00:00:02,000 --> 00:00:04,000
{\\an8}Дом
стоит
"""
JSON = """[{"start": 0.5, "end": 2, "text": "Бір", "id": 0},
 {"start": 2.0000001, "end": 3.9999, "text": " Екі \\n үш"}]"""


def notes(
    folder: Path, media: tuple[str, ...] = ("a/lesson1.mp4",), *, encoding: str = "utf-8",
    options: dict[str, str] | None = None, **files: str,
) -> list[Annotation]:  # fmt: skip
    paths = []
    for key, text in files.items():
        path = folder / key.replace("_", ".")
        path.write_bytes(text.encode(encoding))
        paths.append(path)
    source = Source(files=tuple(sorted(paths)), media=media, options=options or {})
    return list(adapter("online-school")(source))


def cues(found: list[Annotation]) -> list[tuple[str | None, ...]]:
    return [(n.start, n.end, n.unit, n.sentence) for n in found]


def test_webvtt(tmp_path: Path) -> None:
    found = notes(tmp_path, lesson1_vtt=VTT)
    assert cues(found) == [
        ("00:01.000", "00:03.500", "timecode", "Сәлем, балалар!"),
        ("00:00:03.000", "01:00:04.250", "timecode", "Екі < үш екінші жол"),
    ]
    assert [n.source for n in found] == ["lesson1.vtt:9", "lesson1.vtt:13"]
    assert {(n.recording, n.tier, n.label) for n in found} == {("lesson1", "transcript", None)}


def test_srt(tmp_path: Path) -> None:
    assert cues(notes(tmp_path, lesson1_srt=SRT)) == [
        ("00:00:01.000", "00:00:02.500", "timecode", "Привет"),
        ("00:00:02.000", "00:00:04.000", "timecode", "Дом стоит"),
    ]


@pytest.mark.parametrize("text", [JSON, f'{{"language": "kk", "segments": {JSON}}}'])
def test_json(tmp_path: Path, text: str) -> None:
    assert cues(notes(tmp_path, lesson1_json=text)) == [
        ("0.5", "2", "s", "Бір"),
        ("2.0000001", "3.9999", "s", "Екі үш"),
    ]
    assert notes(tmp_path, lesson1_json="[]") == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    wanted = cues(notes(tmp_path, lesson1_vtt=VTT))
    assert cues(notes(tmp_path, lesson1_vtt=VTT.replace("\n", end), encoding=encoding)) == wanted


def test_a_lesson_of_thousands_of_cues(tmp_path: Path) -> None:
    lines = ["WEBVTT", ""]
    for n in range(3000):
        lines += [
            f"00:{n // 60:02}:{n % 60:02}.000 --> 00:{n // 60:02}:{n % 60:02}.900",
            f"w{n}",
            "",
        ]
    found = notes(tmp_path, lesson1_vtt="\n".join(lines))
    assert [found[i].sentence for i in (0, 9, -1)] == ["w0", "w9", "w2999"]
    assert len(found) == 3000
    assert found[-1].source == "lesson1.vtt:9000"


@pytest.mark.parametrize(
    ("file", "media", "recording", "tier"),
    [
        ("lesson1_ru_vtt", ("lesson1.mp4",), "lesson1", "transcript.ru"),
        ("lesson1_kk-Cyrl_vtt", ("lesson1.mp4",), "lesson1", "transcript.kk-Cyrl"),
        ("lesson1_ru_vtt", ("lesson1.ru.mp4",), "lesson1.ru", "transcript"),
        ("lesson_12_vtt", ("lesson.12.mp4",), "lesson.12", "transcript"),
    ],
)
def test_the_recording_of_the_same_name(
    tmp_path: Path, file: str, media: tuple[str, ...], recording: str, tier: str
) -> None:
    found = notes(tmp_path, media, **{file: VTT})
    assert {(n.recording, n.tier) for n in found} == {(recording, tier)}


def test_bad_cues_are_named(tmp_path: Path) -> None:
    text = """WEBVTT

00:01 --> soon
a

00:01.000 --> 00:02.000
<b></b>

text after an empty line

00:05.000 --> 00:06.000
kept
"""
    found = notes(tmp_path, lesson1_vtt=text)
    assert [(n.source, n.problem and n.problem[0]) for n in found] == [
        ("lesson1.vtt:3", "K111"),
        ("lesson1.vtt:6", "K118"),
        ("lesson1.vtt:9", "K124"),
        ("lesson1.vtt:11", None),
    ]
    rows = '[{"start": 1, "end": 2, "text": "a"}, {"start": "x"}, 7, {"start": 1, "end": 2, "text": null}]'
    found = notes(tmp_path, lesson1_json=rows)
    assert [n.problem and n.problem[0] for n in found] == [None, "K111", "K111", "K118"]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("lesson1_vtt", "", "expected a transcript"),
        ("lesson1_vtt", "ID,Gloss\n1,x\n", "expected a transcript"),
        ("lesson1_srt", "just a text\n", "just a text"),
        ("lesson1_json", '{"gloss": 1, "instances": 2}', "adapter = 'wlasl'"),
        ("lesson1_json", '[{"a": 1}]', "has 'a'; expected a transcript"),
        ("lesson1_json", "{", "is not JSON"),
        ("lesson1_json", "[" * 100_000, "is not JSON"),
        ("lesson1_vtt", "WEBVTT\n\n" + "x" * 20_000, "line 3: more than 10000 characters"),
        ("lesson1_vtt", "WEBVTT\n\n" + "x\n" * 9_000, "more than 10000 characters"),
    ],
)
def test_wrong_files(tmp_path: Path, file: str, text: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=said) as error:
        notes(tmp_path, **{file: text})
    assert str(tmp_path / "lesson1.") in str(error.value)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onlineschool, "_MAX_CUES", 1)
    with pytest.raises(AnnotationError, match="more than 1 cues"):
        notes(tmp_path, lesson1_vtt=VTT)
    with (tmp_path / "big.vtt").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(AnnotationError, match="larger than 64 MiB"):
        list(adapter("online-school")(Source(files=(tmp_path / "big.vtt",))))
    with pytest.raises(MissingFile):
        list(adapter("online-school")(Source(files=(tmp_path / "gone.vtt",))))


def test_tables_elan_and_interpreters(tmp_path: Path) -> None:
    eaf = (
        '<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="100"/>'
        '<TIME_SLOT TIME_SLOT_ID="b" TIME_VALUE="900"/></TIME_ORDER>'
        '<TIER TIER_ID="gloss" LINGUISTIC_TYPE_REF="t"><ANNOTATION><ALIGNABLE_ANNOTATION '
        'ANNOTATION_ID="a1" TIME_SLOT_REF1="a" TIME_SLOT_REF2="b"><ANNOTATION_VALUE>КІТАП'
        "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
    )
    files = {
        "lesson1_vtt": VTT,
        "lesson2_eaf": eaf,
        "glosses_csv": "recording,gloss,start,end,signer\nlesson1.mp4,ДОМ,0,500,own\n",
        "who_csv": "recording,signer\nlesson1.mp4,int_1\nlesson2,int_2\n",
    }
    found = notes(tmp_path, **files)
    assert [(n.source, n.label, n.signer) for n in found] == [
        ("glosses.csv:2", "ДОМ", "own"),
        ("lesson2.eaf:a1", "КІТАП", "int_2"),
        ("lesson1.vtt:9", None, "int_1"),
        ("lesson1.vtt:13", None, "int_1"),
    ]
    kept = notes(tmp_path, options={"transcripts": "ignore"}, **files)
    assert [n.label for n in kept] == ["ДОМ", "КІТАП"]
    with pytest.raises(RecipeError, match="'transcript'"):
        notes(tmp_path, options={"transcript": "x"}, **files)
    with pytest.raises(AnnotationError, match=r"who\.csv:3: 'lesson1' has two signers"):
        notes(tmp_path, who_csv="recording,signer\nlesson1.mp4,a\nlesson1.mkv,b\n")


def test_to_clips(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "lesson1.mp4", num_frames=90, options=X264)
    record(media / "lesson2.mp4", num_frames=60, options=X264)
    folder = tmp_path / "text"
    folder.mkdir()
    notes(
        folder,
        lesson1_vtt="WEBVTT\n\n00:00.500 --> 00:01.500\nбір\n\n00:01.000 --> 00:02.000\nекі\n",
        lesson2_ru_srt="1\n00:00:00,100 --> 00:00:01,000\nдом\n",
        who_csv="recording,signer\nlesson1,i1\nlesson2,i2\n",
    )
    options = ingest.IngestOptions(
        media=(str(media),), adapter="online-school", annotations=(str(folder),)
    )
    dataset = Dataset(tmp_path / "dataset", create=True)
    ingest.ingest(dataset, options=options)
    report = validate(dataset, lexicon=None, rules=Rules())
    clips.trim(dataset, options=clips.ClipOptions())
    made = {
        (c.source_file, c.first_frame, c.last_frame, c.sentence, c.signer_id)
        for c in dataset.read("clips", Clip)
    }
    assert made == {
        ("lesson1.mp4", 15, 44, "бір", "i1"),
        ("lesson1.mp4", 30, 59, "екі", "i1"),
        ("lesson2.mp4", 3, 29, "дом", "i2"),
    }
    assert {i.code for i in report.issues} >= {"K311"}  # the cues overlap
    assert not [i for i in report.issues if i.code == "K116"]  # no decimal comma: it is SRT's


TEXTS = """WEBVTT

00:00.000 --> 00:01.000
бір

00:01.000 --> 00:02.000
екі

00:00.500 --> 00:02.200
және

00:02.500 --> 00:02.900
бос

00:09.000 --> 00:10.000
кеш
"""


def aligned(
    folder: Path, *, text: tuple[str, str] = ("lesson1.vtt", TEXTS), **options: str
) -> Dataset:
    """Glosses in frames and ms of a lesson of 3 s, with transcripts.

    An option with a point in its name is the text of a file.
    """
    media = folder / "media"
    media.mkdir(parents=True)
    record(media / "lesson1.mp4", num_frames=90, options=X264)
    texts = folder / "text"
    texts.mkdir()
    files = {key: options.pop(key) for key in list(options) if "." in key}
    for name, content in (text, *files.items()):
        (texts / name).write_text(content, encoding="utf-8")
    notes(
        texts,
        glosses_csv="recording,gloss,start,end,unit,translation\n"
        "lesson1.mp4,A,200,1000,ms,\n"  # ends where the second begins
        "lesson1.mp4,B,27,33,frame,\n"  # [900, 1100) ms
        "lesson1.mp4,C,1500,1600,ms,own\n"
        "lesson1.mp4,,0,3000,ms,\n"  # without a label: K118
        "lesson1.mp4,D,2250,2400,ms,\n",
    )
    dataset = Dataset(folder / "dataset", create=True)
    ingest.ingest(
        dataset,
        options=ingest.IngestOptions(
            media=(str(media),),
            adapter="online-school",
            annotations=(str(texts),),
            options=options,
        ),
    )
    return dataset


def said(dataset: Dataset) -> dict[str | None, str | None]:
    rows = dataset.read("segments", Segment)
    return {row.label or row.sentence: row.translation for row in rows}


def test_a_cue_belongs_to_the_segment_that_it_overlaps_most(tmp_path: Path) -> None:
    dataset = aligned(tmp_path)
    # екі overlaps B and C by 100 ms each: it is the earlier one's.
    assert said(dataset) == {"A": "бір және", "B": "екі", "C": "own", "D": None}
    books = dataset.provenance["stages"]
    assert books["ingest-texts"] == {"in": 5, "out": 3, "dropped": 2}
    assert books["ingest-segments"] == {"in": 5, "out": 4, "dropped": 1}
    assert {(row.key, row.code) for row in dataset.dropped.itertuples()} == {
        ("glosses.csv:5", "K118"),
        ("lesson1.vtt:12", "K137"),
        ("lesson1.vtt:15", "K114"),
    }


def test_a_segment_with_a_translation_of_its_own_keeps_the_cue_from_others(tmp_path: Path) -> None:
    dataset = aligned(tmp_path, transcripts="align", lag_ms="100")
    # екі is said in [1100, 2100): 100 ms of C, none of the others
    assert said(dataset) == {"A": "бір және", "B": None, "C": "own", "D": None}
    reasons = {row.key: row.reason for row in dataset.dropped.itertuples() if row.code == "K137"}
    assert reasons == {
        "lesson1.vtt:6": "lesson1.vtt:6: the segment that it overlaps most has a translation of its "
        "own",
        "lesson1.vtt:12": "lesson1.vtt:12: no segment lasts while it is said",
    }


def test_cues_may_be_segments_as_well(tmp_path: Path) -> None:
    dataset = aligned(tmp_path, transcripts="both")
    cues = {"бір": None, "екі": None, "және": None, "бос": None}
    assert said(dataset) == {"A": "бір және", "B": "екі", "C": "own", "D": None, **cues}
    assert "ingest-texts" not in dataset.provenance["stages"]
    assert [(row.key, row.code) for row in dataset.dropped.itertuples()] == [
        ("glosses.csv:5", "K118"),
        ("lesson1.vtt:15", "K114"),
    ]


def test_cues_are_the_segments_of_a_lesson_without_others(tmp_path: Path) -> None:
    media = ("lesson1.mp4", "lesson2.mp4")
    table = "recording,gloss,start,end\nlesson1.mp4,ДОМ,0,500\nlesson2.mp4,,0,500\n"
    found = notes(tmp_path, media, lesson1_srt=SRT, lesson2_srt=SRT, glosses_csv=table)
    assert [(n.label, n.sentence, n.spoken) for n in found[-4:]] == [
        (None, None, "Привет"), (None, None, "Дом стоит"),
        (None, "Привет", None), (None, "Дом стоит", None),
    ]  # fmt: skip


WORDS = """[{"start": 0, "end": 2, "text": "Үй үлкен", "words": [
  {"word": "Үй", "start": 0.1, "end": 0.6}, {"word": " үлкен", "start": 0.95, "end": 1.2},
  {"word": "!", "start": 1.2, "end": 1.2}, {"word": "5"}]},
 {"start": 2.2, "end": 2.5, "text": "бос жоқ", "words": [{"word": "бос"}]}]"""


def test_words_with_times_are_told_apart(tmp_path: Path) -> None:
    dataset = aligned(tmp_path, text=("lesson1.json", WORDS))
    # The second cue has no word with times, and is said as a whole.
    assert said(dataset) == {"A": "Үй", "B": "үлкен ! 5", "C": "own", "D": "бос жоқ"}
    assert dataset.provenance["stages"]["ingest-texts"] == {"in": 3, "out": 3, "dropped": 0}
    found = notes(tmp_path, options={"transcripts": "keep"}, lesson1_json=WORDS)
    assert [(n.sentence, n.spoken) for n in found] == [("Үй үлкен", None), ("бос жоқ", None)]


def test_two_languages_are_two_translations(tmp_path: Path) -> None:
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\n{}\n"
    rows = {}
    kazakh = ("lesson1.kk.vtt", text.format("Үй"))
    for name, more in (("both", {"lesson1.ru.vtt": text.format("Дом")}), ("one", {})):
        dataset = aligned(tmp_path / name, text=kazakh, **more)
        rows[name] = {
            s.label: (s.translation, s.translation_kk) for s in dataset.read("segments", Segment)
        }
    assert rows["both"] == {
        "A": ("Дом", "Үй"), "B": (None, None), "C": ("own", None), "D": (None, None),
    }  # fmt: skip
    assert rows["one"]["A"] == ("Үй", None)
    files = {"lesson1_ru_srt": SRT, "lesson1_en_srt": SRT}
    with pytest.raises(AnnotationError, match=r"lesson1\.en\.srt and lesson1\.ru\.srt are"):
        notes(tmp_path, **files)
    assert len(notes(tmp_path, options={"transcripts": "keep"}, **files)) == 4
    assert len(notes(tmp_path, options={"language": "ru"}, **files)) == 2


def test_cues_are_kept_apart_if_told_so(tmp_path: Path) -> None:
    assert set(said(aligned(tmp_path, transcripts="keep")).values()) == {None, "own"}


def test_cues_without_an_empty_line_between(tmp_path: Path) -> None:
    text = SRT.replace("\n\n", "\n") + "00:00:05,000 --> 00:00:06,000\n7\n"
    found = notes(tmp_path, lesson1_srt=text)
    assert cues(found) == [
        ("00:00:01.000", "00:00:02.500", "timecode", "Привет"),
        ("00:00:02.000", "00:00:04.000", "timecode", "Дом стоит"),
        ("00:00:05.000", "00:00:06.000", "timecode", "7"),
    ]
    assert [n.source for n in found] == ["lesson1.srt:1", "lesson1.srt:4", "lesson1.srt:8"]


def test_a_long_lesson_is_planned_without_its_pictures(tmp_path: Path) -> None:
    """800 glosses and 400 cues on 20 minutes at 25 frames a second; no frame is decoded."""
    media = tmp_path / "media"
    media.mkdir()
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=32x32:r=25", "-t", "1200", "-g", "250",
           "-c:v", "libx264", "-preset", "ultrafast", media / "lesson1.mp4")  # fmt: skip
    text = tmp_path / "text"
    text.mkdir()
    starts = [1500 * n + 37 for n in range(800)]
    stamps = [f"{m // 60:02d}:{m % 60:02d}" for m in range(0, 1201, 3)]
    notes(
        text,
        glosses_csv="recording,gloss,start,end,signer\n"
        + "".join(f"lesson1.mp4,g{s % 7},{s},{s + 900},i1\n" for s in starts),
        # Each cue lasts as long as two glosses, of which the first is whole in it.
        lesson1_vtt="WEBVTT\n\n"
        + "".join(f"{a}.000 --> {b}.000\nc{n}\n\n"
                  for n, (a, b) in enumerate(pairwise(stamps))),
    )  # fmt: skip
    options = ingest.IngestOptions(
        media=(str(media),), adapter="online-school", annotations=(str(text),)
    )
    dataset = Dataset(tmp_path / "dataset", create=True)
    tracemalloc.start()
    ingest.ingest(dataset, options=options)
    validate(dataset, lexicon=None, rules=Rules(unknown="keep"))
    clips.trim(dataset, options=clips.ClipOptions(), unknown="keep")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 << 20  # its pictures are 46 MB
    made = sorted(dataset.read("clips", Clip), key=lambda c: c.start_ms)
    assert [(c.first_frame, c.last_frame) for c in made] == [
        (-(-s // 40), (s + 899) // 40) for s in starts
    ]
    assert [c.translation for c in made] == [text for n in range(400) for text in (f"c{n}", None)]
    assert not len(dataset.dropped)


def test_one_language_of_two(tmp_path: Path) -> None:
    files = {"lesson1_ru_srt": SRT, "lesson1_kk_vtt": VTT, "lesson2_srt": SRT}
    media = ("lesson1.mp4", "lesson2.mp4")
    assert len(notes(tmp_path, media, **files)) == 6
    found = notes(tmp_path, media, options={"language": "ru"}, **files)
    assert [n.tier for n in found] == ["transcript.ru"] * 2 + ["transcript"] * 2


def test_a_key_twice_in_a_cue_is_refused(tmp_path: Path) -> None:
    text = '[{"start": 0, "start": 1, "end": 2, "text": "a"}]'
    with pytest.raises(AnnotationError, match=r"lesson1\.json is not JSON: the key 'start' occurs"):
        notes(tmp_path, lesson1_json=text)
    with pytest.raises(AnnotationError, match=r"^\S+lesson1\.json: byte 0xC4 at 1 \(line 1\)"):
        notes(tmp_path, lesson1_json="[Дом", encoding="cp1251")


def test_the_interpreter_is_behind(tmp_path: Path) -> None:
    dataset = aligned(tmp_path, transcripts="align", lag_ms="1000")
    assert said(dataset) == {"A": None, "B": "бір", "C": "own", "D": "және екі"}


def test_a_lag_is_a_whole_number(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"lag_ms = '2\.5': expected a whole number of ms"):
        notes(tmp_path, lesson1_vtt=VTT, options={"lag_ms": "2.5"})


def test_the_recipe() -> None:
    recipe = recipes.read("online-school")
    assert recipe.ingest is not None
    assert recipe.ingest.adapter == "online-school"


def test_rows_of_another_collection_are_no_transcript(tmp_path: Path) -> None:
    row = {"org_text": "X", "clean_text": "x", "text": "first", "start": 30, "end": 60,
           "box": [0, 0, 1, 1], "url": "x", "label": 0}  # fmt: skip
    path = tmp_path / "MSASL_val.json"
    path.write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(AnnotationError, match="looks like a file for adapter = 'ms-asl'"):
        list(adapter("online-school")(Source(files=(path,))))
