"""What happens to files that cannot be converted: they are sorted out and listed."""

from collections.abc import Iterable, Iterator

from absl import logging

from data_pipeline.encoding import EncodedExample
from data_pipeline.pairs import BadFile, Pair

Result = EncodedExample | list[BadFile]


def filter_good(
    results: Iterable[Result], bad: list[BadFile], skip_bad: bool
) -> Iterator[EncodedExample]:
    """Yields the good examples, and adds bad files to `bad`.

    Without `skip_bad` it yields nothing after the first bad file, since nothing will be
    written; the other results are still checked.
    """
    for result in results:
        if isinstance(result, list):
            bad.extend(result)
        elif skip_bad or not bad:
            if result.warning:
                logging.warning("%s: %s", result.key, result.warning)
            yield result


def check_decodable(
    pairs: Iterable[Pair], results: Iterable[Result]
) -> Iterator[Result]:
    """Replaces examples that TensorFlow cannot decode by their bad files.

    Pillow reads many damaged files, such as a PNG without its end, and `encode_pair`
    keeps their bytes if they look sound to Pillow. Training would fail on them.
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
        if data is None:  # Boxes are no picture.
            continue
        try:
            decode(tf.constant(data))
        except tf.errors.OpError as error:
            reason = schema.describe_error(error)
            bad.append(BadFile(str(path), f"TensorFlow cannot read it: {reason}"))
    return bad


def list_bad(bad: list[BadFile], consequence: str) -> str:
    """A message with a line for each bad file."""
    files = "\n".join(f"  {file}" for file in bad)
    noun = "bad file" if len(bad) == 1 else "bad files"
    return f"{len(bad)} {noun}, {consequence}:\n{files}"
