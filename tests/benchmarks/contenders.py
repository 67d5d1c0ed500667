"""One run of a reader that is not kslds: ``python contenders.py``, with the job as JSON on stdin.

Runs in an environment of its own, without kslds. Each reader is set up as its own documentation
recommends, and yields batches of 8 clips × 16 frames as uint8 tensors, one epoch, no shuffling:

- webdataset: a pipeline that groups by key, decodes, and batches, in a `WebLoader`.
- litdata: `optimize` into chunks, `StreamingDataset`, `StreamingDataLoader`.
- mosaicml-streaming: `MDSWriter`, `StreamingDataset`, torch's `DataLoader`.
- Hugging Face datasets: `load_dataset(..., streaming=True)`, torch's `DataLoader`.
- bare loops: processes with the clips in memory that decode one after the other, each into new
  tensors, and do nothing else.

Video is decoded by torchcodec with one ffmpeg thread and ``seek_mode="approximate"`` (what its
documentation recommends for speed) or by decord; JPEG by simplejpeg.
"""

from __future__ import annotations

import io
import json
import resource
import shutil
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import torch

BATCH, FRAMES = 8, 16
torch.set_num_threads(1)


def indices(number):
    """The middles of 16 equal parts of a clip."""
    return [int((k + 0.5) * number / FRAMES) for k in range(FRAMES)]


def with_decord(data):
    import decord

    reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
    frames = reader.get_batch(indices(len(reader))).asnumpy()
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def with_torchcodec(data):
    from torchcodec.decoders import VideoDecoder

    return from_decoder(VideoDecoder(data, num_ffmpeg_threads=1, seek_mode="approximate"))


def from_decoder(decoder):
    return decoder.get_frames_at(indices(decoder.metadata.num_frames)).data


def with_simplejpeg(data, sizes):
    import simplejpeg

    ends = np.cumsum(sizes).tolist()
    frames = [
        simplejpeg.decode_jpeg(data[ends[i] - sizes[i] : ends[i]]) for i in indices(len(sizes))
    ]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def clips(shards, field):
    """Bytes and fields of every clip of kslds's own shards."""
    for path in sorted(Path(shards).glob("*.tar")):
        with tarfile.open(path) as tar:
            found = {}
            for member in tar:
                key, _, kind = member.name.partition(".")
                found.setdefault(key, {})[kind] = tar.extractfile(member).read()
        for key, parts in found.items():
            yield key, parts[field], json.loads(parts["json"])


def sample(key, data, fields):
    """What the readers' own formats store."""
    sizes = np.array(fields.get("frame_sizes") or [0], np.int32)
    return {"key": key, "video": data, "label": int(fields["label"]), "sizes": sizes.tobytes()}


def decode(stored, decoder):
    """A stored sample as video and label."""
    if decoder == "simplejpeg":
        video = with_simplejpeg(stored["video"], np.frombuffer(stored["sizes"], np.int32).tolist())
    else:
        video = DECODERS[decoder](stored["video"])
    return {"video": video, "label": stored["label"], "key": stored["key"]}


DECODERS = {"decord": with_decord, "torchcodec": with_torchcodec}


def field_of(decoder):
    return "mjpeg" if decoder == "simplejpeg" else "mp4"


# --------------------------------------------------------------------------- readers


def webdataset(shards, made, decoder, workers):
    import webdataset as wds

    field = field_of(decoder)

    def read(one):
        fields = json.loads(one["json"])
        stored = sample(one["__key__"], one[field], fields)
        return decode(stored, decoder)

    def stack(batch):
        return torch.utils.data.default_collate(batch)

    urls = sorted(map(str, Path(shards).glob("*.tar")))
    pipeline = wds.WebDataset(urls, shardshuffle=False, empty_check=False)
    pipeline = pipeline.map(read).batched(BATCH, collation_fn=stack)
    return wds.WebLoader(pipeline, batch_size=None, num_workers=workers)


def litdata(shards, made, decoder, workers):
    import litdata as ld

    class Clips(ld.StreamingDataset):
        def __getitem__(self, index):
            return decode(super().__getitem__(index), decoder)

    return ld.StreamingDataLoader(Clips(str(made)), batch_size=BATCH, num_workers=workers)


def make_litdata(shards, made, decoder):
    import litdata as ld

    inputs = list(clips(shards, field_of(decoder)))
    ld.optimize(fn=stored, inputs=inputs, output_dir=str(made), chunk_bytes="64MB", num_workers=1)


def stored(item):
    return sample(*item)


def mosaic(shards, made, decoder, workers):
    from streaming import StreamingDataset

    class Clips(StreamingDataset):
        def __getitem__(self, index):
            return decode(super().__getitem__(index), decoder)

    dataset = Clips(local=str(made), batch_size=BATCH, shuffle=False)
    return torch.utils.data.DataLoader(dataset, batch_size=BATCH, num_workers=workers)


def make_mosaic(shards, made, decoder):
    from streaming import MDSWriter

    columns = {"key": "str", "video": "bytes", "label": "int", "sizes": "bytes"}
    with MDSWriter(out=str(made), columns=columns) as out:
        for item in clips(shards, field_of(decoder)):
            out.write(sample(*item))


def datasets_parquet(shards, made, decoder, workers):
    folder = Path(shards).parent.parent / "parquet"
    return hugging("parquet", sorted(map(str, folder.glob("*.parquet"))), "video", workers)


def datasets_tar(shards, made, decoder, workers):
    return hugging("webdataset", sorted(map(str, Path(shards).glob("*.tar"))), "mp4", workers)


def hugging(builder, files, column, workers):
    from datasets import Video, load_dataset

    read = load_dataset(builder, data_files={"train": files}, split="train", streaming=True)
    read = read.cast_column(column, Video(num_ffmpeg_threads=1, seek_mode="approximate"))

    def collate(batch):
        videos = [from_decoder(one[column]) for one in batch]
        labels = [one["json"]["label"] if "json" in one else one["label"] for one in batch]
        return {"video": torch.stack(videos), "label": torch.tensor(labels)}

    return torch.utils.data.DataLoader(
        read, batch_size=BATCH, num_workers=workers, collate_fn=collate
    )


READERS = {
    "webdataset": webdataset,
    "litdata": litdata,
    "mosaic": mosaic,
    "datasets, Parquet": datasets_parquet,
    "datasets, tar": datasets_tar,
}
MAKERS = {"litdata": make_litdata, "mosaic": make_mosaic}


def bare_loops(given, workers):
    """What so many processes take that do nothing but decode their share."""
    held = [sample(*item) for item in clips(given["shards"], field_of(given["decoder"]))]
    decode(held[0], given["decoder"])
    context = torch.multiprocessing.get_context("fork")
    ready, answers = context.Barrier(workers), context.Queue()

    def loop(share):
        ready.wait()
        start, cpu = time.perf_counter(), time.process_time()
        for one in share:
            decode(one, given["decoder"])
        answers.put((start, time.perf_counter(), time.process_time() - cpu))

    processes = [context.Process(target=loop, args=(held[k::workers],)) for k in range(workers)]
    for process in processes:
        process.start()
    told = [answers.get(timeout=3600) for _ in processes]
    for process in processes:
        process.join()
    wall = max(end for _, end, _ in told) - min(start for start, _, _ in told)
    cpu = sum(cpu for *_, cpu in told)
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "clips": len(held),
        "clips_per_s": len(held) / wall,
        "cpu_ms_a_clip": cpu / len(held) * 1000,
    }


def used():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def main():
    """Make what a reader needs, or read one epoch, and say what it took."""
    job = json.load(sys.stdin)
    given = {"shards": job["shards"], "made": Path(job["made"]), "decoder": job["decoder"]}
    if job.get("make"):
        if job["reader"] in MAKERS:
            shutil.rmtree(given["made"], ignore_errors=True)
            MAKERS[job["reader"]](**given)
        answer = {"wall_s": 0.0, "cpu_s": 0.0}
    elif job["reader"] == "bare loops":
        answer = bare_loops(given, job["workers"])
    else:
        answer = epoch(READERS[job["reader"]], given, job["workers"], job["reader"])
    Path(job["answer"]).write_text(json.dumps(answer))


def epoch(reader, given, workers, name):
    # What is imported is not measured: a training imports it once.
    __import__({"mosaic": "streaming"}.get(name, name.split(",")[0]))
    if given["decoder"] == "torchcodec":
        __import__("torchcodec.decoders")
    number, first = 0, None
    cpu, start = used(), time.perf_counter()
    loader = reader(given["shards"], given["made"], given["decoder"], workers)
    for batch in loader:
        if first is None:
            first = time.perf_counter() - start
            if tuple(batch["video"].shape) != (BATCH, FRAMES, 3, 224, 224):
                raise SystemExit(f"a batch is {tuple(batch['video'].shape)}")
        number += len(batch["video"])
    wall = time.perf_counter() - start
    del loader
    return {
        "wall_s": wall,
        "cpu_s": used() - cpu,
        "clips": number,
        "clips_per_s": number / wall,
        "steady_per_s": (number - BATCH) / max(wall - first, 1e-9),
        "cpu_ms_a_clip": (used() - cpu) / number * 1000,
        "first_ms": first * 1000,
    }


if __name__ == "__main__":
    main()
