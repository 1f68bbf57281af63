"""manifest.json and experiment.json with damaged values, keys and text."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import shutil
from pathlib import Path

import numpy as np

from data_pipeline.kinds import MASK
from data_pipeline.manifest import load_manifest
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from tests.faults.mutations import VALUES, spoil_json
from tests.faults.outcomes import ERROR, READ, Attempt, result_or_error, rule
from tests.faults.records import COUNT, _Folder, frame, good_fields, payload_of


def make_manifests(folder: Path) -> Attempt:
    from data_pipeline import readers
    from data_pipeline.verify import verify

    data = _Folder(folder / "data")
    # What a name with `..` would reach.
    outside = folder / "outside.tfrecord"
    outside.write_bytes(
        b"".join(frame(payload_of(good_fields(number))) for number in range(7, 10))
    )
    shutil.copy(data.shard, folder / "data" / "copy.tfrecord")
    file = folder / "data" / "manifest.json"
    good = json.loads(file.read_text())

    def attempt(rng: random.Random) -> str:
        content = json.loads(json.dumps(good))
        chance = rng.random()
        if chance < 0.25:
            content["shards"][0]["file"] = rng.choice(
                ("../outside.tfrecord", str(outside), "./00000.tfrecord", "..", "",
                 "../data/00000.tfrecord", "00000.tfrecord/", "a\0b", "manifest.json")
            )  # fmt: skip
            file.write_text(json.dumps(content))
        elif chance < 0.35:  # One shard twice, or counts that agree but lie.
            shard = dict(content["shards"][0])
            if rng.random() < 0.5:
                shard["file"] = "copy.tfrecord"
            shard["count"] = rng.choice((3, 2, 0, -1))
            content["shards"].append(shard)
            content["count"] += shard["count"]
            file.write_text(json.dumps(content))
        elif chance < 0.45:
            lie = rng.choice((1, 2, 4, 10**6))
            content["count"] = content["shards"][0]["count"] = lie
            file.write_text(json.dumps(content))
        else:
            file.write_bytes(spoil_json(rng, content))
        manifest, error = result_or_error(
            lambda: load_manifest(data.folder), data.folder
        )
        if error:
            _, verify_error = result_or_error(lambda: verify(data.folder), data.folder)
            rule(verify_error == error, "verify says", verify_error)
            return ERROR
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        print(manifest.summary(), manifest.fingerprint, file=stream)
        for shard in manifest.shards:
            parent = (data.folder / shard.file).resolve().parent
            rule(parent == data.folder.resolve(), "a shard outside:", shard.file)
        verified, _ = result_or_error(lambda: verify(data.folder), data.folder)

        def read():
            with readers.translate_errors(str(data.folder)):
                size = {"batch_size": 1, "training": rng.random() < 0.5}
                stream = readers.read_masks(data.folder, image_size=16, **size)
                next(iter(stream))
                originals = readers.read_originals(data.folder, MASK)
                return list(originals.as_numpy_iterator())

        records, error = result_or_error(read, data.folder)
        if error:
            return ERROR
        rule(len(records) == COUNT, "read", len(records), verified)
        for record, good_record in zip(records, data.good, strict=True):
            for part in good_record:
                rule(np.array_equal(record[part], good_record[part]), "another", part)
        return READ

    return attempt


def make_experiments(folder: Path) -> Attempt:
    run = folder / "run"
    run.mkdir(parents=True)
    file = run / "experiment.json"
    good = json.loads(Experiment(tfrecords="data", rate_boundaries=(5, 9)).to_json())

    def attempt(rng: random.Random) -> str:
        if rng.random() < 0.4:
            name, value = rng.choice(sorted(good)), rng.choice(VALUES)
            file.write_text(json.dumps({**good, name: value}))
        else:
            file.write_bytes(spoil_json(rng, good))
        experiment, error = result_or_error(
            lambda: RunDirectory.open(run).load_experiment(), file
        )
        provenance = run / "provenance.json"
        if rng.random() < 0.3:
            provenance.write_bytes(spoil_json(rng, {"a": {"b": 1}, "c": [1, "d"]}))
            recorded, told = result_or_error(
                lambda: RunDirectory.open(run).recorded(), provenance
            )
            rule(told or isinstance(recorded, dict), "recorded", recorded)
            provenance.unlink()
        if error:
            return ERROR
        for field in dataclasses.fields(Experiment):
            value, kind = getattr(experiment, field.name), type(field.default)
            rule(
                type(value) is kind or (kind is float and type(value) is int),
                field.name, "is", repr(value),
            )  # fmt: skip
            if type(value) is int:
                rule(abs(value) < 2**63, field.name, "has no 64 bits")
        rule(all(type(step) is int for step in experiment.boundaries), "boundaries")
        rule(Experiment.from_json(experiment.to_json()) == experiment, "no round trip")
        return READ

    return attempt


KINDS = {"manifests": make_manifests, "experiments": make_experiments}
