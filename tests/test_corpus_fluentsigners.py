"""FluentSigners-50: names in two styles, tables by sentence, and lists of sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from kslds import clips, ingest, split
from kslds import recipe as recipes
from kslds.corpora import END, Annotation, Source, adapter
from kslds.errors import AnnotationError, MissingFile, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Clip, Issue
from kslds.shards import sample_fields
from kslds.validate import Rules, validate
from tests.painting import record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "corpora"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")

GLOSSES = 'ID,Gloss\n0,ДОМ СТОЯТЬ\n1,"Я, ТЫ"\n3,ГОРОД САНКТ-ПEТЕРБУРГ\n'  # with a Latin E
RUSSIAN = 'ID,Translation\n0,Дом стоит\n1,"Я, ты"\n'
KAZAKH = '{"0": "Үй тұр", "3": "Қала"}'
MEDIA = (
    "v/000/P0_S000_00.mp4",
    "v/000/P03_S000_01.mp4",
    "v/001/P23_S001_02.mp4",
    "v/003/P0_S003_00.mp4",
    "v/003/P1_S003_00.mp4",
)


def notes(
    folder: Path, media: tuple[str, ...] = MEDIA, options: dict[str, str] | None = None, **files: str
) -> list[Annotation]:  # fmt: skip
    texts = {"gloss_annotation_csv": GLOSSES, "russian_translation_csv": RUSSIAN, **files}
    paths = []
    for key, text in texts.items():
        name = ".".join(key.rsplit("_", 1))
        (folder / name).write_text(text, encoding="utf-8")
        paths.append(folder / name)
    source = Source(files=tuple(sorted(paths)), media=media, options=options or {})
    return list(adapter("fluentsigners-50")(source))


def shown(found: list[Annotation]) -> list[tuple[str | None, ...]]:
    return [(n.signer, n.sentence, n.translation) for n in found]


def test_names_and_tables(tmp_path: Path) -> None:
    found = notes(tmp_path)
    assert shown(found) == [
        ("P00", "ДОМ СТОЯТЬ", "Дом стоит"),
        ("P03", "ДОМ СТОЯТЬ", "Дом стоит"),
        ("P23", "Я, ТЫ", "Я, ты"),
        ("P00", "ГОРОД САНКТ-ПEТЕРБУРГ", None),
        ("P01", "ГОРОД САНКТ-ПEТЕРБУРГ", None),
    ]
    assert [n.recording for n in found] == list(MEDIA)
    assert {(n.start, n.end, n.label, n.problem) for n in found} == {("0", END, None, None)}


def test_headers_in_small_letters(tmp_path: Path) -> None:
    files = {"gloss_annotation_csv": GLOSSES, "russian_translation_csv": RUSSIAN}
    lower = {
        k: t.replace("ID,Gloss", "id, gloss").replace("ID,Trans", "Id,trans")
        for k, t in files.items()
    }
    assert shown(notes(tmp_path, **lower)) == shown(notes(tmp_path))


def test_what_is_odd_of_a_sentence_is_said_once(tmp_path: Path) -> None:
    found = notes(tmp_path)
    assert [n.notes for n in found[:3] + found[4:]] == [()] * 4
    assert found[3].notes == (
        ("K133", "sentence 3 has no translation; it has 2 clip(s)"),
        (
            "K303",
            "gloss_annotation.csv:4: the gloss 'САНКТ-ПEТЕРБУРГ' mixes Cyrillic and Latin letters",
        ),
    )


def test_kazakh(tmp_path: Path) -> None:
    found = notes(tmp_path, options={"language": "kk"}, kazakh_json=KAZAKH)
    assert [n.translation for n in found] == ["Үй тұр", "Үй тұр", None, "Қала", "Қала"]
    both = notes(tmp_path, kazakh_json=KAZAKH)
    assert [(n.translation, n.translation_kk) for n in both] == [
        ("Дом стоит", "Үй тұр"), ("Дом стоит", "Үй тұр"), ("Я, ты", None), (None, "Қала"),
        (None, "Қала"),
    ]  # fmt: skip
    with pytest.raises(AnnotationError, match="no file has translations in 'kk'"):
        notes(tmp_path, options={"language": "kk"})
    with pytest.raises(RecipeError, match="language = 'en'"):
        notes(tmp_path, options={"language": "en"})


def test_without_glosses_the_translation_is_the_sentence(tmp_path: Path) -> None:
    (found,) = notes(tmp_path, MEDIA[:1], gloss_annotation_csv="ID,Translation\n0,Дом стоит\n")[:1]
    assert (found.sentence, found.translation) == ("Дом стоит", "Дом стоит")


def test_without_russian_the_kazakh_is_kept(tmp_path: Path) -> None:
    (tmp_path / "kazakh.json").write_text(KAZAKH, encoding="utf-8")
    source = Source(files=(tmp_path / "kazakh.json",), media=MEDIA[:1])
    found = next(iter(adapter("fluentsigners-50")(source)))
    assert (found.sentence, found.translation, found.translation_kk) == ("Үй тұр", None, "Үй тұр")


def test_sentences_without_files_or_text(tmp_path: Path) -> None:
    found = notes(tmp_path, ("P0_S000_00.mp4", "P0_S002_00.mp4", "P1_S000.mp4"))
    assert [(n.source, n.problem and n.problem[0]) for n in found] == [
        ("P0_S000_00.mp4", None),
        ("P0_S002_00.mp4", "K118"),
        ("P1_S000.mp4", "K118"),
        ("gloss_annotation.csv:3", "K103"),
        ("gloss_annotation.csv:4", "K103"),
    ]
    assert found[3].problem is not None
    assert "no media file of sentence 1" in found[3].problem[1]


def test_the_same_repetition_in_both_styles(tmp_path: Path) -> None:
    first, second, *_ = notes(tmp_path, ("a/P0_S000_00.mp4", "b/P00_S000_00.mp4"))
    assert first.problem is None
    assert second.problem == ("K119", "the same repetition as a/P0_S000_00.mp4")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("split1_txt", "P0_S000_00 train\nP3_S000_01 test\n"),
        ("split1_txt", "v/000/P0_S000_00.mp4 train\nv/000/P03_S000_01.mp4 test\n"),
        ("split_csv", "name,split\nP0_S000_00,train\nP3_S000_01,test\n"),
        ("split_csv", "video,split\nP0_S000_00.mp4,train\nP3_S000_01.mp4,test\n"),
        ("split_tsv", "split\tfile\ntrain\tP0_S000_00\ntest\tP3_S000_01\n"),
        ("split1_txt", "v\\000\\P0_S000_00.mp4 Train\r\n\r\nP3_S000_01\tTEST\r\n"),
    ],
)
def test_lists_of_sides(tmp_path: Path, name: str, text: str) -> None:
    assert [n.split for n in notes(tmp_path, **{name: text})] == ["train", "test", None, None, None]


def test_the_side_of_a_list_by_its_name_or_option(tmp_path: Path) -> None:
    plain = "P0_S000_00\nP3_S000_01\nP9_S000_01\n"
    found = notes(tmp_path, test_txt=plain)
    assert [n.split for n in found[:3]] == ["test", "test", None]
    assert found[-1].problem == ("K103", "P9_S000_01 is not among the media files")
    (tmp_path / "test.txt").unlink()
    found = notes(tmp_path, options={"list_side": "dev"}, split1_txt=plain)
    assert found[0].split == "dev"
    with pytest.raises(AnnotationError, match=r"split1.txt:1: the list does not say") as error:
        notes(tmp_path, split1_txt=plain)
    assert "list_side" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("P0_S000_00 train\nP0_S000_00 test\n", "'test' here, in 'train' in split1.txt:1"),
        ("P0_S000_00 train\nnonsense test\n", "split1.txt:2: expected a name"),
        ("P0_S000_00 tain\n", "the side 'tain' is not one of"),
        ("name,split\n", "split1.txt names no repetition; expected a name such as P3_S147_02"),
    ],
)
def test_bad_lists(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        notes(tmp_path, split1_txt=text)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gloss_annotation_csv", GLOSSES + "0,ДРУГОЙ\n", "sentence 0 is 'ДРУГОЙ' here"),
        ("gloss_annotation_csv", GLOSSES + "x,ДОМ\n", "the ID 'x' is not the number"),
        ("gloss_annotation_csv", GLOSSES + "4,ДОМ,СТОЯТЬ\n", "line 5: 3 cells"),
        ("more_csv", "attachment_id,text,user_id\na,b,c\n", "adapter = 'slovo'"),
        ("kk_json", "[1]", "sentence number to text"),
        ("kk_json", '{"0": 1}', "sentence number to text"),
        ("kk_json", '{"0": "Мен", "0": "Сен"}', "the key '0' occurs twice"),
        ("kk_json", "{", "kk.json is not JSON"),
        ("kk_json", "[" * 100_000, "kk.json is not JSON"),
    ],
)
def test_wrong_files(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        notes(tmp_path, **{name: text})


def test_wrong_encodings_and_missing_files(tmp_path: Path) -> None:
    table = tmp_path / "gloss_annotation.csv"
    read = adapter("fluentsigners-50")
    table.write_bytes(GLOSSES.encode("cp1251"))
    with pytest.raises(AnnotationError, match="UTF-8"):
        list(read(Source(files=(table,), media=MEDIA)))
    semicolons = GLOSSES.replace('"Я, ТЫ"', "Я ТЫ").replace(",", ";")
    for text in (semicolons, GLOSSES.replace("\n", "\r\n")):
        table.write_bytes(text.encode("utf-16"))
        found = list(read(Source(files=(table,), media=MEDIA[:1])))
        assert found[0].sentence == "ДОМ СТОЯТЬ"
    with pytest.raises(MissingFile):
        list(read(Source(files=(tmp_path / "gone.csv",), media=MEDIA)))
    with pytest.raises(AnnotationError, match=r"gloss_annotation\.csv and russian_translation"):
        list(read(Source(files=(), media=MEDIA)))
    with pytest.raises(AnnotationError, match="none of the 1 media files is named P<signer>_S"):
        list(read(Source(files=(table,), media=("sign_su__happy__1_r01.mp4",))))


LISTS = {
    "split1_txt": "P0_S000_00 train\nP3_S000_01 test\nP23_S001_02 test\n",
    "split2_txt": "P0_S000_00 test\nP3_S000_01 train\nP23_S001_02 train\n",
    "unseen_train_txt": "P0_S000_00\nP3_S000_01\n",
    "unseen_test_txt": "P23_S001_02\nP0_S003_00\n",
}


def test_lists_of_several_benchmarks(tmp_path: Path) -> None:
    assert [n.split for n in notes(tmp_path, **LISTS)] == [
        "split1=train split2=test unseen=train",
        "split1=test split2=train unseen=train",
        "split1=test split2=train unseen=test",
        "unseen=test",
        None,
    ]


def test_lists_in_folders_named_after_their_benchmark(tmp_path: Path) -> None:
    for name, text in (
        ("age/train.txt", "P0_S000_00\n"), ("age/test.txt", "P3_S000_01\n"),
        ("signer/test.txt", "P0_S000_00\nP3_S000_01\n"),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "gloss.csv").write_text(GLOSSES, encoding="utf-8")
    files = tuple(sorted(p for p in tmp_path.rglob("*.*")))
    found = list(adapter("fluentsigners-50")(Source(files=files, media=MEDIA[:2])))
    assert [n.split for n in found[:2]] == ["age=train signer=test", "age=test signer=test"]


def test_lists_that_share_nothing_are_parts_of_one(tmp_path: Path) -> None:
    found = notes(tmp_path, one_txt="P0_S000_00 train\n", two_txt="P3_S000_01 test\n")
    assert [n.split for n in found[:2]] == ["train", "test"]


def trimmed(tmp_path: Path, media: Path) -> Dataset:
    """A dataset of these files and of the tables beside them, cut."""
    options = ingest.IngestOptions(
        media=(str(media),), adapter="fluentsigners-50", annotations=(str(tmp_path / "*.*"),)
    )
    dataset = Dataset(tmp_path / "dataset", create=True)
    ingest.ingest(dataset, options=options)
    validate(dataset, lexicon=None, rules=Rules())
    clips.trim(dataset, options=clips.ClipOptions())
    return dataset


def test_three_benchmarks_are_three_splits(tmp_path: Path) -> None:
    media = tmp_path / "media"
    for number, name in enumerate(MEDIA[:4]):
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        record(media / name, num_frames=20 + number, options=X264)
    notes(tmp_path, kazakh_json=KAZAKH, **LISTS)
    dataset = trimmed(tmp_path, media)
    made = {c.source_file: c for c in dataset.read("clips", Clip)}
    fields = sample_fields(made[MEDIA[0]], classes={})
    assert (fields["translation"], fields["translation_kk"]) == ("Дом стоит", "Үй тұр")

    counts = split.split(dataset, options=split.SplitOptions(by="published"))
    assert counts == {
        "published-split1": {"train": 1, "test": 2},
        "published-split2": {"train": 2, "test": 1},
        "published-unseen": {"train": 2, "test": 2},
    }
    unit, sides = dataset.sides("published-unseen")
    assert (unit, sides[made[MEDIA[2]].clip_id]) == ("clip_id", "test")
    assert dataset.sides("published-split2")[0] == "clip_id"  # P00 has a clip that it leaves out
    codes = [i.code for i in dataset.read("issues", Issue)]
    assert "K407" not in codes

    split.split(dataset, options=split.SplitOptions(by="signer"))
    (said,) = [i for i in dataset.read("issues", Issue) if i.code == "K407"]
    assert (said.severity, said.message) == (
        "info",
        "the annotations name a published side of 4 of 4 clips; [split] by = 'signer' does not "
        "follow it",
    )
    assert 'by = "published"' in str(said.hint)


def test_to_clips(tmp_path: Path) -> None:
    media = tmp_path / "media"
    for number, name in enumerate(MEDIA[2:4]):
        (media / name).parent.mkdir(parents=True)
        record(media / name, num_frames=20 + number, options=X264)
    notes(tmp_path, test_txt="P23_S001_02\n")
    dataset = trimmed(tmp_path, media)
    made = {
        (c.signer_id, c.first_frame, c.last_frame, c.published_split, c.sentence)
        for c in dataset.read("clips", Clip)
    }
    assert made == {
        ("p23", 0, 19, "test", "Я, ТЫ"),
        ("p00", 0, 20, None, "ГОРОД САНКТ-ПEТЕРБУРГ"),
    }
    said = {(i.code, i.key) for i in dataset.read("issues", Issue) if i.code in ("K133", "K303")}
    assert ("K133", MEDIA[3]) in said
    assert list(dataset.dropped.code) == ["K103"]  # sentence 0 has no file here


@needs_data
def test_the_published_tables() -> None:
    media = tuple(f"{s:03d}/P{p}_S{s:03d}_00.mp4" for s in range(24) for p in (1, 2))
    files = (
        DATA / "fluentsigners50_gloss.excerpt.csv",
        DATA / "fluentsigners50_translation.excerpt.csv",
    )
    found = list(adapter("fluentsigners-50")(Source(files=files, media=media)))
    assert len(found) == 48
    assert [shown(found)[i] for i in (0, 26, 47)] == [
        ("P01", "ЗДРАВСТВУЙТЕ", "Здравстуйте"),
        ("P01", "КАК ЖИЗНЬ", "Как жизнь, (Как оно)"),
        ("P02", "ПЕКРАСНЫЕ НОВОСТИ", "Пекрасные новости"),
    ]


def test_the_recipe() -> None:
    recipe = recipes.read("fluentsigners-50")
    assert recipe.expected.signers == 50
    assert recipe.ingest is not None
    assert recipe.ingest.options == {"language": "ru"}


def test_a_folder_that_contradicts_the_name(tmp_path: Path) -> None:
    media = ("000/P0_S000_00.mp4", "002/P3_S000_02.mp4", "2024/P4_S000_03.mp4")
    found = {n.recording: n.problem for n in notes(tmp_path, media) if n.recording in media}
    assert found["002/P3_S000_02.mp4"] == (
        "K132", "the folder '002' is that of another sentence than S000"
    )  # fmt: skip
    # What is not the number of a sentence says nothing.
    assert found["000/P0_S000_00.mp4"] is None is found["2024/P4_S000_03.mp4"]
