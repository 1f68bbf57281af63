"""Sorts out files that cannot be converted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from absl import logging

from data_pipeline.encoding import EncodedExample
from data_pipeline.pairs import BadFile, Pair
from picanet_tf.core.masks import MaskNote

Result = EncodedExample | list[BadFile]


@dataclass
class Findings:
    """Findings collected while pairs are converted.

    Attributes:
        bad: files that cannot be used.
        notes: how each mask was read, for data sets with a `Source.read_mask`.
    """

    bad: list[BadFile] = field(default_factory=list)
    notes: list[MaskNote] = field(default_factory=list)


def filter_good(
    results: Iterable[Result], found: Findings, skip_bad: bool
) -> Iterator[EncodedExample]:
    """Yields the good examples, and adds bad files and notes to `found`.

    Args:
        results: an encoded example or a list of bad files for each pair.
        found: receives the findings.
        skip_bad: whether bad files are left out. Otherwise nothing is yielded after the
            first one, since nothing will be written; the other results are still
            checked.
    """
    for result in results:
        if isinstance(result, list):
            found.bad.extend(result)
        elif skip_bad or not found.bad:
            if result.warning:
                logging.warning("%s: %s", result.key, result.warning)
            if result.note:
                found.notes.append(result.note)
            yield result


def check_decodable(
    pairs: Iterable[Pair], results: Iterable[Result]
) -> Iterator[Result]:
    """Replaces examples that TensorFlow cannot decode by a list of their bad files.

    Pillow reads many damaged files, such as truncated PNGs, and `encode_pair` keeps
    their bytes if Pillow finds nothing wrong. Training would fail on them.
    """
    for pair, result in zip(pairs, results, strict=True):
        if isinstance(result, list):
            yield result
        else:
            yield _find_undecodable(pair, result) or result


def _find_undecodable(pair: Pair, example: EncodedExample) -> list[BadFile]:
    import tensorflow as tf

    from data_pipeline import schema

    bad = []
    for path, data, decode in (
        (pair.image, example.image, schema.decode_image),
        (pair.truth, example.truth.get("mask"), schema.decode_mask),
    ):
        if data is None:  # Boxes are not an image.
            continue
        try:
            decode(tf.constant(data))
        except tf.errors.OpError as error:
            reason = schema.describe_error(error)
            bad.append(BadFile(str(path), f"TensorFlow cannot read it: {reason}"))
    return bad
