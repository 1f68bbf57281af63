"""What becomes of files that cannot be converted: sorted out, and listed."""

from collections.abc import Iterable, Iterator

from absl import logging

from data_pipeline.pairs import BadFile, EncodedPair, Pair


def only_good(
    results: Iterable[EncodedPair | list[BadFile]], bad: list[BadFile], skip_bad: bool
) -> Iterator[EncodedPair]:
    """Sorts results: bad files are added to `bad`, good pairs come out.

    When nothing will be written anyway, the rest is only checked.
    """
    for result in results:
        if isinstance(result, list):
            bad.extend(result)
        elif skip_bad or not bad:
            if result.warning:
                logging.warning("%s: %s", result.key, result.warning)
            yield result


def readable(
    pairs: Iterable[Pair], results: Iterable[EncodedPair | list[BadFile]]
) -> Iterator[EncodedPair | list[BadFile]]:
    """Results of `encode_pair`, those that TensorFlow cannot decode as bad files.

    Pillow reads many a damaged file, such as a PNG without its end, and its bytes are
    kept where they look sound to it; training would end at them.
    """
    for pair, result in zip(pairs, results, strict=True):
        yield (
            result if isinstance(result, list) else _undecodable(pair, result) or result
        )


def _undecodable(pair: Pair, encoded: EncodedPair) -> list[BadFile]:
    import tensorflow as tf

    from data_pipeline import schema

    bad = []
    for part, path, decode in (
        ("image", pair.image, schema.decode_image),
        ("mask", pair.mask, schema.decode_mask),
    ):
        if not hasattr(encoded, part):  # Objects have no mask.
            continue
        try:
            decode(tf.constant(getattr(encoded, part)))
        except tf.errors.OpError as error:
            reason = schema.reason_of(schema.message_of(error))
            bad.append(BadFile(str(path), f"TensorFlow cannot read it: {reason}"))
    return bad


def list_bad(bad: list[BadFile], consequence: str) -> str:
    files = "\n".join(f"  {file}" for file in bad)
    noun = "bad file" if len(bad) == 1 else "bad files"
    return f"{len(bad)} {noun}, {consequence}:\n{files}"
