"""Paths: names of any characters, links that go in circles, names that climb."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import numpy as np

from data_pipeline.convert import convert_folders
from data_pipeline.kinds import MASK
from data_pipeline.pairs import pair_by_name
from picanet_tf.core.inputs import scan_inputs
from picanet_tf.core.outputs import assign_outputs
from tests.faults.outcomes import ERROR, READ, SKIP, Attempt, result_or_error, rule
from tests.faults.pictures import photo
from tests.faults.records import encoded, frame, good_fields, payload_of

STEMS = (
    "a", "im2", "im10", "a b", " a", "a ", "é", "e\u0301", "日本", "🖼", "a\nb", "a\tb",
    "a'b", 'a"b', "a$b", "a%sb", "a{b}", "-a", "--run", "a.b", "a..", "..a", "a[1]",
    "*", "?", "\\", "~", "$HOME", "a;b", "x" * 200, "\udcff", "CON", "..", ".", "...",
    "\x1b[31m", "\u202e", "im٣", "im²",
)  # fmt: skip
FOLDERS = ("", "d", "d/e", "sub dir", "ü", "d[1]", "a\nb", "\udcfe", "...")
HOSTILE = (
    "", ".", "..", "../outside", "../../outside", "/etc/hostname", "a/b", "a\\..\\b",
    "a\0b", "a\nb", "\ud800", "\udcff", "x" * 300, "é", "con", "$x$", "a,b", "|",
)  # fmt: skip


def make_inputs(folder: Path) -> Attempt:
    """Words of a command line: which files they mean and where results go."""

    def attempt(rng: random.Random) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        photos, output = folder / "photos", folder / "out"
        photos.mkdir(parents=True)
        (folder / "secret.jpg").touch()
        for _ in range(rng.randrange(1, 8)):
            place = photos / rng.choice(FOLDERS)
            if place.is_file():
                continue
            place.mkdir(exist_ok=True, parents=True)
            suffix = rng.choice((".jpg", ".png", ".JPG", ".mp4", ".webp", ""))
            name = (rng.choice(STEMS) + suffix).encode("utf-8", "surrogateescape")
            with_name = os.fsencode(place) + b"/" + name
            if not os.path.isdir(with_name):
                open(with_name, "wb").close()
        _links(rng, photos)
        word = rng.choice(
            ("", "*", "**/*", "**/*.jpg", "*/*", "**/**/*", "**", "*/../*", "../*",
             "*/../../*.jpg", "*/../../*", "[a-z]*", "**/../*", "?/**/*.png",
             "../photos")
        )  # fmt: skip
        words = [str(photos / word) if word else str(photos)]
        if rng.random() < 0.3:
            files = sorted(photos.rglob("*"))
            words += [str(rng.choice(files))] if files else []
        suffix = rng.choice((".png", ""))
        pairs, error = result_or_error(
            lambda: assign_outputs(scan_inputs(words).inputs, output, suffix=suffix),
            *words, output,
        )  # fmt: skip
        if error:
            return ERROR
        results = [os.path.normpath(result) for _, result in pairs]
        for result in results:
            inside = os.path.commonpath([output, result]) == str(output)
            rule(inside and result != str(output), "outside of the output:", result)
        rule(len(set(results)) == len(pairs), "two results in one place")
        real = [os.path.realpath(item.path) for item, _ in pairs]
        whole = sum(len(names) for _, _, names in os.walk(folder))
        rule(len(real) <= 4 * whole, len(real), "inputs of", whole, "files")
        return READ

    return attempt


def _links(rng: random.Random, photos: Path) -> None:
    for number in range(rng.choice((0, 0, 1, 2, 4))):
        link = photos / rng.choice(FOLDERS) / f"link{number}{rng.choice(('', '.jpg'))}"
        target = rng.choice((".", "..", str(photos), link.name, "nowhere", "/dev/null"))
        link.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(link):
            link.symlink_to(target)


def make_folders(folder: Path) -> Attempt:
    """Folders of images and masks: paired by name, whatever the names are."""

    def attempt(rng: random.Random) -> str:
        from data_pipeline import readers
        from data_pipeline.verify import verify

        shutil.rmtree(folder, ignore_errors=True)
        images, masks = folder / "images", folder / "masks"
        images.mkdir(parents=True)
        masks.mkdir()
        widths = {}
        for stem in rng.sample(STEMS, rng.randrange(1, 6)):
            # Each pair has a mask of its own, which a wrong pairing would show.
            widths[stem] = rng.randrange(1, 30)
            mask = np.zeros((24, 31), np.uint8)
            mask[:, : widths[stem]] = 255
            if rng.random() < 0.9:
                _write(images, stem, rng.choice((".png", ".PNG")), encoded(photo()))
            if rng.random() < 0.9:
                _write(masks, stem, ".png", encoded(mask))
        output = folder / os.fsdecode(
            rng.choice((b"out", b"o u t", "ö".encode(), b"\xff", b"a\nb"))
        )
        skip_bad = rng.random() < 0.7
        result, error = result_or_error(
            lambda: convert_folders(
                images, masks, output, name="x", skip_bad=skip_bad, workers=1
            ),
            images, masks,
        )  # fmt: skip
        left = {path.name for path in folder.iterdir()} - {"images", "masks"}
        if error:
            rule(not left, "left behind:", left)
            return ERROR
        rule(left == {output.name}, "written:", left)
        rule(verify(output)[1] == [], "verify:", verify(output)[1])
        keys = list(readers.read_keys(output))
        pairs = [pair.key for pair in pair_by_name(images, masks)[0]]
        rule(keys == pairs, keys, pairs)
        for record in readers.read_originals(output, MASK).as_numpy_iterator():
            width = widths[os.fsdecode(record["key"])]
            rule((record["mask"] > 0).sum() == 24 * width, "another's mask")
        return SKIP if result[1] else READ

    return attempt


def _write(folder: Path, stem: str, suffix: str, data: bytes) -> None:
    (folder / f"{stem}{suffix}").write_bytes(data)


def make_names(folder: Path) -> Attempt:
    """Names of records, data sets and methods in evaluate's report."""

    def attempt(rng: random.Random) -> str:
        from picanet_tf.evaluation.samples import DataSet, Sample
        from picanet_tf.evaluation.scoring import save_drawings
        from picanet_tf.evaluation.tables import folder_name
        from picanet_tf.saliency.scoring import SaliencyScoring

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        output = folder / "out"
        name = rng.choice(HOSTILE)
        inside = output / folder_name(name)
        rule(inside.parent == output and "\0" not in str(inside), "folder", inside)
        rule(inside.name not in ("", ".", ".."), "folder", inside)
        if rng.random() < 0.97:  # Drawing takes seconds.
            return READ
        keys = rng.sample(HOSTILE, 3)
        samples = [_sample(Sample, key, number) for number, key in enumerate(keys)]
        data = DataSet(name, 3, lambda: keys, lambda: samples, {})
        scoring = SaliencyScoring()
        predicted = scoring.baseline("center").predict(data)
        found = {rng.choice(HOSTILE): scoring.evaluate(predicted, pick={0, 2})}
        _, error = result_or_error(
            lambda: save_drawings(scoring, output, name, found), output
        )
        outside = [
            path for path in folder.rglob("*")
            if path.is_file() and output not in path.parents
        ]  # fmt: skip
        rule(not outside, "written outside:", outside)
        return ERROR if error else READ

    return attempt


def _sample(kind, key: str, number: int):
    mask = np.zeros((24, 31), np.uint8)
    mask[5:20, 5 : 10 + number] = 255
    return kind(key, mask, np.asarray(photo(number)))


def make_keys(folder: Path) -> Attempt:
    """A record's key, which is no file's name, through `evaluate --predictions`."""

    def attempt(rng: random.Random) -> str:
        from data_pipeline.manifest import Manifest, Shard, save_manifest
        from picanet_tf import evaluate

        shutil.rmtree(folder, ignore_errors=True)
        data, maps = folder / "data", folder / "maps"
        data.mkdir(parents=True)
        maps.mkdir()
        # What a key that climbs would reach.
        (folder / "outside.png").write_bytes(encoded(np.zeros((12, 16), np.uint8)))
        hostile = ("../outside", "..", str(folder / "outside"), "a/b", "")
        key = "im1" if rng.random() < 0.3 else rng.choice(hostile)
        fields = [good_fields(0), {**good_fields(1), "key": key.encode()}]
        content = b"".join(frame(payload_of(each)) for each in fields)
        (data / "0.tfrecord").write_bytes(content)
        shard = Shard("0.tfrecord", 2, len(content), "")
        save_manifest(Manifest(data, "hostile", MASK, 2, (shard,)))
        for name in ("im0", "im1"):
            (maps / f"{name}.png").write_bytes(encoded(np.zeros((12, 16), np.uint8)))
        report, error = result_or_error(
            lambda: evaluate(
                tfrecords=[str(data)], predictions=[f"m={maps}"], metrics="fast"
            ),
            maps,
        )
        rule(bool(error) == (key != "im1"), key, "was found")
        if error:
            return ERROR
        rule(report["datasets"]["hostile"]["images"] == 2, "maps")
        return READ

    return attempt


KINDS = {
    "inputs": make_inputs,
    "folders": make_folders,
    "names": make_names,
    "keys": make_keys,
}
