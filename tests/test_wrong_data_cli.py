"""Wrong files and data of another task, given to the commands of all three tasks.

Each case is answered by one line that names what is wrong, and leaves no file.
"""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from data_pipeline.convert import convert_dataset, convert_folders
from data_pipeline.kinds import CLASS_MAP
from data_pipeline.sources import find_source
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory
from tests import commands
from tests.data_pipeline.test_voc_objects import DOG, xml

pytestmark = pytest.mark.slow

GOOD = {"image_id": "a", "category_id": 12, "bbox": [7, 11, 33, 19], "score": 0.5}
# Files of detections, all wrong but for the first; a text of VOC's is of its folder.
DETECTIONS = {
    "good.json": [GOOD],
    "cut.json": '[{"image_id": "a", ',
    "object.json": {"annotations": [GOOD]},
    "words.json": [GOOD, {**GOOD, "bbox": "here"}],
    "three.json": [{**GOOD, "bbox": [1, 2, 3]}],
    "negative.json": [{**GOOD, "bbox": [30, 20, -5, 5]}],
    "nan.json": [{**GOOD, "score": float("nan")}],
    "huge.json": [{**GOOD, "bbox": [0, 0, 1e39, 5]}],
    "class.json": [{**GOOD, "category_id": 90}],
    "image.json": [GOOD, {**GOOD, "image_id": "z"}],
    "number.json": [{**GOOD, "image_id": 7}],
    "columns/comp3_det_test_dog.txt": "a 0.5 1 1 9 9\na 0.5 1 1 9\n",
    "score/comp3_det_test_dog.txt": "a sure 1 1 9 9\n",
    "turned/comp3_det_test_dog.txt": "a 0.5 9 9 1 1\n",
    "stranger/comp3_det_test_dog.txt": "z 0.5 1 1 9 9\n",
    "unicorns/comp3_det_test_unicorn.txt": "a 0.5 1 1 9 9\n",
    "notes/notes.txt": "no detections",
}
# Annotations of `a`, wrong each in its own copy of VOC.
ANNOTATIONS = {
    "broken": "<annotation><size>",
    "sizeless": xml(DOG).replace("size>", "sighs>"),
    "outside": xml(("dog", (8, 12, 41, 30), 0)),
    "turned": xml(("dog", (30, 12, 8, 30), 0)),
    "sideways": xml(("dog", (8, 12, 20, 30), 0), width=30, height=40),
}
# Class maps of `a`, wrong each in its own folder.
MAPS = {
    "values": np.full((30, 40), 77, np.uint8),
    "coloured": np.zeros((30, 40, 3), np.uint8),
    "small": np.zeros((15, 20), np.uint8),
}


def picture(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def voc(folder, annotation=None):
    """A folder of VOC 2007 with `a` and `b`."""
    root = folder / "VOC2007"
    for part in ("Annotations", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("a\nb\n")
    for name in "ab":
        (root / f"Annotations/{name}.xml").write_text(xml(DOG))
        photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
        picture(root / f"JPEGImages/{name}.jpg", photo)
    if annotation is not None:
        (root / "Annotations/a.xml").write_text(annotation)
    return root


def write_records(folder):
    """One data set a task, of the same two photos."""
    root = voc(folder / "good")
    for name in "ab":
        mask = np.zeros((30, 40), np.uint8)
        mask[12:, 8:] = 255
        picture(folder / f"masks/{name}.png", mask)
        picture(folder / f"classes/{name}.png", mask // 255 * 12)
    images = root / "JPEGImages"
    convert_folders(images, folder / "masks", folder / "saliency", name="maps")
    classes = folder / "classes"
    convert_folders(
        images, classes, folder / "segmentation", kind=CLASS_MAP, name="classes"
    )
    source = find_source("voc2007", source=str(folder / "good"), split="train")
    convert_dataset(source, folder / "detection")


def write_networks(folder, tiny_network):
    for task, variant in (("saliency", "UNet"), ("detection", "SSD300")):
        network = tiny_network(variant, task)
        experiment = Experiment(
            task=task, variant=variant, image_size=network.image_size, width=1 / 32
        )
        run = RunDirectory.create(experiment, str(folder / f"runs/{task}"))
        network.save(run.path / "model.keras")
    shutil.copytree(folder / "runs/detection", folder / "runs/cut")
    cut = folder / "runs/cut/model.keras"
    cut.write_bytes(cut.read_bytes()[:-1000])


def write_wrong(folder):
    for name, annotation in ANNOTATIONS.items():
        voc(folder / "voc" / name, annotation)
    (voc(folder / "voc" / "photoless") / "JPEGImages/a.jpg").unlink()
    cut = voc(folder / "voc" / "cut") / "JPEGImages/a.jpg"
    cut.write_bytes(cut.read_bytes()[:600])
    for name, content in DETECTIONS.items():
        path = folder / "found" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    (folder / "found" / "binary.json").write_bytes(b"\xff\xfe\x00")
    for name, values in MAPS.items():
        picture(folder / "maps" / name / "a.png", values)
        picture(folder / "maps" / name / "b.png", np.zeros((30, 40), np.uint8))
    picture(folder / "maps" / "one" / "a.png", np.zeros((30, 40), np.uint8))
    (folder / "maps" / "text").mkdir()
    for name in "ab":
        (folder / "maps" / "text" / f"{name}.png").write_text("no picture")


def convert(name, message):
    words = f"data_pipeline.convert --dataset voc2007 --split train --source voc/{name}"
    return f"{words} --output out/new", f"{name}/VOC2007/{message}"


def boxes(path, message, data="detection"):
    words = f"evaluate.py --tfrecords {data} --predictions X=found/{path}"
    return f"{words} --output out", f"found/{path}.*{message}"


def maps(name, message):
    words = f"evaluate.py --tfrecords segmentation --predictions X=maps/{name}"
    return f"{words} --output out", f"maps/{name}.*{message}"


def evaluate(words, message):
    return f"evaluate.py {words} --output out", message


def train(task, data, variant, message):
    words = f"train.py --task {task} --variant {variant} --width 0.03125 --steps 1"
    size = "--image_size 64 --batch_size 2 --backbone_weights none"
    return f"{words} {size} --tfrecords {data}", message


CASES = [
    convert("broken", "Annotations/a.xml: not readable as XML: no element found"),
    convert("sizeless", "Annotations/a.xml: no <size> in <annotation>"),
    convert("outside", r"Annotations/a.xml: object 1 \(dog\): a box outside the image"),
    convert("turned", r"Annotations/a.xml: object 1 \(dog\): an empty box, xmin 30"),
    convert("sideways", "Annotations/a.xml: 30 x 40, but its image .* 40 x 30"),
    convert("photoless", "JPEGImages/a.jpg: missing, but listed"),
    convert("cut", "JPEGImages/a.jpg: "),
    boxes("nowhere.json", "no such file or folder"),
    boxes("binary.json", "decode"),
    boxes("cut.json", "line 1"),
    boxes("object.json", "must contain a list of COCO results"),
    boxes("words.json", "entry 1 is not a COCO result"),
    boxes("three.json", "entry 0 is not a COCO result"),
    boxes("negative.json", "entry 0 .*negative width or height"),
    boxes("nan.json", "entry 0 .*not a number"),
    boxes("huge.json", "entry 0 .*too large"),
    boxes("class.json", "entry 0 .*the class 90 is not in 1..20"),
    boxes("image.json", "the image 'z', which is not in the data"),
    boxes("number.json", "the image 7, which is not in the data set"),
    boxes("columns", "comp3_det_test_dog.txt, line 2 .*5 words instead of 6"),
    boxes("score", "comp3_det_test_dog.txt, line 1 .*'sure'"),
    boxes("turned", "comp3_det_test_dog.txt, line 1 .*negative width or height"),
    boxes("stranger", "the image 'z', which is not in the data"),
    boxes("unicorns", "comp3_det_test_unicorn.txt: 'unicorn' is not a class of VOC"),
    boxes("notes", "no file of detections such as comp3_det_test_person.txt"),
    # Boxes where maps are expected, and maps where boxes are.
    boxes("good.json", "not a folder", data="segmentation"),
    boxes("good.json", "not a folder", data="saliency"),
    evaluate("--tfrecords detection --predictions X=masks", "masks: no file of detec"),
    maps("values", "a class map has the values 0..20 and 255, but this one has 77"),
    maps("coloured", "a.png: a class map is a palette or 8-bit grey PNG"),
    maps("text", "a.png: not an image of a known format"),
    maps("small", r"a.png: 20 x 15, but its mask is 40 x 30 \(width x height\)"),
    maps("one", "1 of 2 maps for classes are missing, the first is b"),
    maps("nowhere", "no such folder"),
    # Records of another task.
    train("detection", "saliency", "SSD300",
          "--tfrecords: saliency: holds masks, but boxes are required"),
    train("detection", "segmentation", "SSD300",
          "--tfrecords: segmentation: holds class maps, but boxes are required"),
    train("segmentation", "detection", "DeepLab_LAP",
          "--tfrecords: detection: holds boxes, but class maps are required"),
    train("detection", "detection --validation_tfrecords saliency", "SSD300",
          "--validation_tfrecords: saliency: holds masks, but boxes are required"),
    evaluate("--tfrecords detection,saliency", "data sets contain boxes and masks: s"),
    evaluate("--tfrecords detection --masks masks", "sets contain boxes and masks"),
    evaluate("--tfrecords detection --baseline center",
             "baseline.? must be one of whole-image for these data. Received: center"),
    evaluate("--tfrecords segmentation --baseline whole-image",
             "baseline.? must be one of background for these data. Received: whole-i"),
    *[
        evaluate(f"--model runs/{network} --tfrecords {data}",
                 f"--model runs/{network} is a {network.split('/')[0]} network, but "
                 f"the data are for {data}")
        for network, data in (("saliency", "detection"), ("saliency", "segmentation"),
                              ("detection", "saliency"), ("detection", "segmentation"),
                              ("saliency/model.keras", "detection"))
    ],
]  # fmt: skip


# A good run ahead of one that is wrong.
RUNS = [
    evaluate("--model runs/detection,runs/saliency --tfrecords detection",
             "--model runs/saliency is a saliency network, but the data are for detec"),
    evaluate("--model runs/detection,runs/cut --tfrecords detection",
             "the model runs/cut/model.keras: not a .keras archive, or a truncated"),
]  # fmt: skip
CASES += RUNS

FINE = [
    boxes("good.json", "")[0],
    # To calibrate, images are wanted, whatever else the records hold.
    "export.py --model runs/saliency --formats tflite --quantize int8 "
    "--calibration_tfrecords detection --output exported",
]


@pytest.fixture(scope="module")
def outcomes(tiny_network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    write_records(folder)
    write_networks(folder, tiny_network)
    write_wrong(folder)
    lines = [*FINE, *(words for words, _ in CASES)]
    return {words: commands.run(*words.split(), cwd=folder) for words in lines}


def test_correct_data_are_accepted(outcomes):
    """So that the other cases fail because of their wrong data alone."""
    scored, exported = (outcomes[words] for words in FINE)
    assert scored.code == 0, scored.stderr
    assert "out/report.json" in scored.written
    assert re.search(r"^mean_ap +54\.55$", scored.stdout, re.MULTILINE)
    assert exported.code == 0, exported.stderr
    assert "compared with the Keras model on 2 sample photos" in exported.stdout
    assert "exported/1/tflite/picanet_int8.tflite" in exported.written


@pytest.mark.parametrize("words", [words for words, _ in RUNS])
def test_no_run_is_scored_before_all_are_checked(outcomes, words):
    assert "image/s" not in outcomes[words].stderr  # of a bar that says how far it is
    assert "image/s" in outcomes[FINE[0]].stderr


@pytest.mark.parametrize("words, message", CASES, ids=[words for words, _ in CASES])
def test_wrong_data_are_named_in_one_line(outcomes, words, message):
    done = outcomes[words]
    assert done.code == 1, done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
    *_, last = done.stderr.strip().splitlines()
    assert re.search(message, last), done.stderr
    assert done.written == []
    # A list of bad files has its head in a line of its own.
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1 and (errors == [last] or "1 bad file" in errors[0])
