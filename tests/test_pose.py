"""Poses beside recordings: the points of exactly the frames of a clip."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tracemalloc
import unicodedata
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import kslds
from kslds import pack, pose
from kslds import recipe as recipes
from kslds.errors import IncompleteDataset, MediaError, MissingFile
from kslds.manifest import Dataset
from kslds.schema import Clip, Issue, Recording
from tests.painting import record

pose_format = pytest.importorskip("pose_format", reason="needs the extra 'pose'")
SHARED = Path(__file__).parents[2] / "shared" / "data" / "pose"
POINTS = 3


def write_pose(path: Path, *, num_frames: int, rate: float = 30, points: int = POINTS) -> Path:
    """A `.pose` file in which x of point 0 is the frame number."""
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    component = PoseHeaderComponent(
        name="hand", points=[f"p{i}" for i in range(points)], limbs=[], colors=[],
        point_format="XYC",
    )  # fmt: skip
    header = PoseHeader(
        version=0.2,
        dimensions=PoseHeaderDimensions(width=320, height=240, depth=0),
        components=[component],
    )
    data = np.zeros((num_frames, 2, points, 2), np.float32)
    data[:, 1, 0, 0] = np.arange(num_frames)
    confidence = np.zeros((num_frames, 2, points), np.float32)
    confidence[:, 1] = 0.9  # the second person is the one that is seen
    confidence[:, 0, 0] = 0.1
    body = NumPyPoseBody(fps=rate, data=data, confidence=confidence)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pose_format.Pose(header=header, body=body).write(file)
    return path


def write_openpose(folder: Path, *, num_frames: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(num_frames):
        people = [
            {"pose_keypoints_2d": [5, 5, 0.1] * POINTS},
            {"pose_keypoints_2d": [number, 7, 0.8] * POINTS},
        ]
        name = f"{folder.name}_{number:012d}_keypoints.json"
        (folder / name).write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


def built(tmp_path: Path, **clips: object) -> Dataset:
    media = tmp_path / "media"
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    media.mkdir(exist_ok=True)
    for name in ("a", "b", "c"):
        if not (media / f"{name}.mp4").exists():
            record(media / f"{name}.mp4", num_frames=60 + ord(name) - 97, options=options)
    (tmp_path / "rows.csv").write_text(
        "recording,gloss,start,end,unit,signer\n"
        "a.mp4,yes,10,20,frame,s1\na.mp4,no,25,33,frame,s1\n"
        "b.mp4,yes,5,17,frame,s2\nc.mp4,yes,5,17,frame,s3\n"
    )
    document = {
        "ingest": {"media": "media", "annotations": "rows.csv", "poses": "poses"},
        "clips": {"size": 64, **clips},
        "split": {"fractions": {"train": 1.0}},
    }
    recipe = recipes.from_document(document, base=tmp_path)
    return recipes.build(recipe, out=tmp_path / "out", workers=1)


def test_a_sample_carries_the_points_of_its_frames(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60)
    write_pose(tmp_path / "poses" / "b.pose", num_frames=61)
    dataset = built(tmp_path)
    of = {(c.source_file, c.first_frame): c for c in dataset.read("clips", Clip)}
    (tar,) = (dataset.root / "shards" / "h264").glob("*.tar")
    with pack.PackReader(tar) as reader:
        points = {
            key: pose.decode(reader.read(c.clip_id, field="pose.npy")) for key, c in of.items()
        }
    for (name, first), array in points.items():
        length = of[name, first].num_frames
        assert array.shape == (length, POINTS, 3)
        assert array.dtype == np.float32
        if name == "c.mp4":
            assert np.isnan(array).all()
        else:
            assert list(array[:, 0, 0]) == list(range(first, first + length))
            assert array[..., 2] == pytest.approx(0.9)
    index = json.loads((dataset.root / "shards" / "h264" / "index.json").read_text())
    assert index["pose_points"] == ["hand/p0", "hand/p1", "hand/p2"]
    (table,) = (dataset.root / "parquet").glob("*.parquet")
    rows = pq.read_table(table).to_pylist()
    assert {np.isnan(pose.decode(r["pose"])).all() for r in rows} == {True, False}


def test_the_loader_gives_the_points_of_the_sampled_frames(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60)
    dataset = built(tmp_path)
    samples = {s["key"]: s for s in kslds.load(str(dataset.root), num_frames=4)}
    for clip in dataset.read("clips", Clip):
        points = samples[clip.clip_id]["pose"]
        assert points.shape == (4, POINTS, 3)
        if clip.source_file == "a.mp4":
            step = clip.num_frames / 4
            wanted = [clip.first_frame + int((i + 0.5) * step) for i in range(4)]
            assert list(points[:, 0, 0]) == wanted


def test_openpose_folders_are_read_by_the_same_names(tmp_path: Path) -> None:
    write_openpose(tmp_path / "poses" / "a", num_frames=60)
    dataset = built(tmp_path)
    assert [r.pose_file for r in dataset.read("recordings", Recording)].count("a") == 1
    (tar,) = (dataset.root / "shards" / "h264").glob("*.tar")
    clip = next(c for c in dataset.read("clips", Clip) if c.source_file == "a.mp4")
    with pack.PackReader(tar) as reader:
        points = pose.decode(reader.read(clip.clip_id, field="pose.npy"))
    assert list(points[:, 2, 0]) == list(range(clip.first_frame, clip.last_frame + 1))


def test_resampled_clips_have_resampled_points(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60)
    dataset = built(tmp_path, fps=15)
    (tar,) = (dataset.root / "shards" / "h264").glob("*.tar")
    clip = next(c for c in dataset.read("clips", Clip) if c.first_frame == 10)
    with pack.PackReader(tar) as reader:
        points = pose.decode(reader.read(clip.clip_id, field="pose.npy"))
    assert list(points[:, 0, 0]) == [10, 12, 14, 16, 18]


def test_other_numbers_of_frames_are_aligned_by_time(tmp_path: Path) -> None:
    found = pose.read(write_pose(tmp_path / "half.pose", num_frames=30, rate=15))
    points = pose.aligned(found, pts=[512 * i for i in range(60)], time_base=Fraction(1, 15360))
    assert list(points[:, 0, 0]) == [i // 2 for i in range(60)]


@pytest.mark.parametrize(("frames", "rate"), [(30, 30), (170, 24), (40, 0)])
def test_poses_of_another_length_are_refused(tmp_path: Path, frames: int, rate: float) -> None:
    found = pose.read(write_pose(tmp_path / "x.pose", num_frames=frames, rate=rate))
    wanted = rf"the poses have {frames} frames.*; the recording has 150, 6\.00 s"
    with pytest.raises(MediaError, match=wanted):
        pose.aligned(found, pts=[40 * i for i in range(150)], time_base=Fraction(1, 1000))


@pytest.mark.parametrize("frames", [149, 151])
def test_a_frame_more_or_less_does_not_shift_the_others(tmp_path: Path, frames: int) -> None:
    found = pose.read(write_pose(tmp_path / "x.pose", num_frames=frames, rate=29.97))
    points = pose.aligned(found, pts=[33 * i for i in range(150)], time_base=Fraction(1, 1000))
    assert list(points[:149, 0, 0]) == list(range(149))


def test_one_pose_file_is_not_that_of_two_recordings(tmp_path: Path) -> None:
    write_pose(tmp_path / "001.pose", num_frames=3)
    write_pose(tmp_path / "s2" / "001.pose", num_frames=3)
    found = pose.find(tmp_path, recordings=["s1/001.mp4", "s2/001.mp4"])
    assert found == {"s2/001.mp4": tmp_path / "s2" / "001.pose"}
    assert pose.find(tmp_path, recordings=["s1/001.mp4"]) == {"s1/001.mp4": tmp_path / "001.pose"}


def test_poses_that_do_not_fit_are_said_and_left_out(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60)
    write_pose(tmp_path / "poses" / "b.pose", num_frames=61, points=5)
    (tmp_path / "poses" / "c.pose").write_bytes(b"\x00" * 40)
    dataset = built(tmp_path)
    found = dataset.issues[dataset.issues.code == "K129"]
    assert sorted(found.key) == ["b.mp4", "c.mp4"]
    assert len(dataset.clips) == 4


def test_points_of_other_names_are_told_by_name(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60)
    write_openpose(tmp_path / "poses" / "b", num_frames=61)
    issues = built(tmp_path).issues
    (message,) = issues.message[issues.code == "K129"]
    assert message == (
        "b has point 0 called 'pose_keypoints_2d/0', the first file calls it 'hand/p0'."
    )


def test_without_the_folder_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no folder of poses"):
        built(tmp_path)


def test_other_poses_make_other_packs_and_no_other_recording_again(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60)
    dataset = built(tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in (dataset.root / "clips/h264").glob("*.tar")}
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60, rate=29)
    dataset = built(tmp_path)
    after = {p.name: p.stat().st_mtime_ns for p in (dataset.root / "clips/h264").glob("*.tar")}
    assert len(after) == 3
    assert len(set(before.items()) & set(after.items())) == 2


@pytest.mark.parametrize("number", [10**11, 6_000_000])
def test_a_frame_number_out_of_all_proportion_is_refused(tmp_path: Path, number: int) -> None:
    folder = write_openpose(tmp_path / "a", num_frames=2)
    (folder / f"a_{number:012d}_keypoints.json").write_text('{"people": []}')
    with pytest.raises(MediaError, match=f"frame number {number}"):
        pose.read(folder)


def test_a_frame_of_other_points_is_refused(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "a", num_frames=3)
    one = {"people": [{"pose_keypoints_2d": [1, 2, 3]}]}
    (folder / "a_000000000001_keypoints.json").write_text(json.dumps(one))
    with pytest.raises(MediaError, match="frame 1 has other points than the first"):
        pose.read(folder)


def test_openpose_files_of_all_recordings_in_one_folder(tmp_path: Path) -> None:
    for name, frames in (("a", 60), ("b.pre", 61)):
        folder = write_openpose(tmp_path / "each" / name, num_frames=frames)
        (tmp_path / "poses" / "json").mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.rename(tmp_path / "poses" / "json" / file.name)
    found = pose.find(tmp_path / "poses", recordings=["a.mp4", "b.pre.mp4", "b.mp4"])
    assert sorted(found) == ["a.mp4", "b.pre.mp4"]
    assert [len(pose.read(found[name]).data) for name in sorted(found)] == [60, 61]
    dataset = built(tmp_path)
    files = {r.source_file: r.pose_file for r in dataset.read("recordings", Recording)}
    assert files == {"a.mp4": "json/a_*_keypoints.json", "b.mp4": None, "c.mp4": None}
    for sample in kslds.load(str(dataset.root), num_frames=None):
        if sample["source_file"] == "a.mp4":
            frames = list(range(sample["first_frame"], sample["last_frame"] + 1))
            assert list(sample["pose"][:, 1, 0]) == frames
    missing = dataset.issues[dataset.issues.code == "K130"]
    assert sorted(missing.message) == [
        "2 recording(s) have no poses, first b.mp4.",
        "json/b.pre_*_keypoints.json is the name of no recording, or of several.",
    ]
    # Another file of the group is another pack.
    before = {p.name for p in dataset.root.glob("clips/h264/*.tar")}
    (tmp_path / "poses" / "json" / f"a_{13:012d}_keypoints.json").unlink()
    dataset = built(tmp_path)
    assert len(before - {p.name for p in dataset.root.glob("clips/h264/*.tar")}) == 1
    (issue,) = dataset.issues[dataset.issues.message.str.contains("no file of")].message
    assert issue.startswith("a_*_keypoints.json has no file of 1 frame(s), first 13")
    clip = next(c for c in dataset.read("clips", Clip) if c.first_frame == 10)
    (tar,) = (dataset.root / "shards" / "h264").glob("*.tar")
    with pack.PackReader(tar) as reader:
        points = pose.decode(reader.read(clip.clip_id, field="pose.npy"))
    assert np.isnan(points[3]).all()
    assert list(points[[2, 4], 0, 0]) == [12, 14]


def test_openpose_files_may_be_numbered_from_1(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "a", num_frames=6)
    for number in reversed(range(6)):
        name = "a_{:012d}_keypoints.json"
        (folder / name.format(number)).rename(folder / name.format(number + 1))
    (folder / name.format(3)).unlink()
    found = pose.read(folder)
    assert found.absent == (0, 3)
    rows = pose.aligned(found, pts=range(6), time_base=Fraction(1, 30))
    assert list(np.nan_to_num(rows[:, 0, 0], nan=-1)) == [0, 1, -1, 3, 4, 5]
    # Of a recording that has a frame more, frame 0 is the one that is missing.
    rows = pose.aligned(found, pts=range(7), time_base=Fraction(1, 30))
    assert list(np.nan_to_num(rows[:, 0, 0], nan=-1)) == [-1, 0, 1, -1, 3, 4, 5]


def test_names_are_found_in_either_form_of_unicode(tmp_path: Path) -> None:
    name = "\N{CYRILLIC SMALL LETTER SHORT I}"
    write_pose(tmp_path / "p" / f"{unicodedata.normalize('NFD', name)}.POSE", num_frames=2)
    assert list(pose.find(tmp_path / "p", recordings=[f"{name}.mp4"])) == [f"{name}.mp4"]


def test_a_link_out_of_the_folder_is_passed_over(tmp_path: Path) -> None:
    write_pose(tmp_path / "out" / "a.pose", num_frames=2)
    write_openpose(tmp_path / "out" / "b", num_frames=2)
    (tmp_path / "poses").mkdir()
    for name in ("a.pose", "b"):
        (tmp_path / "poses" / name).symlink_to(tmp_path / "out" / name)
    assert pose.find(tmp_path / "poses", recordings=["a.mp4", "b.mp4"]) == {}


def hostile(body: bytes, *, version: float = 0.2, points: int = 1, form: str = "XYC") -> bytes:
    """A `.pose` file with a header of one component, and these bytes after it."""
    name = struct.pack("<H1s", 1, b"h")
    component = name + struct.pack(f"<H{len(form)}sHHH", len(form), form.encode(), points, 0, 0)
    head = struct.pack("<fHHHH", version, 100, 100, 0, 1) + component + bytes(2) * points
    return head + body


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (hostile(struct.pack("<fIH", 25, 0xFFFFFFFF, 0)), "states 4294967295 frames of 1 points"),
        (hostile(struct.pack("<fIH", 25, 0xFFFFFFFF, 0xFFFF)), "4294967295 frames, and holds 0"),
        (hostile(struct.pack("<fIH", 25, 4_000_000, 0), points=60_000), "4000000 frames of 60000"),
        (hostile(struct.pack("<fIH", 25, 0xFFFFFFFF, 1), points=0), "its header names no points"),
        (hostile(struct.pack("<HH", 25, 0xFFFF), version=0, points=60_000), "65535 frames of 60000"),
        (hostile(struct.pack("<HHH", 25, 2, 1) + bytes(12), version=0.1), "2 frames, and holds 1"),
        (hostile(struct.pack("<HHH", 25, 2, 0) + bytes(24), version=0.1), "cannot be read"),
        (hostile(struct.pack("<fIH", 25, 1, 1) + bytes(12), form=""), "its header names no points"),
        (hostile(struct.pack("<fIH", 25, 2, 1) + bytes(23)), "2 frames, and holds 1"),
        (hostile(b""), "breaks off too early"),
        (hostile(bytes(99), version=0.3), "cannot be read"),
        (b"", "breaks off too early"),
        (bytes(40), "cannot be read"),
        (b"\xff" * 4000, "cannot be read"),
    ],
)  # fmt: skip
def test_headers_that_claim_too_much_take_no_memory(
    tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "x.pose").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(MediaError, match=message):
        pose.read(tmp_path / "x.pose")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0, -1, 1e-30])
def test_a_rate_that_is_none_is_none(tmp_path: Path, rate: float) -> None:
    path = write_pose(tmp_path / "x.pose", num_frames=10, rate=rate)
    with pytest.raises(MediaError, match=r"frames|cannot be read"):
        pose.aligned(pose.read(path), pts=range(60), time_base=Fraction(1, 30))


def test_version_0_1_is_read_whole_and_cut_short_refused(tmp_path: Path) -> None:
    body = np.arange(8, dtype="<f4").tobytes() + np.ones(4, "<f4").tobytes()
    data = hostile(struct.pack("<HHH", 25, 2, 1) + body, version=0.1, points=2)
    (tmp_path / "x.pose").write_bytes(data)
    found = pose.read(tmp_path / "x.pose")
    assert found.rate == 25
    assert found.data[..., :2].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    # pose-format takes what is left for fewer frames, with points where the confidences are.
    (tmp_path / "x.pose").write_bytes(data[:-24])
    with pytest.raises(MediaError, match="2 frames, and holds 1"):
        pose.read(tmp_path / "x.pose")


def test_a_confidence_that_is_no_number_is_not_seen(tmp_path: Path) -> None:
    numbers = np.array([1, 1, 2, 2, np.nan, 0.5], "<f4").tobytes()
    data = hostile(struct.pack("<fIH", 25, 1, 2) + numbers)
    (tmp_path / "x.pose").write_bytes(data)
    assert pose.read(tmp_path / "x.pose").data.tolist() == [[[2, 2, 0.5]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "breaks off or is damaged at line 1, column 1; expected the JSON that OpenPose"),
        ('{"people": [\n{"pose', "breaks off or is damaged at line 2, column 2; expected the JSON"),
        ("[" * 100_000, "is nested too deeply"), ("[]", "holds no object; expected the JSON that"),
        ("{}", "is not as OpenPose writes it"), ('{"people": 3}', "is not as OpenPose writes it"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "is not as OpenPose writes it"),
        ('{"people": [{"pose_keypoints_2d": ["x", 1, 2]}]}', "is not as OpenPose writes it"),
        ('{"people": [[]]}', "is not as OpenPose writes it"),
    ],
)  # fmt: skip
def test_a_broken_file_of_a_frame_is_named(tmp_path: Path, text: str, message: str) -> None:
    folder = write_openpose(tmp_path / "a", num_frames=3)
    (folder / "a_000000000001_keypoints.json").write_text(text)
    with pytest.raises(MediaError, match=f"a_000000000001_keypoints.json {message}"):
        pose.read(folder)


def test_a_pipe_among_the_files_is_passed_over(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "a", num_frames=3)
    os.mkfifo(folder / "a_000000000007_keypoints.json")
    assert len(pose.read(folder).data) == 3


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not there")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("6fb01565da31c5500d1ef2cd2906b06b.pose", (5, 586, 4)),
        ("mediapipe.pose", (170, 178, 4)),
        ("openpose.pose", (93, 137, 3)),
    ],
)
def test_real_files_of_all_versions_are_read(name: str, shape: tuple[int, ...]) -> None:
    found = pose.read(SHARED / name)
    assert found.data.shape == shape
    assert len(found.points) == shape[1]
    seen = found.data[~np.isnan(found.data[..., -1])]
    assert len(seen) > 0.5 * shape[0] * shape[1]
    assert seen[..., -1].min() > 0


def in_part(root: Path, name: str, *, rows: str, pattern: str, points: int | None) -> Path:
    """A built dataset of one recording of 30 frames, with poses of so many points or without."""
    (root / "media").mkdir(parents=True)
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    record(root / "media" / f"{name}.mp4", num_frames=30, options=options, filters=pattern)
    (root / "rows.csv").write_text(f"recording,gloss,start,end,unit,signer\n{rows}")
    document = {
        "name": name,
        "licence": "CC0-1.0",
        "ingest": {"media": "media", "annotations": "rows.csv"},
        "clips": {"size": 64},
        "shards": {"encodings": ["h264"]},
        "split": {"fractions": {"train": 1.0}},
    }
    if points is not None:
        write_pose(root / "poses" / f"{name}.pose", num_frames=30, points=points)
        document["ingest"] |= {"poses": "poses"}  # type: ignore[operator]
    recipes.build(recipes.from_document(document, base=root), out=root / "out", workers=1)
    return root / "out"


def merged_of(tmp_path: Path, *parts: Path) -> Dataset:
    document = {"name": "all", "merge": {"datasets": [str(p) for p in parts]},
                "split": {"fractions": {"train": 1.0}}}  # fmt: skip
    recipe = recipes.from_document(document, base=tmp_path)
    return recipes.build(recipe, out=tmp_path / "all", workers=1)


def test_poses_cross_in_a_merge(tmp_path: Path) -> None:
    rows = "{0}.mp4,yes,4,14,frame,s1\n{0}.mp4,no,15,27,frame,s1\n"
    parts = [
        in_part(tmp_path / name, name, rows=rows.format(name), pattern=pattern, points=points)
        for name, pattern, points in (
            ("first", "null", POINTS), ("second", "hflip", None), ("third", "negate", POINTS),
        )
    ]  # fmt: skip
    dataset = merged_of(tmp_path, *parts)
    assert "K711" not in set(dataset.issues.code)
    samples = {s["key"]: s for s in kslds.load(str(dataset.root), num_frames=None)}
    clips = dataset.read("clips", Clip)
    assert len(clips) == len(samples) == 6
    for clip in clips:
        sample = samples[clip.clip_id]
        assert sample["pose"].shape == (clip.num_frames, POINTS, 3)
        assert len(sample["video"]) == clip.num_frames
        if clip.source_file == "second/second.mp4":
            assert np.isnan(sample["pose"]).all()
        else:
            frames = list(range(clip.first_frame, clip.last_frame + 1))
            assert list(sample["pose"][:, 0, 0]) == frames
    assert dataset.provenance["pose_points"] == ["hand/p0", "hand/p1", "hand/p2"]
    before = {p: p.stat().st_mtime_ns for p in dataset.root.rglob("*.tar")}
    merged_of(tmp_path, *parts)
    assert {p: p.stat().st_mtime_ns for p in dataset.root.rglob("*.tar")} == before


def test_unlike_poses_do_not_cross_and_it_is_said(tmp_path: Path) -> None:
    parts = [
        in_part(tmp_path / name, name, rows=f"{name}.mp4,yes,4,14,frame,s1\n", pattern=pattern,
                points=points)
        for name, pattern, points in (("first", "null", 3), ("second", "hflip", 5))
    ]  # fmt: skip
    dataset = merged_of(tmp_path, *parts)
    (issue,) = dataset.issues[dataset.issues.code == "K711"].itertuples()
    assert issue.key == "second"
    assert "first has 3 points of 3 numbers (hand/p0, …), second has 5 points" in issue.message
    assert dataset.provenance["pose_points"] == []
    samples = list(kslds.load(str(dataset.root)))
    assert len(samples) == 2
    assert all("pose" not in sample for sample in samples)


def test_where_no_poses_cross_none_are_named_and_a_later_merge_is_not_misled(
    tmp_path: Path,
) -> None:
    parts = [
        in_part(tmp_path / name, name, rows=f"{name}.mp4,yes,4,14,frame,s1\n", pattern=pattern,
                points=points)
        for name, pattern, points in (
            ("first", "null", 3), ("second", "hflip", 5), ("third", "negate", 4)
        )
    ]  # fmt: skip
    none = merged_of(tmp_path, *parts[:2])
    assert {(r.pose_file, r.pose_sha256) for r in none.read("recordings", Recording)} == {
        (None, None)
    }
    document = {"name": "again", "merge": {"datasets": [str(none.root), str(parts[2])]},
                "split": {"fractions": {"train": 1.0}}}  # fmt: skip
    recipe = recipes.from_document(document, base=tmp_path)
    again = recipes.build(recipe, out=tmp_path / "again", workers=1)
    files = {r.source_file: r.pose_file for r in again.read("recordings", Recording)}
    assert files == {
        "all/first/first.mp4": None, "all/second/second.mp4": None,
        "third/third.mp4": "third/third.pose",
    }  # fmt: skip
    shapes = {s["pose"].shape[1:] for s in kslds.load(str(again.root), num_frames=4)}
    assert shapes == {(4, 3)}
    for tar in (again.root / "clips").rglob("*.tar"):
        members = [(m.key, m.field) for m in pack.read_index(tar)[0]]
        assert len(members) == len(set(members))


def test_a_copy_lends_its_poses(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    record(tmp_path / "media" / "b.mp4", num_frames=61, options=options)
    shutil.copy(tmp_path / "media" / "b.mp4", tmp_path / "media" / "a0.mp4")
    write_pose(tmp_path / "poses" / "b.pose", num_frames=61)
    dataset = built(tmp_path)
    files = {r.source_file: r.pose_file for r in dataset.read("recordings", Recording)}
    assert files == {"a.mp4": None, "a0.mp4": "b.pose", "c.mp4": None}
    said = [i.message for i in dataset.read("issues", Issue) if i.code == "K130"]
    assert said == ["2 recording(s) have no poses, first a.mp4."]
    (clip,) = (c for c in dataset.read("clips", Clip) if c.source_file == "a0.mp4")
    points = {s["key"]: s["pose"] for s in kslds.load(str(dataset.root), num_frames=None)}
    assert list(points[clip.clip_id][:, 0, 0]) == list(range(5, 17))


def test_a_folder_of_poses_of_another_name_is_told(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "signer_1" / "a.pose", num_frames=30)
    (tmp_path / "media" / "s1").mkdir(parents=True)
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    record(tmp_path / "media" / "s1" / "a.mp4", num_frames=30, options=options)
    (tmp_path / "rows.csv").write_text("recording,gloss,start,end,unit\na.mp4,yes,4,14,frame\n")
    document = {"ingest": {"media": "media", "annotations": "rows.csv", "poses": "poses"}}
    dataset = Dataset(tmp_path / "out", create=True)
    recipes.run_ingest(dataset, recipes.from_document(document, base=tmp_path))
    said = [i.message for i in dataset.read("issues", Issue) if i.code == "K130"]
    assert (
        "signer_1/a.pose is the name of no recording, or of several. s1/a.mp4 lies in a folder of "
        "another name: call both folders the same."
    ) in said


def test_poses_that_changed_after_they_were_read_are_refused(tmp_path: Path) -> None:
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60)
    dataset = built(tmp_path)
    recipe = recipes.of(dataset)
    write_pose(tmp_path / "poses" / "a.pose", num_frames=60, rate=29)
    before = {p: p.read_bytes() for p in (dataset.root / "clips").rglob("*.tar")}
    recipes.run_resize(dataset, recipe)  # nothing is missing
    assert {p: p.read_bytes() for p in before} == before
    (tar,) = (p for p in before if pack.read_index(p)[0][0].key in {
        c.clip_id for c in dataset.read("clips", Clip) if c.source_file == "a.mp4"})  # fmt: skip
    tar.unlink()
    with pytest.raises(IncompleteDataset, match=r"the poses a\.pose changed since"):
        recipes.run_resize(dataset, recipe)
    assert not tar.exists()


def test_poses_of_a_copy_that_does_not_cross_are_told(tmp_path: Path) -> None:
    rows = "first.mp4,yes,4,14,frame,s1\n"
    one = in_part(tmp_path / "first", "first", rows=rows, pattern="null", points=None)
    two = in_part(tmp_path / "second", "second", rows=rows.replace("first", "second"),
                  pattern="null", points=3)  # fmt: skip
    dataset = merged_of(tmp_path, one, two)
    (found,) = [i for i in dataset.read("issues", Issue) if i.code == "K711"]
    assert found.message == (
        "second/second.mp4 holds the same bytes as first/first.mp4, and has poses, which that has not"
    )
