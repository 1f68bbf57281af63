"""Pairs of files, an image and its ground truth, found by their names.

Imports no TensorFlow.
"""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.listing import (
    has_suffix,
    list_files,
    path_in,
    place_of,
    spell,
    tell_left_out,
)
from picanet_tf.core import images
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.path_checks import existing_folder

# In a folder that contains both, these are images and PNGs are masks; other formats are
# ambiguous.
_PHOTO_EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .heic .heif .hif .avif .webp".split()
)


@dataclass(frozen=True)
class Pair:
    """An image and the file with its ground truth.

    Attributes:
        key: the image's path in its folder without its extension, or with it if another
            image would have the same key.
        image: the image file.
        truth: a mask, a class map, or an XML file with boxes.
    """

    key: str
    image: Path
    truth: Path


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def pair_by_name(
    image_folder: str | os.PathLike,
    mask_folder: str | os.PathLike,
    *,
    mask_suffix: str = "",
    recursive: bool = True,
) -> tuple[list[Pair], list[BadFile]]:
    """Pairs the files of two folders by their paths in them, without extension.

    The mask of `a/cat.jpg` is `a/cat.png` or `a/cat.jpg.png`. The case of extensions
    does not matter, and Unicode's composed and decomposed spellings of a name are
    equal. The same folder may be given twice: its JPEG, HEIC, AVIF and WebP files are
    the images, its PNGs the masks; or, with a suffix, the masks are the files that have
    it.

    Args:
        image_folder, mask_folder: one may be inside the other.
        mask_suffix: suffix of the masks' names before their extension, such as "_mask".
        recursive: whether to search sub-folders, and to warn of files that are not
            images.

    Returns:
        The pairs in natural order of their keys, and the files without exactly one
        partner.

    Raises:
        PicanetError: if a folder does not exist, or there are files but no pair; the
            message gives examples of names from both folders.
    """
    image_folder = existing_folder(image_folder, "images")
    mask_folder = existing_folder(mask_folder, "masks")
    image_files = _list(image_folder, mask_folder, recursive)
    bad: list[BadFile] = []
    if image_folder.resolve() == mask_folder.resolve():
        mask_folder = image_folder
        image_files, mask_files = _split(image_folder, image_files, mask_suffix)
    else:
        mask_files = _list(mask_folder, image_folder, recursive)
        reason = f"its name does not end in `mask_suffix` {mask_suffix}"
        others = [file for file in mask_files if not has_suffix(file, mask_suffix)]
        bad = [BadFile(str(file), reason) for file in others]
        mask_files = [file for file in mask_files if has_suffix(file, mask_suffix)]
    folders = image_folder, mask_folder
    pairs, unpaired = _match(folders, image_files, mask_files, mask_suffix)
    if not pairs and (image_files or mask_files or bad):
        examples = mask_files or [Path(file.file) for file in bad]
        if not image_files and image_folder != mask_folder:
            raise PicanetError(f"`images`: no images in {image_folder}")
        if not examples and image_folder != mask_folder:
            raise PicanetError(f"`masks`: no images in {mask_folder}")
        raise PicanetError(_explain(folders, image_files, examples, mask_suffix))
    return pairs, bad + unpaired


def list_bad(bad: list[BadFile], consequence: str) -> str:
    """Returns a message with a line for each bad file.

    Args:
        bad: the bad files.
        consequence: what follows, for the first line of the message.
    """
    files = "\n".join(f"  {file}" for file in bad)
    noun = "bad file" if len(bad) == 1 else "bad files"
    return f"{len(bad)} {noun}, {consequence}:\n{files}"


def key_masks(
    files: list[Path], folder: Path, mask_suffix: str = ""
) -> dict[str, Path]:
    """Returns {key: mask} for masks that are scored without their images.

    Args:
        files: files in `folder`; with a suffix, only those that have it are masks.
        folder: their folder.
        mask_suffix: suffix of the masks' names, which the keys lack.

    Raises:
        PicanetError: if two masks have the same key.
    """
    masks: dict[str, Path] = {}
    others = [file for file in files if not has_suffix(file, mask_suffix)]
    tell_left_out(folder, others, f"not named ...{mask_suffix}")
    for file in files:
        if has_suffix(file, mask_suffix):
            key = place_of(file, folder).removesuffix(spell(mask_suffix))
            if key in masks:
                raise PicanetError(
                    f"{file} has the same name as {masks[key].name}. Rename one of them"
                )
            masks[key] = file
    return masks


def _list(folder: Path, apart: Path, recursive: bool) -> list[Path]:
    return list_files(folder, apart=apart) if recursive else images.list_images(folder)


def _split(
    folder: Path, files: list[Path], mask_suffix: str
) -> tuple[list[Path], list[Path]]:
    """Splits the files of one folder into images and masks."""
    if mask_suffix:
        masks = [file for file in files if has_suffix(file, mask_suffix)]
        return [file for file in files if not has_suffix(file, mask_suffix)], masks
    image_files = [file for file in files if file.suffix.lower() in _PHOTO_EXTENSIONS]
    masks = [file for file in files if file.suffix.lower() == ".png"]
    rest = [file for file in files if file not in {*image_files, *masks}]
    tell_left_out(
        folder, rest, "neither a photo (JPEG, HEIC, AVIF, WebP) nor a mask (PNG)"
    )
    return image_files, masks


def _match(
    folders: tuple[Path, Path],
    image_files: list[Path],
    mask_files: list[Path],
    mask_suffix: str,
) -> tuple[list[Pair], list[BadFile]]:
    """Returns the pairs of images and masks, and the files without one partner."""
    image_folder, mask_folder = folders
    by_place, by_name = defaultdict(list), defaultdict(list)
    for image in image_files:
        place = place_of(image, image_folder)
        by_place[place].append(image)
        by_name[place + image.suffix.lower()].append(image)
    masks_of: dict[Path, list[Path]] = {image: [] for image in image_files}
    twins: dict[Path, Path] = {}  # images that share a mask
    reasons: dict[Path, str] = {}
    for mask in mask_files:
        place = place_of(mask, mask_folder).removesuffix(spell(mask_suffix))
        stem, extension = os.path.splitext(place)
        found = by_place.get(place) or by_name.get(stem + extension.lower(), [])
        for image in found:
            masks_of[image].append(mask)
        if len(found) > 1:
            twins |= {found[0]: found[1], **dict.fromkeys(found[1:], found[0])}
        if not found:
            reasons[mask] = f"no image of this name in {image_folder}"
    pairs = []
    for image, masks in masks_of.items():
        if image not in twins and len(masks) == 1:
            pairs.append((image, masks[0]))
            continue
        if image in twins:
            reasons[image] = f"has the same name as {twins[image].name}"
        elif masks:
            reasons[image] = f"has two masks, {masks[0].name} and {masks[1].name}"
        else:
            reasons[image] = f"no mask of this name in {mask_folder}"
        for mask in masks:
            reasons.setdefault(mask, f"not the only mask or image named {image.stem}")
    bad = [BadFile(str(file), reason) for file, reason in reasons.items()]
    return _name(pairs, image_folder), bad


def _name(files: list[tuple[Path, Path]], folder: Path) -> list[Pair]:
    """Assigns (image, mask) files their keys; returns them in natural order."""
    places = [place_of(image, folder) for image, _ in files]
    count = Counter(places)
    pairs = []
    for place, (image, mask) in zip(places, files, strict=True):
        name = path_in(image, folder)
        key = os.path.splitext(name)[0] if count[place] == 1 else name
        pairs.append(Pair(key, image, mask))
    return sorted(pairs, key=lambda pair: images.natural_key(pair.key))


def _explain(
    folders: tuple[Path, Path],
    image_files: list[Path],
    mask_files: list[Path],
    mask_suffix: str,
) -> str:
    """Returns a message that explains why there is no pair, and what to do."""
    image_folder, mask_folder = folders
    one_folder = image_folder == mask_folder
    where = str(image_folder) if one_folder else f"{image_folder} and {mask_folder}"
    rule = "an image and its mask have the same name"
    if one_folder:
        rule = (
            "in one folder, JPEG, HEIC, AVIF and WebP files are the images and PNGs "
            "the masks, of the same name"
        )
    if mask_suffix:
        rule = f"a mask is named like its image, with `mask_suffix` {mask_suffix}"
    return (
        f"no pair in {where}: {rule}. Images: {_examples(image_files, image_folder)}; "
        f"masks: {_examples(mask_files, mask_folder)}. "
        f"{_hint(folders, image_files, mask_files, mask_suffix)}"
    )


def _examples(files: list[Path], folder: Path) -> str:
    return ", ".join(path_in(file, folder) for file in files[:2]) or "none"


def _hint(
    folders: tuple[Path, Path],
    image_files: list[Path],
    mask_files: list[Path],
    mask_suffix: str,
) -> str:
    """Suggests the suffix that the first image's mask appears to have."""
    for image in (image_files or mask_files)[:1]:
        start = place_of(image, folders[0] if image_files else folders[1])
        for folder, files in zip(folders, (image_files, mask_files), strict=True):
            for file in files:
                rest = place_of(file, folder).partition(start)
                if mask_suffix and rest == ("", start, "") and file != image:
                    return "Leave `mask_suffix` out"
                new = rest[2] not in ("", spell(mask_suffix))
                if not rest[0] and new and not rest[2][0].isalnum():
                    return f"Try `mask_suffix` {rest[2]}"
    if mask_suffix:
        return "Compare the names without it"
    names = [{Path(file).stem for file in files} for files in (image_files, mask_files)]
    if names[0] & names[1]:
        return "Sub-folders belong to the name: give the folders below which they agree"
    return "`mask_suffix` says how the masks' names end, such as _mask"
