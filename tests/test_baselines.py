"""Baselines, on a dataset of moving squares that anybody could tell apart."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kslds import baselines, pack, shards
from kslds.baselines import Example, Settings, metrics, probe
from kslds.errors import (
    CorruptData,
    HubError,
    IncompleteDataset,
    KsldsError,
    MissingFile,
    SplitLeak,
    UnbalancedBooks,
    UsageError,
)
from kslds.manifest import Dataset, canonical_json, readable_json
from kslds.schema import Clip, Sign, SplitRow

SIDE, FRAMES = 64, 12
SIGNS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}
SIGNERS = {"s0": "train", "s1": "train", "s2": "train", "s3": "test", "s4": "test"}
EMOTIONS = ("angry", "calm", None)
STRIPES = {"angry": (220, 20, 20), "calm": (20, 20, 220)}


def paint(signer: int, sign: str, rep: int) -> list[bytes]:
    """JPEG frames: a square moves over a signer's own wallpaper, under a stripe of emotion."""
    own = np.random.default_rng(signer)
    wall = np.full((SIDE, SIDE, 3), own.integers(40, 200, 3), np.uint8)
    wall[own.integers(0, 40) :, :: own.integers(3, 9)] //= 2
    wall[:12] = STRIPES.get(EMOTIONS[rep], wall[:12])
    colour = own.integers(0, 256, 3)
    step = np.array(SIGNS[sign])
    start = np.random.default_rng([signer, rep]).integers(24, 32, 2) - 20 * step
    frames = []
    for i in range(FRAMES):
        frame = wall.copy()
        x, y = (int(v) for v in start + 3 * i * step)
        frame[max(y, 0) : y + 10, max(x, 0) : x + 10] = colour
        data = io.BytesIO()
        Image.fromarray(frame).save(data, "JPEG", quality=90)
        frames.append(data.getvalue())
    return frames


def clip_of(signer: str, sign: str, rep: int) -> Clip:
    key = f"{signer}_{sign}_{rep}"
    return Clip(
        clip_id=key, segment_id=f"seg_{key}", recording_id=f"rec_{signer}",
        source_file=f"{signer}.mp4", gloss_id=sign, emotion=EMOTIONS[rep], signer_id=signer,
        start_ms=0, end_ms=400, first_frame=0, last_frame=FRAMES - 1, first_pts=0,
        last_pts=FRAMES - 1, num_frames=FRAMES, fps_num=30, fps_den=1, width=SIDE, height=SIDE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Path:
    dataset = Dataset(tmp_path_factory.mktemp("squares"), create=True)
    clips = [clip_of(signer, sign, rep) for signer in SIGNERS for sign in SIGNS for rep in range(3)]
    dataset.write("clips", clips)
    kazakh = {"down": "төмен", "left": "сол", "right": "оң", "up": "жоғары"}
    dataset.write("signs", [Sign(gloss_id=k, kk=v) for k, v in kazakh.items()])
    rows = [SplitRow(split=side, unit="signer_id", value=s) for s, side in SIGNERS.items()]
    dataset.write("splits/signer", rows, record=SplitRow)
    with pack.writing(dataset.root / "clips" / "jpeg" / "all.tar") as writer:
        for clip in clips:
            signer, sign, rep = clip.clip_id.split("_")
            frames = paint(int(signer[1:]), sign, int(rep))
            writer.add(clip.clip_id, field="mjpeg", data=b"".join(frames))
            sizes = canonical_json({"frame_sizes": [len(f) for f in frames]})
            writer.add(clip.clip_id, field="json", data=sizes)
    options = shards.ShardOptions(formats=("webdataset",), encodings=("jpeg",))
    shards.shard(dataset, options=options)
    return dataset.root


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


# ------------------------------------------------------------------------ linear probe


PROBE = Settings(model="linear-probe")


@pytest.fixture(scope="module")
def probed(squares, tmp_path_factory):
    """One run of the probe: result, folder and calls of progress."""
    out, calls = tmp_path_factory.mktemp("probed"), []
    result = baselines.run(
        str(squares), settings=PROBE, out=out, progress=lambda *call: calls.append(call)
    )
    return result, out, calls


def test_the_probe_recognises_signs_of_signers_it_never_saw(squares, probed):
    result, out, calls = probed
    assert result.top1 >= 0.9
    assert result.chance == 0.25
    assert (result.n_train, result.n_test) == (36, 24)
    assert {signer: s.n for signer, s in result.per_signer.items()} == {"s3": 12, "s4": 12}
    assert ("features of test", 24, 24) in calls
    table = rows_of(out / "confusion.csv")
    assert table[0][1:] == [row[0] for row in table[1:]] == sorted(SIGNS)
    assert sum(int(n) for row in table[1:] for n in row[1:]) == 24
    predictions = rows_of(out / "predictions.csv")
    assert predictions[0] == ["key", "signer_id", "truth", "predicted"]
    right = sum(truth == guess for _, _, truth, guess in predictions[1:])
    assert right / 24 == result.top1
    document = json.loads((out / "result.json").read_bytes())
    index = json.loads((squares / "shards/jpeg/index.json").read_bytes())
    assert document["dataset_sha256"] == index["dataset_sha256"]
    assert document["settings"]["num_frames"] == 16
    assert document["run"]["versions"]["scikit-learn"]


def test_a_report_lies_in_the_dataset_and_is_the_same_each_time(squares, tmp_path, probed):
    copy = shutil.copytree(squares, tmp_path / "copy")
    result = baselines.run(str(copy), settings=PROBE)
    folder = copy / "reports" / "baselines" / "linear-probe-gloss"
    assert {Path(p) for p in result.files.values()} == set(folder.iterdir())
    for name in ("predictions.csv", "confusion.csv", "confusion.png"):
        assert (folder / name).read_bytes() == (probed[1] / name).read_bytes()
    documents = [json.loads((f / "result.json").read_bytes()) for f in (folder, probed[1])]
    assert documents[0].pop("run")
    assert documents[1].pop("run")
    assert documents[0] == documents[1]
    with pytest.raises(UsageError, match="--out"):
        baselines.run("hf://datasets/org/name", settings=PROBE)


def test_a_finished_report_is_not_made_again(squares, tmp_path, probed):
    copy = shutil.copytree(probed[1], tmp_path / "copy")
    calls = []

    def run(settings: Settings) -> baselines.Result:
        calls.clear()
        return baselines.run(
            str(squares), settings=settings, out=copy, progress=lambda *call: calls.append(call)
        )

    again = run(PROBE)
    assert not calls
    assert replace(again, files={}) == replace(probed[0], files={})
    assert run(replace(PROBE, num_frames=4)).settings["num_frames"] == 4
    assert calls
    (copy / "result.json").write_text('{"model": 1}')
    assert run(replace(PROBE, num_frames=4)).n_test == 24
    assert calls


def test_clips_without_the_label_of_the_task_are_counted(squares, tmp_path):
    settings = replace(PROBE, task="emotion", num_frames=4)
    result = baselines.run(str(squares), settings=settings, out=tmp_path)
    assert result.skipped == {"train": 12, "test": 8}
    assert result.n_train + result.skipped["train"] == 36
    assert result.n_test + result.skipped["test"] == 24
    assert set(result.classes) <= {"angry", "calm"}
    assert "  8 clips of 'test' have no emotion label and were skipped." in result.lines()


def test_motion_features_do_not_see_background_or_the_sign_of_contrast():
    def video(wall: int, square: int) -> np.ndarray:
        frames = np.full((8, 3, 112, 112), wall, np.uint8)
        for i in range(8):
            frames[i, :, 40:60, 10 + 9 * i : 30 + 9 * i] = square
        return frames

    dark, light = probe.features(video(200, 20)), probe.features(video(20, 200))
    assert float(dark @ light) > 0.99
    reverse = probe.features(video(200, 20)[::-1])
    assert float(dark @ reverse) < 0.5
    assert not probe.features(np.full((8, 3, 30, 70), 9, np.uint8)).any()


# ----------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "linear-prob"}, "Did you mean 'linear-probe'"),
        ({"model": "no_such_module:fit"}, "cannot be imported"),
        ({"model": "linear-probe", "task": "mood"}, "known are gloss, emotion"),
        ({"model": "vivit", "tiny": True}, "Add --from-scratch"),
        ({"model": "vivit", "from_scratch": True, "weights": "x/y"}, "exclude each other"),
        ({"model": "vivit", "from_scratch": True, "num_frames": 3}, "groups of 2"),
        ({"model": "vivit", "from_scratch": True, "device": "abacus"}, "'abacus' cannot be used"),
        ({"model": "linear-probe", "num_frames": 0}, "num_frames has to be above 0"),
        ({"model": "linear-probe", "num_frames": 1}, "at least 2 frames"),
        ({"model": "linear-probe", "from_scratch": True}, "no weights"),
        ({"model": "linear-probe", "seed": -1}, "seed has to be 0 or more"),
        ({"model": "linear-probe", "test_split": "train"}, "two different splits"),
        ({"model": "linear-probe", "test_split": "val"}, "has no split 'val'"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_reason(squares, tmp_path, settings, message):
    tiny = {"tiny": True} if settings.get("from_scratch") and "device" in settings else {}
    with pytest.raises(UsageError, match=message):
        baselines.run(str(squares), settings=Settings(**settings, **tiny), out=tmp_path)


def edit_index(squares: Path, tmp_path: Path, **splits: str) -> Path:
    """A copy of the dataset in which sides hold the shards of other sides."""
    copy = shutil.copytree(squares, tmp_path / "copy")
    path = copy / "shards" / "jpeg" / "index.json"
    index = json.loads(path.read_bytes())
    for side, source in splits.items():
        index["splits"][side] = index["splits"][source]
    path.write_bytes(readable_json(index))
    return copy


def test_a_signer_on_both_sides_stops_the_run_before_training(squares, tmp_path):
    leaky = edit_index(squares, tmp_path, test="train")
    with pytest.raises(SplitLeak, match="3 signers are in both 'train' and 'test': s0, s1, s2"):
        baselines.run(str(leaky), settings=PROBE, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_test_split_stops_the_run_before_training(squares, tmp_path):
    copy = shutil.copytree(squares, tmp_path / "copy")
    path = copy / "shards" / "jpeg" / "index.json"
    index = json.loads(path.read_bytes())
    index["splits"]["test"]["shards"] = []
    path.write_bytes(readable_json(index))
    with pytest.raises(IncompleteDataset, match="'test' has 0 clips"):
        baselines.run(str(copy), settings=PROBE, out=tmp_path / "out")


def test_a_model_from_outside_is_run_and_its_predictions_are_counted(
    squares, tmp_path, monkeypatch
):
    (tmp_path / "my_models.py").write_text(
        "from kslds.baselines import Outcome\n"
        "def constant(job):\n"
        "    return Outcome(predicted={e.key: 0 for e in job.test}, train_seconds=0)\n"
        "def forgetful(job):\n"
        "    return Outcome(predicted={e.key: 0 for e in job.test[1:]}, train_seconds=0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "out"
    result = baselines.run(str(squares), settings=Settings(model="my_models:constant"), out=out)
    assert result.top1 == result.chance == 0.25
    assert result.classes == tuple(sorted(SIGNS))
    assert [sum(column) for column in zip(*result.confusion, strict=True)] == [24, 0, 0, 0]
    with pytest.raises(UnbalancedBooks, match="23 clips; the split 'test' holds 24"):
        baselines.run(str(squares), settings=Settings(model="my_models:forgetful"), out=out)


# ------------------------------------------------------------------------------ metrics


def example(key: str, target: int, signer: str = "x") -> Example:
    return Example(key=key, signer_id=signer, target=target)


def test_measures_by_hand():
    train = [example("t0", 0), example("t1", 0), example("t2", 1), example("t3", 3)]
    test = [example("a", 0, "p"), example("b", 0, "p"), example("c", 1, "q"), example("d", 2, "q")]
    measured = metrics.measure(
        {"a": 0, "b": 1, "c": 1, "d": 0}, train=train, test=test, classes=["k0", "k1", "k2", "k3"]
    )
    assert measured["top1"] == 0.5
    assert measured["chance"] == 0.5
    # F1: k0 2·1/(2+1+1) = 1/2, k1 2·1/(2+1+0) = 2/3, k2 and k3 have no right prediction.
    assert measured["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 4)
    assert measured["unseen_classes"] == {"k2": 1}
    assert measured["classes"] == ("k0", "k1", "k2")
    assert measured["confusion"] == ((1, 1, 0), (0, 1, 0), (1, 0, 0))
    assert {s: (v.accuracy, v.n) for s, v in measured["per_signer"].items()} == {
        "p": (0.5, 2),
        "q": (0.5, 2),
    }


def result_with(classes: int) -> baselines.Result:
    names = tuple(f"k{i:03d}" for i in range(classes))
    confusion = tuple(tuple(int(i == j) for j in range(classes)) for i in range(classes))
    return baselines.Result(
        model="vivit", task="gloss", top1=0.9, macro_f1=0.91, chance=0.1, per_signer={},
        classes=names, confusion=confusion, n_train=1, n_test=classes, skipped={},
        unseen_classes={"k001": 2}, paper=baselines.DEFAULTS["vivit"].figures["gloss"],
        dataset_sha256="0" * 64, settings={},
    )  # fmt: skip


@pytest.mark.parametrize("classes", [2, 31, 120])
def test_the_picture_draws_any_number_of_classes_and_any_script(classes):
    # Chinese is not in the font, "$" opens a formula that never ends.
    names = {"k000": "鱼", "k001": "сәлем $"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = metrics.confusion_picture(result_with(classes), names=names)
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG"
    assert min(picture.size) >= 400
    assert len(picture.getcolors(1 << 24)) > 10


def test_the_papers_figure_stands_beside_ones_own():
    result = result_with(3)
    assert ("top-1", "90.00 %", "91.60 %") in result.rows()
    assert ("macro F1", "0.9100", "0.9173") in result.rows()
    text = "\n".join(result.lines())
    assert "KSL-Emo: 91.60 %" in text
    assert "2 test clips are of classes that training never saw: k001" in text


# --------------------------------------------------------------------------- transformers

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from kslds.baselines import video_models  # noqa: E402

TINY = Settings(
    model="timesformer", from_scratch=True, tiny=True, num_frames=2, epochs=2, batch_size=8,
    device="cpu", checkpoint_steps=2,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def weights_of(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("model", ["timesformer", "videomae-base", "videomae-small", "vivit"])
def test_every_transformer_trains_from_scratch(squares, tmp_path, model):
    before = torch.random.get_rng_state()
    settings = replace(TINY, model=model, epochs=1, batch_size=18)
    result = baselines.run(str(squares), settings=settings, out=tmp_path)
    assert sum(map(sum, result.confusion)) == 24
    assert result.settings["learning_rate"] == 1e-3
    assert result.facts["parameters"] > 100_000
    assert result.run["device"] == "cpu"
    assert result.paper is None
    assert torch.equal(before, torch.random.get_rng_state())
    config = json.loads((tmp_path / "model" / "config.json").read_bytes())
    assert config["id2label"] == {str(i): name for i, name in enumerate(sorted(SIGNS))}


def test_defaults_are_the_papers():
    expected = {"timesformer": (8, 4), "videomae-base": (16, 8), "videomae-small": (16, 8),
                "vivit": (32, 2)}  # fmt: skip
    for model, (frames, batch) in expected.items():
        _, filled = baselines._resolve(Settings(model=model))
        assert (filled.num_frames, filled.batch_size) == (frames, batch)
        assert (filled.epochs, filled.learning_rate) == (10, 5e-5)
        assert filled.weights


def test_training_from_scratch_learns_what_is_easy_to_see(squares, tmp_path):
    settings = replace(TINY, task="emotion", epochs=6, batch_size=6, checkpoint_steps=1000)
    result = baselines.run(str(squares), settings=settings, out=tmp_path)
    assert result.chance == 0.5
    assert result.top1 >= 0.9


class Stop(Exception):
    pass


def stop_at(step: int):
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == step:
            raise Stop

    return progress


@pytest.mark.parametrize(
    ("step", "resumed", "workers"), [(1, 0, 0), (3, 2, 0), (5, 4, 0), (7, 6, 2)]
)
def test_an_interrupted_run_ends_with_the_same_weights(
    squares, tmp_path, whole_run, step, resumed, workers
):
    # 36 clips in batches of 8 are 5 steps an epoch; checkpoints come after 2, 4, 5, 6, 8, 10,
    # that of step 5 once the epoch is over.
    with pytest.raises(Stop):
        baselines.run(str(squares), settings=TINY, out=tmp_path, progress=stop_at(step))
    result = baselines.run(str(squares), settings=replace(TINY, workers=workers), out=tmp_path)
    assert result.run["resumed_from_step"] == resumed
    assert weights_of(tmp_path) == weights_of(whole_run)


@pytest.fixture(scope="module")
def whole_run(squares, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    baselines.run(str(squares), settings=TINY, out=out)
    return out


def test_unlabelled_clips_keep_an_interrupted_run_in_step(squares, tmp_path):
    settings = replace(TINY, task="emotion", batch_size=5, epochs=1)
    baselines.run(str(squares), settings=settings, out=tmp_path / "whole")
    with pytest.raises(Stop):
        baselines.run(str(squares), settings=settings, out=tmp_path, progress=stop_at(3))
    result = baselines.run(str(squares), settings=settings, out=tmp_path)
    assert result.run["resumed_from_step"] == 2
    assert weights_of(tmp_path) == weights_of(tmp_path / "whole")


def test_a_run_stopped_after_training_is_not_trained_again(squares, tmp_path, whole_run):
    copy = shutil.copytree(whole_run, tmp_path / "copy")
    (copy / "result.json").unlink()
    stages = []
    result = baselines.run(
        str(squares), settings=TINY, out=copy, progress=lambda stage, *_: stages.append(stage)
    )
    assert result.run["resumed_from_step"] == 10
    assert "train" not in stages
    assert weights_of(copy) == weights_of(whole_run)


def test_a_checkpoint_of_another_run_is_refused(squares, tmp_path, whole_run):
    copy = shutil.copytree(whole_run, tmp_path / "copy")
    with pytest.raises(UsageError, match=r"epochs is 2 there and 3 here.*Delete .*checkpoint"):
        baselines.run(str(squares), settings=replace(TINY, epochs=3), out=copy)


def test_a_damaged_checkpoint_is_named(squares, tmp_path, whole_run):
    copy = shutil.copytree(whole_run, tmp_path / "copy")
    (copy / "result.json").unlink()
    path = copy / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CorruptData, match=r"checkpoint.safetensors is damaged.*Delete"):
        baselines.run(str(squares), settings=TINY, out=copy)


def test_training_that_comes_apart_says_so(squares, tmp_path):
    settings = replace(TINY, learning_rate=1e30)
    with pytest.raises(KsldsError, match=r"came apart.*Lower --learning-rate"):
        baselines.run(str(squares), settings=settings, out=tmp_path)


# ------------------------------------------------------------------------------ weights


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    """A TimeSformer with as many classes as the squares, and its image processor."""
    folder = tmp_path_factory.mktemp("pretrained")
    config = transformers.TimesformerConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16,
        image_size=32, patch_size=16, num_frames=2, num_labels=len(SIGNS),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        with video_models._quiet():
            transformers.TimesformerForVideoClassification(config).save_pretrained(folder)
    processor = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def with_weights(folder: Path) -> Settings:
    return Settings(
        model="timesformer", weights=str(folder), num_frames=2, epochs=1, batch_size=36,
        learning_rate=1e-9, device="cpu",
    )  # fmt: skip


def test_pretrained_weights_are_used_and_the_head_is_not(squares, tmp_path, pretrained):
    from safetensors.torch import load_file

    result = baselines.run(str(squares), settings=with_weights(pretrained), out=tmp_path)
    before = load_file(pretrained / "model.safetensors")
    after = load_file(tmp_path / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        kept = torch.allclose(tensor, after[name], atol=1e-6)
        assert kept == (name != "classifier.weight"), name
    assert result.facts["normalisation"]["mean"] == (0.1, 0.2, 0.3)
    assert len(result.facts["weights_sha256"]) == 64
    assert str(pretrained) not in (tmp_path / "result.json").read_text()


def test_a_trained_model_serves_as_weights(squares, tmp_path, whole_run):
    settings = replace(with_weights(whole_run / "model"), task="emotion")
    result = baselines.run(str(squares), settings=settings, out=tmp_path)
    normalisation = result.facts["normalisation"]
    assert normalisation["mean"] == pytest.approx((0.45,) * 3)
    assert normalisation["scale"] == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    ("processor", "black", "white"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, -1, 1),
        ({"do_normalize": False}, 0, 1),
        ({"do_rescale": False, "do_normalize": False}, 0, 255),
        ({"image_processor_type": "VivitImageProcessor", "do_normalize": False}, -1, 1),
        (
            {"image_processor_type": "ViViTImageProcessor", "rescale_factor": 1 / 127.5,
             "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, -3, 1,
        ),
    ],
)  # fmt: skip
def test_pixels_are_scaled_as_the_image_processor_says(tmp_path, processor, black, white):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    default = video_models.FAMILIES["timesformer"].normalisation
    n = video_models._normalisation(tmp_path, default=default)
    for pixel, expected in ((0, black), (255, white)):
        for mean, std in zip(n.mean, n.std, strict=True):
            assert (pixel * n.scale - n.offset - mean) / std == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "processor", ["[1]", '{"image_std": [1, 0, 1]}', '{"image_mean": ["a", 1, 1]}', "{"]
)
def test_a_broken_image_processor_is_named(tmp_path, processor):
    (tmp_path / "preprocessor_config.json").write_text(processor)
    with pytest.raises(CorruptData, match=r"preprocessor_config\.json"):
        video_models._normalisation(tmp_path, default=video_models.FAMILIES["vivit"].normalisation)


def test_weights_of_another_kind_are_refused(squares, tmp_path, pretrained):
    settings = with_weights(pretrained)
    with pytest.raises(UsageError, match="type 'timesformer'; expected 'vivit'"):
        baselines.run(str(squares), settings=replace(settings, model="vivit"), out=tmp_path)
    with pytest.raises(UsageError, match="take 2 frames; num_frames is 4"):
        baselines.run(str(squares), settings=replace(settings, num_frames=4), out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_that_lack_parts_are_refused(squares, tmp_path, pretrained):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(pretrained, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    name = "timesformer.layernorm.weight"
    del tensors[name]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(CorruptData, match=f"lack 1 tensors of the model.*{name}"):
        baselines.run(str(squares), settings=with_weights(copy), out=tmp_path / "out")
    (copy / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(CorruptData, match="cannot be read"):
        baselines.run(str(squares), settings=with_weights(copy), out=tmp_path / "out")


def test_pickled_weights_are_never_read(tmp_path, pretrained):
    copy = shutil.copytree(pretrained, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(MissingFile, match=r"pickled weights.*refs/pr"):
        video_models.weights_folder(str(copy))


def test_weights_that_are_not_there_say_what_to_do(tmp_path, monkeypatch):
    from huggingface_hub import constants

    with pytest.raises(MissingFile, match=r"no folder '\./nowhere'"):
        video_models.weights_folder("./nowhere")
    with pytest.raises(UsageError, match="not a name on the Hub"):
        video_models.weights_folder("org/na me")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HubError, match=r"hf download org/name --revision v1 .*--weights"):
        video_models.weights_folder("org/name@v1")


def test_without_torch_the_probe_runs_and_the_rest_names_the_extra(squares, tmp_path):
    script = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: (\n"
        "    None if name.split('.')[0] == 'torch' else find(name, *rest))\n"
        "from kslds import baselines, errors\n"
        "run = lambda model: baselines.run(sys.argv[1], out=__import__('pathlib').Path("
        "sys.argv[2]), settings=baselines.Settings(model=model, num_frames=8))\n"
        "assert run('linear-probe').top1 >= 0.9\n"
        "try:\n"
        "    run('vivit')\n"
        "except errors.MissingExtra as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(squares), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'pip install "kslds[train]"' in done.stdout
