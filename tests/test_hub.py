"""Publishing, against a Hub on this machine, with the unmodified client in a process of its own.

`huggingface_hub` reads its endpoint when it is imported; hence the processes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import yaml

from kslds import pack, schema, shards
from kslds import release as releases
from kslds.errors import ConsentError, CorruptData, IncompleteDataset, UsageError
from kslds.hub import _check_names, _redacted
from kslds.manifest import Dataset
from tests import hub_server

ROOT = Path(__file__).parent.parent
REPO = "org/signs"
SECRET_FILE = "Айгерим Тестова IMG_0042.MOV"

PUBLISH = """
import dataclasses, json, os, sys, traceback
import pyarrow.dataset
from kslds import hub
from kslds.errors import KsldsError
from kslds.manifest import Dataset

def publish(folder, options):
    hub.time.sleep = lambda seconds: None  # between attempts
    try:
        done = hub.publish(Dataset(folder), **options)
        print(json.dumps(dataclasses.asdict(done)), flush=True)
    except KsldsError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
        traceback.print_exc()

if len(sys.argv) > 1:
    publish(sys.argv[1], json.loads(sys.argv[2]))
else:  # many times: each in a process that has everything imported already
    for line in sys.stdin:
        folder, options, token = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.pop("HF_TOKEN", None)
            os.environ.update({"HF_TOKEN": token} if token else {})
            publish(folder, options)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print(json.dumps({"error": "crash", "message": "see stderr"}), flush=True)
"""


@pytest.fixture(scope="session")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three frames of 32 x 32."""
    path = tmp_path_factory.mktemp("mp4") / "clip.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=32x32:rate=10", "-frames:v", "3"]
    coding = ["-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([ffmpeg, "-loglevel", "error", *source, *coding], check=True)
    return path.read_bytes()


CLIPS_EACH = 4


def build(
    root: Path,
    mp4: bytes,
    *,
    signers: tuple[str, ...] = ("subject_01", "subject_02", "subject_03"),
    consent: dict[str, Any] | None = None,
    licence: str | None = "CC-BY-SA-4.0",
    encodings: tuple[str, ...] = ("h264",),
    formats: tuple[str, ...] = ("webdataset", "parquet"),
    sides: tuple[str, ...] = ("train", "test"),
) -> Dataset:
    """A dataset as the stages before publishing leave it.

    The last signer is alone on the second side, and shows no emotion there.
    """
    dataset = Dataset(root, create=True)
    clips, recordings, rows = [], [], []
    for s, signer in enumerate(signers):
        recording = f"rec_{signer}"
        recordings.append(_recording(recording, signer))
        rows.append(
            schema.SplitRow(split=sides[signer == signers[-1]], unit="signer_id", value=signer)
        )
        mine = [_clip(signer, recording, number) for number in range(CLIPS_EACH)]
        if signer == signers[-1]:
            mine = [dataclasses.replace(clip, emotion=None) for clip in mine]
        clips += mine
        for encoding in encodings:
            with pack.writing(root / "clips" / encoding / f"{recording}.tar") as writer:
                for clip in mine:
                    facts = json.dumps({"frame_sizes": [7, 7, 7 + s]}).encode()
                    video = mp4 if encoding == "h264" else b"frames" * 10
                    field = {"h264": "mp4", "jpeg": "mjpeg"}[encoding]
                    writer.add(clip.clip_id, field=field, data=video)
                    writer.add(clip.clip_id, field="json", data=facts)
    dataset.write("clips", clips)
    dataset.write("recordings", recordings)
    dataset.write("splits/signer", rows, record=schema.SplitRow)
    dataset.write(
        "signs", [schema.Sign(gloss_id="mother", kk="ана", ru="мама | мать", en="mother")]
    )
    everybody = {name: {"consent_scope": "publication"} for name in signers} | (consent or {})
    dataset.write(
        "signers", [schema.Signer(signer_id=n, **facts) for n, facts in everybody.items()]
    )
    lost = [
        schema.Dropped(
            stage="trim",
            table="clips",
            key=f"{SECRET_FILE}:{line}",
            code="K113",
            reason=SECRET_FILE,
        )
        for line in (3, 4)
    ]
    dataset.close_books("trim", rows_in=len(clips) + 2, rows_out=len(clips), dropped=lost)
    if licence is not None:
        dataset.update_provenance(licence=licence)
    (root / "kslds.toml").write_text('media = "/home/somebody/media"\n')
    options = shards.ShardOptions(formats=formats, encodings=encodings, max_mb=1)
    shards.shard(dataset, options=options, name="Қазақ *signs*")
    return dataset


def _recording(recording: str, signer: str) -> schema.Recording:
    facts = {f.name: f.type for f in dataclasses.fields(schema.Recording)}
    numbers = {name: 1 for name, kind in facts.items() if "[int," in kind}
    return schema.Recording(
        recording_id=recording,
        source_file=SECRET_FILE,
        content_sha256="0" * 64,
        container="mov",
        codec="h264",
        is_vfr=False,
        has_audio=False,
        signer_id=signer,
        session_id="session_of_14_may",
        **numbers,
    )


def _clip(signer: str, recording: str, number: int) -> schema.Clip:
    return schema.Clip(
        clip_id=f"{signer}_{number}",
        segment_id=f"seg_{signer}_{number}",
        recording_id=recording,
        source_file=SECRET_FILE,
        gloss_id=["mother", "father"][number % 2],
        emotion="joy" if number == CLIPS_EACH - 1 else None,
        signer_id=signer,
        start_ms=1000 * number,
        end_ms=1000 * number + 900,
        first_frame=10 * number,
        last_frame=10 * number + 2,
        first_pts=0,
        last_pts=2,
        num_frames=3,
        fps_num=10,
        fps_den=1,
        width=32,
        height=32,
        frames_sha256=hashlib.sha256(f"{signer}{number}".encode()).hexdigest(),
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, mp4: bytes) -> Path:
    root = tmp_path_factory.mktemp("built") / "dataset"
    build(root, mp4)
    return root


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may change."""
    return Path(shutil.copytree(built, tmp_path / "dataset"))


@pytest.fixture(scope="module")
def running_hub() -> Iterator[hub_server.Hub]:
    with hub_server.serving() as hub:
        yield hub


@pytest.fixture
def hub(running_hub: hub_server.Hub) -> hub_server.Hub:
    """A Hub without any repository."""
    running_hub.reset()
    return running_hub


def environment(hub: hub_server.Hub, home: Path, **options: Any) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    return {
        **inherited,
        **hub.environment(**options),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": str(ROOT),
    }


class Client:
    """A process that publishes when it is told to."""

    def __init__(self, hub: hub_server.Hub, home: Path) -> None:
        self.log = (home / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PUBLISH],
            env=environment(hub, home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def try_to_publish(
        self, dataset: Path, *, token: str | None = hub_server.OWNER, **options: Any
    ) -> dict[str, Any]:
        """What `kslds.hub.publish` returned, or the error it raised."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = [str(dataset), {"repo": REPO, **options}, token]
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        self.log.seek(0)
        said = self.log.read()
        assert hub_server.OWNER not in answer + said
        result: dict[str, Any] = json.loads(answer)
        assert result.get("error") != "crash", said
        return result

    def publish(self, dataset: Path, **options: Any) -> dict[str, Any]:
        """The same, where it has to succeed."""
        done = self.try_to_publish(dataset, **options)
        assert "error" not in done, done["message"]
        return done

    def close(self) -> None:
        self.process.communicate()
        self.log.close()


@pytest.fixture(scope="module")
def client(
    running_hub: hub_server.Hub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    client = Client(running_hub, tmp_path_factory.mktemp("client"))
    yield client
    client.close()


def run(hub: hub_server.Hub, home: Path, script: str, *arguments: str, **options: Any) -> Any:
    """What a script, in a process of its own, printed last."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment(hub, home, **options),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def manifest_of(hub: hub_server.Hub) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(hub.repos[REPO].head.files["kslds.json"].data)
    return document


def front_matter(text: str) -> dict[str, Any]:
    block = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert block
    document: dict[str, Any] = yaml.safe_load(block[1])
    return document


def rendered(dataset: Dataset, **options: Any) -> str:
    return releases.card(dataset, repo=REPO, tag="v1", **options)


# the whole way


@pytest.mark.parametrize("xet", [False, True], ids=["lfs", "xet"])
def test_publishes_behind_a_gate_and_commits_the_manifest_last(
    hub: hub_server.Hub, built: Path, tmp_path: Path, xet: bool
) -> None:
    arguments = [str(built), json.dumps({"repo": REPO, "tag": "v1.0"})]
    done = run(hub, tmp_path, PUBLISH, *arguments, xet=xet)
    assert "error" not in done, done["message"]
    repo = hub.repos[REPO]
    assert done["revision"] == repo.head.oid == repo.tags["v1.0"]
    assert done["url"] == f"{hub.url}/datasets/{REPO}/tree/v1.0"
    assert done["changed"] is True

    gate = hub.requests.index(f"PUT /api/datasets/{REPO}/settings")
    sent = [i for i, line in enumerate(hub.requests) if "/preupload/" in line or "/_lfs/" in line]
    assert repo.gated == "manual"
    assert gate < min(sent)

    *earlier, last = repo.history
    declared = {"kslds.json", "README.md", "shards/h264/index.json", "parquet/index.json"}
    assert declared <= last.files.keys()
    assert not any(declared & commit.files.keys() for commit in earlier)

    listed = {file["path"]: file for file in manifest_of(hub)["files"]}
    assert len(listed) == done["files"]
    assert listed.keys() == last.files.keys() - {"kslds.json", ".gitattributes"}
    for path, file in listed.items():
        data = hub.content(last.files[path])
        assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        if path != "README.md":
            assert data == (built / path).read_bytes()
    assert manifest_of(hub)["splits"] == {
        "train": {"samples": 8, "signers": ["subject_01", "subject_02"]},
        "test": {"samples": 4, "signers": ["subject_03"]},
    }


def test_publishing_again_changes_nothing(hub: hub_server.Hub, client: Client, built: Path) -> None:
    first = client.publish(built)
    hub.requests.clear()
    assert client.publish(built) == {**first, "changed": False}
    assert not [line for line in hub.requests if "/preupload/" in line or "/commit/" in line]

    # Stopped after the last commit and before the tag: the tag is all that is missing.
    hub.repos[REPO].tags.clear()
    commits = len(hub.repos[REPO].commits)
    assert client.publish(built) == first
    assert len(hub.repos[REPO].commits) == commits


def test_default_tag_is_the_hash_of_the_samples(
    hub: hub_server.Hub, client: Client, built: Path
) -> None:
    index = json.loads((built / "shards/h264/index.json").read_bytes())
    assert client.publish(built)["tag"] == f"v{index['dataset_sha256'][:8]}"


def test_next_release_deletes_what_it_no_longer_holds(
    hub: hub_server.Hub, client: Client, built: Path, tmp_path: Path, mp4: bytes
) -> None:
    client.publish(built, tag="v1")
    repo = hub.repos[REPO]
    by_hand = dict.fromkeys(["LICENSE", "shards/jpeg/train-00000.tar"], hub_server.regular(b"x"))
    repo.commit("by hand", {**repo.head.files, **by_hand})
    build(tmp_path / "next", mp4, signers=("subject_02", "subject_03"))
    client.publish(tmp_path / "next", tag="v2")
    assert "shards/jpeg/train-00000.tar" not in repo.head.files
    assert "LICENSE" in repo.head.files
    assert manifest_of(hub)["splits"]["train"]["signers"] == ["subject_02"]
    shard = hub.content(repo.head.files["shards/h264/train-00000.tar"])
    assert b"subject_02_0" in shard
    assert b"subject_01" not in shard
    older = hub.content(repo.find("v1").files["shards/h264/train-00000.tar"])
    assert b"subject_01" in older


def test_what_must_stay_at_home_stays(hub: hub_server.Hub, client: Client, folder: Path) -> None:
    (folder / "shards/h264/train-00009.tar").write_bytes(b"left by an older run")
    (folder / "shards/h264/.train-00000.tar.7.tmp").write_bytes(b"left by a killed run")
    (folder / "parquet/notes.txt").write_text("subject_01 is Айгерим")
    client.publish(folder)
    files = hub.repos[REPO].head.files
    assert {path.split("/")[0] for path in files} == {
        ".gitattributes", "README.md", "kslds.json", "parquet", "shards"
    }  # fmt: skip
    assert not {path for path in files if "00009" in path or "tmp" in path or "notes" in path}


# interruptions and faults


@pytest.mark.parametrize("xet", [False, True], ids=["lfs", "xet"])
def test_killed_after_the_first_commit_then_finished(
    hub: hub_server.Hub, built: Path, tmp_path: Path, xet: bool
) -> None:
    arguments = [str(built), json.dumps({"repo": REPO, "tag": "v1"})]
    running = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, *arguments], env=environment(hub, tmp_path, xet=xet)
    )
    hub.after_commit = lambda _: running.send_signal(signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    hub.after_commit = None
    repo = hub.repos[REPO]
    assert "shards/h264/train-00000.tar" in repo.head.files
    assert not {"kslds.json", "README.md"} & repo.head.files.keys()
    assert repo.tags == {}

    done = run(hub, tmp_path, PUBLISH, *arguments, xet=xet)
    assert done["revision"] == repo.tags["v1"] == repo.head.oid
    assert [commit.title for commit in repo.history] == [
        "initial commit",
        "Data of release v1: shards",
        "Data of release v1: parquet",
        "Release v1",
    ]
    uploads = [line for line in hub.requests if line.startswith("PUT /_lfs/")]
    assert len(uploads) == len(set(uploads)) == (0 if xet else 6)


def test_server_gone_after_the_first_commit_then_back(
    hub: hub_server.Hub, client: Client, built: Path
) -> None:
    hub.after_commit = lambda _: hub.stop()
    refused = client.try_to_publish(built)
    assert refused["error"] == "HubError"
    assert "Run the command again" in refused["message"]
    hub.after_commit = None
    hub.start()
    assert client.publish(built)["changed"] is True


@pytest.mark.parametrize("status", [500, 503, None], ids=["500", "503", "dropped"])
def test_passing_faults_are_waited_out(
    hub: hub_server.Hub, client: Client, built: Path, status: int | None
) -> None:
    for place in (r"POST /api/repos/create", r"PUT .*/settings", r"GET .*/refs", r"POST .*/tag/"):
        hub.fail(place, times=2, status=status)
    hub.fail(r"GET .*/tree/", status=status)
    client.publish(built, tag="v1")
    assert "v1" in hub.repos[REPO].tags
    assert not [fault for fault in hub.faults if fault.times]


@pytest.mark.parametrize("status", [500, None], ids=["500", "dropped"])
def test_lasting_fault_names_the_next_step(
    hub: hub_server.Hub, client: Client, built: Path, status: int | None
) -> None:
    hub.fail(r"POST .*/commit/", times=99, status=status)
    refused = client.try_to_publish(built)
    assert refused["error"] == "HubError"
    assert refused["message"].startswith(f"uploading shards to {REPO} failed")
    assert "Run the command again" in refused["message"]
    assert hub.repos[REPO].tags == {}


def test_commit_by_somebody_else_in_between(
    hub: hub_server.Hub, client: Client, built: Path
) -> None:
    def meddle(repo: hub_server.Repo) -> None:
        if len(repo.commits) == 2:
            repo.commit("mine", {**repo.head.files, "notes.txt": hub_server.regular(b"hello")})

    hub.after_commit = meddle
    refused = client.try_to_publish(built, tag="v1")
    assert refused["error"] == "HubError"
    assert "Somebody else changed the repository" in refused["message"]
    assert "kslds.json" not in hub.repos[REPO].head.files
    assert client.publish(built, tag="v1")["changed"] is True
    assert "notes.txt" in hub.repos[REPO].head.files


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("shards/h264/train-00000.tar", "SHA-256"),
        ("parquet/test-00000.parquet", "missing"),
        ("kslds.json", "other bytes"),
        ("README.md", "bytes instead of"),
        ("shards/h264/train-00000.index.parquet", "other bytes"),
        ("shards/h264/left.tar", "no part of the release"),
    ],
)
def test_read_back_finds_what_differs_and_withholds_the_tag(
    hub: hub_server.Hub, client: Client, built: Path, path: str, what: str
) -> None:
    def damage(repo: hub_server.Repo) -> None:
        files = repo.head.files
        if "kslds.json" not in files:
            return
        entry = files.get(path, files["README.md"])
        if what == "missing":
            del files[path]
        elif what == "SHA-256":
            files[path] = hub_server.Entry(oid=entry.oid, size=entry.size, lfs="0" * 64)
        elif what == "bytes instead of":
            files[path] = hub_server.regular(entry.data + b"\n")
        elif what == "no part of the release":
            files[path] = entry
        elif entry.lfs:
            hub.objects[entry.lfs] = hub.objects[entry.lfs][::-1]
        else:
            files[path] = hub_server.regular(entry.data.replace(b"samples", b"selpmas"))

    hub.after_commit = damage
    refused = client.try_to_publish(built, tag="v1")
    assert refused["error"] == "HubError"
    assert path in refused["message"]
    assert what in refused["message"]
    assert hub.repos[REPO].tags == {}


def test_tag_of_another_release_is_not_moved(
    hub: hub_server.Hub, client: Client, built: Path
) -> None:
    client.publish(built, tag="v1")
    before = hub.repos[REPO].tags["v1"]
    hub.repos[REPO].tags["v2"] = hub.repos[REPO].history[0].oid
    refused = client.try_to_publish(built, tag="v2")
    assert refused["error"] == "HubError"
    assert "names another release" in refused["message"]
    assert "--tag" in refused["message"]
    assert hub.repos[REPO].tags == {"v1": before, "v2": hub.repos[REPO].history[0].oid}


# who may


@pytest.mark.parametrize(
    ("token", "hint"),
    [(None, "hf auth login"), ("hf_expired_token", "hf auth login"),
     (hub_server.STRANGER, "use one with write access")],
    ids=["none", "bad", "stranger"],
)  # fmt: skip
def test_without_rights(
    hub: hub_server.Hub, client: Client, built: Path, token: str | None, hint: str
) -> None:
    refused = client.try_to_publish(built, token=token)
    assert refused["error"] == "HubError"
    assert hint in refused["message"]
    assert (token or "hf_") not in refused["message"].replace("HF_TOKEN", "")
    assert hub.repos == {}


@pytest.mark.parametrize(("gated", "setting"), [("auto", "auto"), ("none", False), (None, False)])
def test_gate_is_what_was_asked_for(
    hub: hub_server.Hub, client: Client, built: Path, gated: str | None, setting: str | bool
) -> None:
    client.publish(built, gated=gated, private=True)
    assert hub.repos[REPO].gated == setting
    assert hub.repos[REPO].private
    card = front_matter(hub.repos[REPO].head.files["README.md"].data.decode())
    assert ("extra_gated_prompt" in card) == bool(setting)


def test_errors_do_not_repeat_secrets() -> None:
    error = ValueError("token hf_abcDEF at https://cdn.example/a/b?X-Amz-Signature=12ab refused")
    assert _redacted(error) == "token *** at https://cdn.example/a/b refused"


def test_nothing_is_uploaded_where_the_gate_stays_open(
    hub: hub_server.Hub, client: Client, built: Path
) -> None:
    repo = hub_server.Repo(id=REPO)
    repo.commit("initial commit", {})
    hub.repos[REPO] = repo
    # The settings are accepted, and not kept.
    hub.fail(r"PUT .*/settings", status=204)
    refused = client.try_to_publish(built)
    assert refused["error"] == "HubError"
    assert "Nothing was uploaded" in refused["message"]
    assert repo.head.files == {}


def test_without_consent_nothing_is_sent(
    hub: hub_server.Hub, client: Client, tmp_path: Path, mp4: bytes
) -> None:
    build(tmp_path / "dataset", mp4, consent={"subject_02": {"consent_scope": "research"}})
    refused = client.try_to_publish(tmp_path / "dataset")
    assert refused["error"] == "ConsentError"
    assert "subject_02: research only" in refused["message"]
    assert hub.requests == []


@pytest.mark.parametrize(
    ("consent", "told"),
    [
        ({"consent_scope": None}, "subject_02: none recorded"),
        ({"consent_scope": "internal"}, "subject_02: internal only"),
        ({"consent_scope": "publication", "consent_withdrawn": True}, "subject_02: withdrawn"),
    ],
)
def test_consent(tmp_path: Path, mp4: bytes, consent: dict[str, Any], told: str) -> None:
    dataset = build(tmp_path / "dataset", mp4, consent={"subject_02": consent})
    with pytest.raises(ConsentError, match=re.escape(told)) as caught:
        releases.check_consent(dataset, releases.read_release(dataset))
    assert "consent_scope" in str(caught.value)
    assert "subject_01" not in str(caught.value)


def test_consent_of_signers_that_nobody_listed(folder: Path) -> None:
    dataset = Dataset(folder)
    dataset.write("signers", [])
    with pytest.raises(ConsentError, match="3 of 3 signers"):
        releases.check_consent(dataset, releases.read_release(dataset))


def test_consent_is_asked_only_of_those_who_are_in_the_shards(tmp_path: Path, mp4: bytes) -> None:
    dataset = build(tmp_path / "dataset", mp4)
    clip = _clip("subject_99", "rec_subject_99", 0)
    dataset.write("clips", [*dataset.read("clips", schema.Clip), clip])
    releases.check_consent(dataset, releases.read_release(dataset))


# what is on disk


def test_shards_older_than_the_tables(folder: Path) -> None:
    dataset = Dataset(folder)
    clips = dataset.read("clips", schema.Clip)
    dataset.write("clips", [clip for clip in clips if clip.signer_id != "subject_01"])
    with pytest.raises(IncompleteDataset, match=r"older than the tables: 4 clip.*kslds shard"):
        releases.read_release(dataset)


@pytest.mark.parametrize(
    ("path", "error", "told"),
    [
        ("shards/h264/index.json", IncompleteDataset, "no finished shards"),
        ("shards/h264/train-00000.tar", IncompleteDataset, "train-00000.tar is missing"),
        ("shards/h264/test-00000.index.parquet", IncompleteDataset, "is missing"),
        ("parquet/test-00000.parquet", IncompleteDataset, "test-00000.parquet is missing"),
    ],
)
def test_missing_files(folder: Path, path: str, error: type[Exception], told: str) -> None:
    (folder / path).unlink()
    with pytest.raises(error, match=told):
        releases.read_release(Dataset(folder))


@pytest.mark.parametrize(
    "path", ["shards/h264/train-00000.tar", "parquet/train-00000.parquet",
             "shards/h264/test-00000.index.parquet"],
)  # fmt: skip
def test_changed_bytes(folder: Path, path: str) -> None:
    dataset = Dataset(folder)
    release = releases.read_release(dataset)
    data = bytearray((folder / path).read_bytes())
    data[700] ^= 1
    (folder / path).write_bytes(data)
    with pytest.raises(CorruptData, match=re.escape(path)):
        releases.check_files(dataset, release)


def test_index_that_leads_out_of_the_dataset(folder: Path) -> None:
    path = folder / "shards/h264/index.json"
    path.write_text(path.read_text().replace("train-00000.tar", "../../../train-00000.tar"))
    with pytest.raises(CorruptData, match="not the name of a shard"):
        releases.read_release(Dataset(folder))


def test_licence_is_required(tmp_path: Path, mp4: bytes) -> None:
    dataset = build(tmp_path / "dataset", mp4, licence=None)
    with pytest.raises(UsageError, match="licence ="):
        rendered(dataset)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"repo": "signs"}, "org/name"),
        ({"repo": "a/b/c"}, "org/name"),
        ({"repo": "org/../up"}, "org/name"),
        ({"repo": "org/signs.git"}, "org/name"),
        ({"tag": "v 1"}, "name of a release"),
        ({"tag": "refs/heads/main"}, "name of a release"),
        ({"gated": "yes"}, "manual"),
        ({"language": ("kazakh",)}, "ISO 639"),
    ],
)
def test_names_are_checked_first(options: dict[str, Any], told: str) -> None:
    usual: dict[str, Any] = {"repo": REPO, "tag": None, "gated": "manual", "language": ("sgn",)}
    with pytest.raises(UsageError, match=told):
        _check_names(**{**usual, **options})


# the card


def test_card_tells_what_there_is_and_names_nobody(built: Path) -> None:
    text = rendered(Dataset(built), language=("sgn", "kk", "no"))
    card = front_matter(text)
    assert card["pretty_name"] == "Қазақ *signs*"
    assert card["license"] == "cc-by-sa-4.0"
    assert card["language"] == ["sgn", "kk", "no"]
    assert card["size_categories"] == "n<1K"
    assert card["configs"][0]["config_name"] == "default"
    assert set(card["extra_gated_fields"]["Purpose"]) == {"type", "options"}
    assert r"# Қазақ \*signs\*" in text
    assert "12 clips of 2 signs by 3 signers" in text
    assert "| `train` | 2 | 8 | 0:00:07 |" in text
    assert r"| 1 | `mother` | ана | мама \| мать | mother | 6 |" in text
    assert "| K113 | empty segment | 2 |" in text
    assert "| trim | 14 | 12 | 2 |" in text
    assert "No signer is in two splits." in text
    for private in ("Айгерим", "IMG_0042", "session_of", "subject_0", "/home", str(built)):
        assert private not in text
    assert text == rendered(Dataset(built), language=("sgn", "kk", "no"))


def test_card_of_unusual_datasets(tmp_path: Path, mp4: bytes) -> None:
    dataset = build(
        tmp_path / "dataset", mp4, licence="Lab licence: no: commercial use", sides=("a-b", "test")
    )
    card = front_matter(rendered(dataset, gated="none"))
    assert card["license"] == "other"
    assert card["license_name"] == "lab-licence-no-commercial-use"
    assert "extra_gated_prompt" not in card
    listed = {entry["split"]: entry["path"] for entry in card["configs"][0]["data_files"]}
    assert listed == {
        "a_b": "parquet/a-b-?????.parquet", "test": "parquet/test-?????.parquet"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("clips", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6 - 1, "100K<n<1M"),
     (10**12 - 1, "100B<n<1T"), (10**12, "n>1T")],
)  # fmt: skip
def test_size_categories(clips: int, category: str) -> None:
    assert releases._size_category(clips) == category


# reading it back as others do

STREAM = """
import json, sys
import datasets
from datasets import load_dataset
from huggingface_hub import HfFileSystem, hf_hub_download
from huggingface_hub.errors import GatedRepoError
repo, repo_of_tars, tag = sys.argv[1:]

def samples(rows, field):
    if field == "mp4":
        rows = rows.cast_column("mp4", datasets.Video(decode=False))
    data = lambda row: row["mp4"]["bytes"] if field == "mp4" else row[field]
    return [[r["__key__"], r["json"]["label"], r["json"]["emotion"], len(data(r))] for r in rows]

out = {}
rows = load_dataset(repo, revision=tag, streaming=True)["train"]
out["names"] = rows.features["label"].names
rows = list(rows.cast_column("video", datasets.Video(decode=False)))
out["default"] = [[r["clip_id"], r["label"], r["emotion"], len(r["video"]["bytes"])] for r in rows]
for encoding, field in (("h264", "mp4"), ("jpeg", "mjpeg")):
    tars = f"hf://datasets/{repo}@{tag}/shards/{encoding}/train-?????.tar"
    rows = load_dataset("webdataset", data_files={"train": tars}, streaming=True)["train"]
    out[encoding] = samples(rows, field)
for config, field in (("default", "mp4"), ("jpeg", "mjpeg")):
    # Not streamed: written to disk first, which needs the types that the card states.
    rows = load_dataset(repo_of_tars, config, revision=tag)["train"]
    out[f"tars {config}"] = samples(rows, field)
system = HfFileSystem()
with system.open(f"datasets/{repo}@{tag}/shards/h264/train-00000.tar") as file:
    file.seek(512)
    out["range"] = file.read(64).hex()
path = hf_hub_download(repo, "parquet/test-00000.parquet", repo_type="dataset", revision=tag)
out["download"] = open(path, "rb").read().hex()
try:
    hf_hub_download(repo, "kslds.json", repo_type="dataset", revision=tag, token=False)
except GatedRepoError as error:
    out["stranger"] = error.response.status_code
print(json.dumps(out))
"""

LOAD = """
import json, sys
import kslds
samples = list(kslds.load(sys.argv[1], split="train", num_frames=2))
print(json.dumps([[s["clip_id"], s["label"], list(s["video"].shape)] for s in samples]))
"""


def test_streams_back(hub: hub_server.Hub, client: Client, tmp_path: Path, mp4: bytes) -> None:
    dataset = build(tmp_path / "dataset", mp4, encodings=("h264", "jpeg"))
    client.publish(dataset.root, tag="v1")
    tars = build(tmp_path / "t", mp4, encodings=("h264", "jpeg"), formats=("webdataset",))
    client.publish(tars.root, repo="org/tars", tag="v1")
    # What the head becomes later does not matter to those who name the release.
    hub.repos[REPO].commit("everything is gone", {})

    expected = {
        clip.clip_id: [["father", "mother"].index(clip.gloss_id or ""), clip.emotion]
        for clip in dataset.read("clips", schema.Clip)
        if clip.signer_id != "subject_03"
    }
    got = run(hub, tmp_path, STREAM, REPO, "org/tars", "v1")
    assert got["names"] == ["father", "mother"]
    sizes = {"default": len(mp4), "h264": len(mp4), "jpeg": 60}
    for config, size in (sizes | {"tars default": len(mp4), "tars jpeg": 60}).items():
        assert {key: [label, emotion] for key, label, emotion, _ in got[config]} == expected
        assert {row[3] for row in got[config]} == {size}
    tar = (dataset.root / "shards/h264/train-00000.tar").read_bytes()
    assert bytes.fromhex(got["range"]) == tar[512:576]
    parquet = (dataset.root / "parquet/test-00000.parquet").read_bytes()
    assert bytes.fromhex(got["download"]) == parquet
    assert got["stranger"] == 401

    samples = run(hub, tmp_path, LOAD, f"hf://datasets/{REPO}@v1")
    assert {clip_id: label for clip_id, label, _ in samples} == {
        clip_id: label for clip_id, (label, _) in expected.items()
    }
    assert {tuple(shape) for _, _, shape in samples} == {(2, 3, 32, 32)}
