"""KSL-Emo: three layouts of names, the recorder's metadata, and how both disagree."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from kslds import clips, ingest
from kslds import recipe as recipes
from kslds.corpora import END, Annotation, Source, adapter
from kslds.errors import AnnotationError, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Clip, Issue, SplitRow
from kslds.validate import Rules, validate
from tests.painting import record

V1 = "videos/train/participant_001/emotion_happy/sign_Salem__happy__1700000001_r01.mp4"
V2 = "videos/test/participant_002/Су/sad/sign_Су__sad__20240102_101112_r01.mp4"
V3 = "videos/val/angry/apke/sign_apke__angry__participant_003__2024-01-02T10-11-12_r02.mp4"
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")


def notes(*media: str, rows: list[dict[str, Any] | str] | None = None, folder: Path | None = None,
          encoding: str = "utf-8") -> list[Annotation]:  # fmt: skip
    files: tuple[Path, ...] = ()
    if rows is not None and folder is not None:
        path = folder / "metadata.jsonl"
        lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows]
        path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
        files = (path,)
    return list(adapter("ksl-emo")(Source(files=files, media=tuple(sorted(media)))))


def row(file: str, **changes: Any) -> dict[str, Any]:
    values = {
        "video_id": Path(file).stem, "participant_id": "participant_003", "file_path": file,
        "gloss": "apke", "emotion": "angry", "repeat_index": 2, "duration_sec": 2.657, "fps": 30.0,
        "resolution": {"w": 640, "h": 480}, "session_id": "s1", "split": "val",
    }  # fmt: skip
    return {**values, **changes}


def problems(found: list[Annotation]) -> list[tuple[str, str] | None]:
    return [note.problem for note in found]


def test_the_three_layouts() -> None:
    found = notes(V1, V2, V3)
    assert [(n.label, n.emotion, n.signer, n.split) for n in found] == [
        ("Су", "sad", "participant_002", "test"),
        ("Salem", "happy", "participant_001", "train"),
        ("apke", "angry", "participant_003", "val"),
    ]
    assert all((n.start, n.end, n.unit, n.problem) == ("0", END, "ms", None) for n in found)
    assert [n.recording for n in found] == sorted((V1, V2, V3))


def test_many_files_first_tenth_and_last() -> None:
    media = [
        f"train/happy/su/sign_su__happy__participant_{p:03d}__2024-01-0{t}T10-00-00_r01.mp4"
        for p in (1, 2, 3)
        for t in (1, 2, 3, 4)
    ]
    found = notes(*media)
    assert len(found) == 12
    assert [found[i].signer for i in (0, 9, 11)] == [f"participant_{p:03d}" for p in (1, 3, 3)]
    assert {n.split for n in found} == {"train"}


@pytest.mark.parametrize("folder", ["", "emotion_happy", "participant_001/emotion_happy"])
def test_the_media_folder_may_begin_lower_down(folder: str) -> None:
    name = f"{folder}/{Path(V1).name}".removeprefix("/")
    (found,) = notes(name)
    assert (found.label, found.emotion, found.split) == ("Salem", "happy", None)


def test_labels_are_nfc_and_keep_their_mixed_letters() -> None:
    name = "train/happy/мyсyй/sign_мyсyй__happy__participant_001__2024-01-02T10-11-12_r01.mp4"
    (found,) = notes(unicodedata.normalize("NFD", name))
    assert found.problem is None
    assert found.label == "мyсyй"


def test_retakes_share_a_number_and_are_told_apart_by_time() -> None:
    names = [V3.replace("10-11-12_r02", f"10-11-{s}_r01") for s in (12, 13, 14)]
    assert [n.problem for n in notes(*names)] == [None] * 3


def test_the_same_take_in_two_folders_is_dropped_once() -> None:
    first, second = notes(V3, V3.replace("val/", "train/"))
    assert first.problem is None
    assert second.problem is not None
    assert second.problem[0] == "K119"
    assert first.recording in second.problem[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (V1.replace("emotion_happy", "emotion_sad"), "the folder says the emotion 'sad'"),
        (V2.replace("/Су/", "/Нан/"), "the folder says the sign 'Нан', the name 'Су'"),
        (V3.replace("/angry/", "/sad/"), "the folder says the emotion 'sad', the name 'angry'"),
    ],
)
def test_folders_that_contradict_the_name(name: str, said: str) -> None:
    (found,) = notes(name)
    assert found.problem is not None
    assert found.problem[0] == "K132"
    assert said in found.problem[1]


def test_other_files_are_named_and_another_corpus_is_refused() -> None:
    extra, good = notes("notes.mp4", V3)
    assert extra.problem is not None
    assert extra.problem[0] == "K118"
    assert "sign_<gloss>" in extra.problem[1]
    assert good.problem is None
    with pytest.raises(AnnotationError, match=r"none of the 1 media files is named like sign_"):
        notes("P0_S000_00.mp4")


# Metadata


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_metadata_add_session_and_duration(tmp_path: Path, encoding: str) -> None:
    rows: list[dict[str, Any] | str] = [row(V3, gloss="әпке"), ""]
    (found,) = notes(V3, rows=rows, folder=tmp_path, encoding=encoding)
    assert (found.label, found.session, found.duration_ms) == ("әпке", "s1", 2657)
    assert (found.source, found.recording) == ("metadata.jsonl:1", V3)


def test_a_file_is_found_by_the_longest_common_end(tmp_path: Path) -> None:
    other = V3.replace("videos/val", "videos/train")
    (first, second) = notes(
        other, V3, rows=[row("/home/x/" + V3, session_id="of-val")], folder=tmp_path
    )
    assert (first.recording, first.session) == (other, None)
    assert second.problem is not None  # the same signer, sign and time as the first


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gloss": "ata"}, "the sign 'apke', the metadata say 'ata'"),
        ({"emotion": "happy"}, "the emotion 'angry', the metadata say 'happy'"),
        ({"participant_id": "participant_001"}, "the participant 'participant_003'"),
        ({"split": "test"}, "the split 'val', the metadata say 'test'"),
    ],
)
def test_metadata_that_contradict_the_name(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    (found,) = notes(V3, rows=[row(V3, **changes)], folder=tmp_path)
    assert found.problem is not None
    assert (found.problem[0], found.source) == ("K132", "metadata.jsonl:1")
    assert said in found.problem[1]


def test_bad_rows_are_named_with_their_line(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [
        row(V3),
        row(V1, video_id=Path(V3).stem),
        row(V3, video_id="other"),
        "{not json",
        "[1, 2]",
        row(V2, gloss=None),
        row(V2, video_id="v", duration_sec="NaN"),
        "[" * 20_000,
        row("videos/val/angry/apke/gone.mp4", video_id="w"),
    ]
    found = notes(V3, rows=rows, folder=tmp_path)
    bad = {n.source: n.problem[0] for n in found if n.problem}
    assert bad == {
        "metadata.jsonl:2": "K119",
        "metadata.jsonl:3": "K119",
        "metadata.jsonl:4": "K124",
        "metadata.jsonl:5": "K124",
        "metadata.jsonl:6": "K124",
        "metadata.jsonl:7": "K111",
        "metadata.jsonl:8": "K124",
    }
    assert [n.recording for n in found if not n.problem] == [V3, "videos/val/angry/apke/gone.mp4"]


@pytest.mark.parametrize("text", ["ID,Gloss\n0,ДОМ\n", '{"gloss": "x", "instances": []}\n', "[]\n"])
def test_a_file_of_another_corpus(tmp_path: Path, text: str) -> None:
    with pytest.raises(AnnotationError, match="video_id") as error:
        notes(V3, rows=[text], folder=tmp_path)
    assert str(tmp_path / "metadata.jsonl") in str(error.value)
    if "ID" in text:
        assert "adapter = 'fluentsigners-50'" in str(error.value)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="UTF-8"):
        notes(V3, rows=[row(V3, gloss="апке")], folder=tmp_path, encoding="cp1251")


def test_options_are_refused() -> None:
    with pytest.raises(RecipeError, match="'subset'"):
        list(adapter("ksl-emo")(Source(files=(), media=(V1,), options={"subset": "x"})))


# From recordings to clips


def test_to_clips(tmp_path: Path) -> None:
    media = tmp_path / "media"
    for number, name in enumerate((V1, V3)):
        (media / name).parent.mkdir(parents=True)
        record(media / name, num_frames=30 + number, options=X264)
    meta = tmp_path / "metadata.jsonl"
    about = row(V1, participant_id="participant_001", gloss="Salem", emotion="happy", split="train")
    lines = [{**about, "duration_sec": 1.1}, row(V3, duration_sec=1.06)]
    meta.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    options = ingest.IngestOptions(media=(str(media),), adapter="ksl-emo", annotations=(str(meta),))
    dataset = Dataset(tmp_path / "dataset", create=True)
    ingest.ingest(dataset, options=options)
    validate(dataset, lexicon=None, rules=Rules())
    clips.trim(dataset, options=clips.ClipOptions())
    made = {c.source_file: (c.first_frame, c.last_frame) for c in dataset.read("clips", Clip)}
    assert made == {V1: (0, 29), V3: (0, 30)}
    # 1,100 ms is three frames and 10 % more than 30 frames last; 1,060 ms is one frame more.
    said = [i.message for i in dataset.read("issues", Issue) if i.code == "K131"]
    assert said == ["metadata.jsonl:1: the metadata state 1100 ms, the recording has 1000 ms"]


def test_counts_that_differ_from_the_paper_s_are_reported(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, create=True)
    common: dict[str, Any] = {
        "recording_id": "rec_1", "source_file": "a.mp4", "start_ms": 0, "end_ms": 100,
        "first_frame": 0, "last_frame": 2, "first_pts": 0, "last_pts": 66, "num_frames": 3,
        "fps_num": 30, "fps_den": 1,
    }  # fmt: skip
    made = [
        Clip(clip_id=f"c{n}", segment_id=f"s{n}", gloss_id="su", signer_id=f"p{n % 2}", **common)
        for n in range(4)
    ]
    dataset.write("clips", made)
    sides = [
        SplitRow(split=s, unit="signer_id", value=v) for v, s in (("p0", "train"), ("p1", "test"))
    ]
    dataset.write("splits/signer", sides, record=SplitRow)
    text = {"expected": {"clips": 4, "signers": 9, "train": 2, "test": 3, "classes": 20}}
    recipe = recipes.from_document(text, base=tmp_path)
    for _ in range(2):  # again: the same issues, not twice
        recipes.check_expected(dataset, recipe)
    said = [(i.code, i.severity, i.table, i.message) for i in dataset.read("issues", Issue)]
    assert sorted(said) == [
        ("K406", "warning", "expected", "classes: expected 20, the dataset has 1"),
        ("K406", "warning", "expected", "signers: expected 9, the dataset has 2"),
        ("K406", "warning", "expected", "test: expected 3, the dataset has 2"),
    ]
    assert recipe.sha256 == recipes.from_document({}, base=tmp_path).sha256
    with pytest.raises(RecipeError, match="unknown key 'clip'"):
        recipes.from_document({"expected": {"clip": 1}}, base=tmp_path)


def test_the_recipe() -> None:
    recipe = recipes.read("ksl-emo")
    assert (recipe.clips.size, recipe.clips.fit, recipe.split.by) == (224, "stretch", "signer")
    assert (recipe.expected.clips, recipe.expected.train, recipe.expected.test) == (
        7247,
        4367,
        2880,
    )
    assert recipe.ingest is not None
    assert recipe.ingest.adapter == "ksl-emo"


def test_a_file_that_is_refused_is_not_recommended_to_the_same_adapter(tmp_path: Path) -> None:
    path = tmp_path / "metadata.jsonl"
    for text, found in (("\nvideo_id,participant_id,file_path\n", "'video_id'"), ("[{}]", "kind")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(AnnotationError, match=rf"{found}.*, on line [12]\.") as error:
            list(adapter("ksl-emo")(Source(files=(path,), media=())))
        assert "It looks like" not in str(error.value)
