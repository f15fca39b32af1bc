"""WebDataset's tar shards, here and in an object store; the bounded copies; the index."""

import fcntl
import io
import json
import multiprocessing
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from harness.contract import DamagedImage
from harness.suite.damaged import leave_out_damaged
from harness_plugins.datasets import shard_index, shard_store
from harness_plugins.datasets.parquet import Parquet
from harness_plugins.datasets.shard_store import ShardStore, expand, list_shards
from harness_plugins.datasets.shards import Shards


def write_tar(target, members):
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def tar_bytes(members):
    buffer = io.BytesIO()
    write_tar(buffer, members)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shards"


@pytest.fixture
def members(pixels, encoded):
    """Members of three shards by name: samples of fields in any order, and things that are no samples."""

    def sample(number, label, suffix="png", folder=""):
        key = f"{folder}{number:04d}"
        image = (
            f"{key}.{suffix}",
            encoded(pixels[number], "WEBP" if suffix == "webp" else "PNG", lossless=True),
        )
        return (
            [image, (f"{key}.cls", label.encode())] if number % 2 else [(f"{key}.cls", label.encode()), image]
        )

    return {
        "train-000.tar": [
            ("._junk", b"?"),
            *sample(0, "1"),
            *sample(1, "0\n", folder="a/b.c/"),
            ("LICENSE", b"?"),
        ],
        "train-001.tar": [
            *sample(2, "1", "webp"),
            ("0002.seg.png", b"no"),
            *sample(3, "0", "PNG"),
            *sample(4, "1"),
        ],
        "test-000.tar": [*sample(5, "0"), *sample(6, "1")],
    }


@pytest.fixture
def root(tmp_path, members):
    for name, content in members.items():
        path = tmp_path / "root" / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tar_bytes(content))
    return tmp_path / "root"


def decoded(split):
    return np.asarray(split.inputs["image"]).transpose(0, 2, 3, 1)


def test_samples_are_read_in_order_and_at_random(root, pixels):
    prepared = Shards(folder="set").prepare(root)
    assert np.array_equal(decoded(prepared.train), pixels[:5])
    assert np.array_equal(decoded(prepared.test), pixels[5:7])
    assert prepared.train.labels.tolist() == [1, 0, 1, 0, 1] and prepared.test.labels.tolist() == [0, 1]
    assert prepared.classes == ("0", "1")
    rows = np.array([4, 0, 3, 0])
    assert np.array_equal(prepared.train.inputs["image"].read(rows), pixels[rows].transpose(0, 3, 1, 2))
    assert Shards(folder="set", classes=("ant", "bee")).prepare(root).classes == ("ant", "bee")


def test_samples_are_those_of_webdataset(root):
    webdataset = pytest.importorskip("webdataset")
    shards = [str(path) for path in sorted((root / "set").glob("train*.tar"))]
    reference = list(webdataset.WebDataset(shards, shardshuffle=False))
    reference = [sample for sample in reference if "cls" in sample]
    prepared = Shards(folder="set").prepare(root)
    images = [Image.open(io.BytesIO(sample.get("png") or sample["webp"])) for sample in reference]
    assert np.array_equal(decoded(prepared.train), np.stack([np.asarray(image) for image in images]))
    assert prepared.train.labels.tolist() == [int(sample["cls"]) for sample in reference]


def test_labels_stand_in_json_as_well(root, pixels, encoded):
    for name in ("train", "test"):
        content = []
        for number, label in enumerate(["bee", "ant", "bee"]):
            content += [
                (f"{number}.json", json.dumps({"kind": label, "label": 7}).encode()),
                (f"{number}.png", encoded(pixels[number + 3 * (name == "test")])),
            ]
        (root / f"{name}.tar").write_bytes(tar_bytes(content))
    prepared = Shards(label_field="kind").prepare(root)
    assert prepared.classes == ("ant", "bee")
    assert prepared.train.labels.tolist() == [1, 0, 1]


PNG = ("9.png", b"x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([PNG], r"row 0 \(9\): no label, expected cls or json; it has png"),
        ([("9.cls", b"1")], r"row 0 \(9\): 0 images, expected one of jpg\|jpeg\|png\|webp; it has cls"),
        ([PNG, ("9.jpg", b"x"), ("9.cls", b"1")], r"row 0 \(9\): 2 images"),
        ([PNG, ("9.cls", b"  ")], r"row 0 \(9\): 9\.cls holds no label"),
        ([PNG, ("9.json", b"{")], r"row 0 \(9\): 9\.json is no JSON"),
        ([PNG, ("9.json", b'{"label": true}')], r'9\.json holds no label, .* under the key "label"'),
        ([PNG, ("9.json", b"[1]")], r"9\.json holds no label"),
        ([PNG, PNG, ("9.cls", b"1")], r"two members 9\.png"),
        ([PNG, ("9.cls", b"ant")], r"row 0 \(9\.png\): the label 'ant' is a name, those before are numbers"),
        ([PNG, ("9.cls", b"-1")], r"label -1 is less than first_label = 0"),
    ],
)
def test_a_sample_that_is_not_as_it_should_be_is_named(root, content, message):
    (root / "set" / "train-001.tar").write_bytes(tar_bytes(content))
    with pytest.raises(ValueError, match=rf"^set/train-001\.tar.*{message}"):
        Shards(folder="set").prepare(root)


def test_a_split_without_a_sample_is_named(root):
    with tarfile.open(root / "empty.tar", "w"):
        pass
    with pytest.raises(ValueError, match="no sample of the train split"):
        Shards(train="empty.tar", test="set/test*.tar").prepare(root)


def test_a_test_label_beyond_the_training_splits_is_named(root):
    (root / "set" / "test-000.tar").write_bytes(tar_bytes([PNG, ("9.cls", b"2")]))
    with pytest.raises(
        ValueError, match=r"^set/test-000\.tar row 0 \(9\.png\): label 2 is none of those of the train"
    ):
        Shards(folder="set").prepare(root)


def test_a_damaged_image_is_named_or_left_out_and_listed(root, members, pixels):
    content = [(name, data[:60] if name == "0003.PNG" else data) for name, data in members["train-001.tar"]]
    (root / "set" / "train-001.tar").write_bytes(tar_bytes(content))
    with pytest.raises(DamagedImage, match=r"^set/train-001\.tar row 1 \(0003\.PNG\): ") as caught:
        decoded(Shards(folder="set").prepare(root).train)
    assert caught.value.row == 3
    prepared, rows = leave_out_damaged(Shards(folder="set", skip_damaged=True).prepare(root), "here")
    assert rows["train"].tolist() == [0, 1, 2, 4]
    assert np.array_equal(decoded(prepared.train), pixels[[0, 1, 2, 4]])
    (line,) = prepared.skipped
    assert line.startswith("set/train-001.tar row 1 (0003.PNG): ")


@pytest.mark.parametrize("kept", [0, 100, 600, 1030, -1024, -1500, -4000])
def test_a_truncated_tar_file_is_named(root, kept):
    path = root / "set" / "train-001.tar"
    whole = tar_bytes([("1.cls", b"1"), ("1.png", bytes(3000)), ("2.cls", b"0"), ("2.png", bytes(3000))])
    length = 2 * (512 + 512 + 512 + 3072)  # then zeros up to 10,240
    assert len(whole) == 10240 and whole[length:] == bytes(10240 - length)
    path.write_bytes(whole[: kept if kept >= 0 else length + 1024 + kept])
    with pytest.raises(ValueError, match=r"^set/train-001\.tar: (not a whole tar file|no mark of its end)"):
        Shards(folder="set").prepare(root)


def test_a_compressed_tar_file_is_refused(root):
    import gzip

    path = root / "set" / "train-001.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match=r"^set/train-001\.tar: not a whole tar file without compression"):
        Shards(folder="set").prepare(root)


def test_an_index_is_made_once_for_each_version_of_a_file(root, cache, monkeypatch, pixels, members):
    made = []
    real = shard_index.index_tar

    def counted(file, shard, fields):
        made.append(shard.name)
        return real(file, shard, fields)

    monkeypatch.setattr(shard_index, "index_tar", counted)
    component = Shards(folder="set")
    component.prepare(root)
    assert made == ["set/train-000.tar", "set/train-001.tar", "set/test-000.tar"]
    assert np.array_equal(decoded(component.prepare(root).train), pixels[:5])
    assert len(made) == 3
    (root / "set" / "train-001.tar").write_bytes(tar_bytes(members["train-001.tar"][:2]))
    assert component.prepare(root).train.labels.tolist() == [1, 0, 1]
    assert made[3:] == ["set/train-001.tar"]
    for file in (cache / "indexes").iterdir():
        file.write_text(file.read_text()[:20])  # as a crash may leave it
    assert component.prepare(root).train.labels.tolist() == [1, 0, 1]
    assert len(made) == 7


def test_a_file_that_is_cut_after_it_was_indexed_is_named(root):
    prepared = Shards(folder="set").prepare(root)
    path = root / "set" / "train-001.tar"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"set/train-001\.tar row \d .*has changed"):
        decoded(prepared.train)
    path.unlink()
    with pytest.raises(ValueError, match=r"set/train-001\.tar: cannot be read"):
        decoded(prepared.train)


def test_numbers_in_braces_stand_for_each(root):
    assert expand("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert expand("{0..1}-{2..3}") == ["0-2", "0-3", "1-2", "1-3"]
    assert expand("a-{x}.tar") == ["a-{x}.tar"]
    prepared = Shards(folder="set", train="train-{000..001}.tar").prepare(root)
    assert len(prepared.train.labels) == 5
    with pytest.raises(FileNotFoundError, match=r"train-002\.tar"):
        Shards(folder="set", train="train-{000..002}.tar").prepare(root)


def test_what_is_absent_or_outside_is_named(root):
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        Shards().prepare(None)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        Shards(folder="nowhere").prepare(root)
    with pytest.raises(ValueError, match="inside the data root"):
        Shards(folder="../set").prepare(root)


@pytest.fixture
def bucket(members):
    """The same shards in fsspec's store in memory; they all have the same size. Gives its URL and its store."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.store.clear()
    contents = {name: tar_bytes(content) for name, content in members.items()}
    assert {len(content) for content in contents.values()} == {SHARD_BYTES}
    for name, content in contents.items():
        store.pipe(f"/bucket/{name}", content)
    yield "memory://bucket", store
    store.store.clear()


SHARD_BYTES = 10240


def held_bytes(cache):
    """Count what lies there, while no reader renames or takes away: each shard once, under either of its names."""
    with (cache / "copies" / "room.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return sum(path.stat().st_size for path in (cache / "copies").iterdir())


def fetched(monkeypatch, store, cache, limit):
    """Note what is fetched, and hold all that lies in the folder at that time to the limit."""
    names = []
    real = type(store).open

    def noted(self, path, *arguments, **options):
        names.append(path.rpartition("/")[2])
        assert held_bytes(cache) <= limit
        return real(self, path, *arguments, **options)

    monkeypatch.setattr(type(store), "open", noted)
    return names


@pytest.mark.parametrize("pattern", ["train*.tar", "train-{000..001}.tar"])
def test_shards_of_a_store_are_copied_once(bucket, cache, monkeypatch, pixels, pattern):
    url, store = bucket
    prepared = Shards(folder=url, train=pattern).prepare(None)
    names = fetched(monkeypatch, store, cache, 3 * SHARD_BYTES)
    assert np.array_equal(decoded(prepared.train), pixels[:5])
    assert np.array_equal(decoded(prepared.test), pixels[5:7])
    assert not prepared.train.inputs["image"].decode_once
    assert names == [] and held_bytes(cache) == 3 * SHARD_BYTES
    again = Shards(folder=url, train=pattern).prepare(None)
    assert names == []
    assert again.train.labels.tolist() == [1, 0, 1, 0, 1]


def test_copies_are_bounded_and_those_used_last_are_kept(bucket, cache, monkeypatch, pixels):
    url, store = bucket
    limit = 2 * SHARD_BYTES + 5
    prepared = Shards(folder=url, cache_bytes=limit, size=(6, 5)).prepare(None)
    train, test = (split.inputs["image"] for split in (prepared.train, prepared.test))
    assert train.decode_once and test.decode_once
    names = fetched(monkeypatch, store, cache, limit)
    assert held_bytes(cache) <= limit  # train-001 and test-000
    test.read(np.array([0]))
    train.read(np.array([2]))
    assert names == []
    train.read(np.array([0]))  # in place of test-000, which was used first
    assert names == ["train-000.tar"]
    train.read(np.array([4]))
    assert names == ["train-000.tar"]
    # in place of train-000, though that was copied last
    assert np.array_equal(test.read(np.array([1]))[0], pixels[6].transpose(2, 0, 1))
    assert names == ["train-000.tar", "test-000.tar"]
    assert np.array_equal(train.read(np.array([4]))[0], pixels[4].transpose(2, 0, 1))
    assert names == ["train-000.tar", "test-000.tar"]
    assert held_bytes(cache) <= limit


def test_many_readers_stay_within_the_bound(bucket, cache, monkeypatch, pixels):
    url, store = bucket
    limit = 2 * SHARD_BYTES
    images = Shards(folder=url, cache_bytes=limit).prepare(None).train.inputs["image"]
    names = fetched(monkeypatch, store, cache, limit)
    shards = list_shards(None, url, "*.tar")
    contents = {shard.name: store.cat(shard.name) for shard in shards}
    wrong = []

    def read(seed):
        try:
            copies = ShardStore(cache / "copies", limit)
            for number in np.random.default_rng(seed).integers(0, 3, 12):
                with copies.opened(shards[number]) as descriptor:
                    data = shard_store.read_at(descriptor, 0, SHARD_BYTES)
                if data != contents.get(shards[number].name):
                    wrong.append(number)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(names) > 3
    assert held_bytes(cache) <= limit
    assert not list((cache / "copies").glob("*.partial"))
    assert np.array_equal(np.asarray(images).transpose(0, 2, 3, 1), pixels[:5])


def test_a_reader_waits_for_room_that_another_copy_is_taking(bucket, cache, monkeypatch):
    """Room for one shard: the second is not begun before the first is whole."""
    url, store = bucket
    shards = list_shards(None, url, "train*.tar")
    real, begun, go_on = type(store).open, [], threading.Event()

    def slow(self, path, *arguments, **options):
        begun.append(path.rpartition("/")[2])
        if len(begun) == 1:
            assert go_on.wait(30)
        return real(self, path, *arguments, **options)

    monkeypatch.setattr(type(store), "open", slow)

    def read(shard):
        with ShardStore(cache / "copies", SHARD_BYTES).opened(shard):
            pass

    first, second = (threading.Thread(target=read, args=(shard,)) for shard in shards)
    first.start()
    while not begun:
        first.join(0.01)
    second.start()
    second.join(0.5)
    assert begun == ["train-000.tar"] and held_bytes(cache) == SHARD_BYTES
    go_on.set()
    first.join()
    second.join()
    assert begun[:2] == ["train-000.tar", "train-001.tar"] and held_bytes(cache) == SHARD_BYTES


def test_what_a_dead_process_left_half_copied_takes_no_room(bucket, cache, pixels):
    url, _ = bucket
    (cache / "copies").mkdir(parents=True)
    (cache / "copies" / "0123.partial").write_bytes(bytes(SHARD_BYTES))
    prepared = Shards(folder=url, cache_bytes=SHARD_BYTES).prepare(None)
    assert np.array_equal(decoded(prepared.train), pixels[:5])
    assert held_bytes(cache) == SHARD_BYTES


def test_a_shard_that_changed_in_the_store_is_read_anew(bucket, members):
    url, store = bucket
    assert Shards(folder=url).prepare(None).train.labels.tolist() == [1, 0, 1, 0, 1]
    store.pipe("/bucket/train-000.tar", tar_bytes(members["train-000.tar"][::-1]))
    changed = Shards(folder=url).prepare(None)
    assert changed.train.labels.tolist() == [0, 1, 1, 0, 1]


def test_a_copy_that_fails_leaves_nothing_and_names_the_shard(bucket, cache, monkeypatch):
    url, store = bucket
    limit = 2 * SHARD_BYTES
    images = Shards(folder=url, cache_bytes=limit, size=(6, 5)).prepare(None).train.inputs["image"]
    store.pipe("/bucket/train-000.tar", b"short")
    with pytest.raises(
        ValueError, match=r"train-000\.tar: cannot be read .*5 bytes came, it should have 10,240"
    ):
        images.read(np.array([0]))
    assert not list((cache / "copies").glob("*.partial"))
    store.rm("/bucket/train-000.tar")
    with pytest.raises(ValueError, match=r"train-000\.tar: cannot be read \(FileNotFoundError"):
        images.read(np.array([0]))
    assert held_bytes(cache) <= limit


def test_a_shard_larger_than_all_the_room_is_refused(bucket):
    with pytest.raises(ValueError, match=r"10,240 bytes, more than cache_bytes = 9,999"):
        Shards(folder=bucket[0], cache_bytes=9999).prepare(None)


def test_nothing_that_matches_in_a_store_is_named(bucket):
    for pattern in ("valid*.tar", "valid-000.tar"):
        with pytest.raises(FileNotFoundError, match=r"no file matches memory://bucket/valid"):
            Shards(folder=bucket[0], test=pattern).prepare(None)


def test_a_store_without_its_library_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=r"pip install harness-bench\[data\]"):
        Shards(folder="s3://bucket").prepare(None)


@pytest.mark.data
def test_real_images_in_shards_are_what_they_were(real_data, tmp_path):
    if not (real_data / "neu_cls").is_dir():
        pytest.skip(f"no neu_cls under {real_data}")
    for split in ("train", "test"):
        table = parquet.read_table(real_data / "neu_cls" / f"{split}.parquet").slice(0, 300)
        for part in range(3):
            rows = table.slice(part * 100, 100).to_pylist()
            content = [
                member
                for number, row in enumerate(rows)
                for member in (
                    (f"{number:05d}.cls", str(row["label"]).encode()),
                    (f"{number:05d}.png", row["image"]["bytes"]),
                )
            ]
            (tmp_path / f"{split}-{part}.tar").write_bytes(tar_bytes(content))
    ours, reference = Shards(size=(200, 200)).prepare(tmp_path), Parquet(folder="neu_cls").prepare(real_data)
    for split in ("train", "test"):
        found, expected = getattr(ours, split), getattr(reference, split)
        assert np.array_equal(found.labels, expected.labels[:300])
        rows = np.array([299, 0, 100, 150])
        assert np.array_equal(found.inputs["image"].read(rows), expected.inputs["image"].read(rows))


@pytest.fixture
def server(root):
    """The shards on a plain web server, which lists nothing."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root / "set"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_shards_of_a_web_server_are_read_in_this_process_and_in_a_forked_one(server, cache, pixels):
    pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp, of the extra [data]")
    component = Shards(
        folder=server, train="train-{000..001}.tar", test="test-000.tar", cache_bytes=SHARD_BYTES
    )
    images = component.prepare(None).train.inputs["image"]
    assert np.array_equal(np.asarray(images).transpose(0, 2, 3, 1), pixels[:5])
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    child = context.Process(target=lambda: told.put(images.read(np.array([4, 0]))))
    child.start()
    found = told.get()
    child.join()
    assert np.array_equal(found.transpose(0, 2, 3, 1), pixels[[4, 0]])
    assert held_bytes(cache) == SHARD_BYTES
