import pytest

from data_pipeline import catalog
from picanet_tf.core.errors import PicanetError

# As the sets are distributed: folder of images, folder of masks.
DISTRIBUTED = [
    ("duts", "train", "DUTS-TR", "DUTS-TR-Image", "DUTS-TR-Mask"),
    ("duts", "test", "DUTS-TE", "DUTS-TE-Image", "DUTS-TE-Mask"),
    ("ecssd", "test", "ECSSD", "images", "ground_truth_mask"),
    ("pascal-s", "test", "PASCAL-S", "Imgs", "Imgs"),
    ("pascal-s", None, "salObj", "datasets/imgs/pascal", "datasets/masks/pascal"),
    ("hku-is", "test", "HKU-IS", "imgs", "gt"),
    ("dut-omron", None, "DUT-OMRON", "DUT-OMRON-image", "pixelwiseGT-new-PNG"),
    ("sod", "test", "SOD", "Imgs", "Imgs"),
    ("sod", None, "sod", "Image", "GT"),
]


@pytest.mark.parametrize("dataset, split, folder, images, masks", DISTRIBUTED)
def test_finds_every_set_by_its_folder_or_its_parent(
    tmp_path, dataset, split, folder, images, masks
):
    root = tmp_path / folder
    for path in (root / images / "a.jpg", root / masks / "a.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    source = catalog.find_split(dataset, split)
    expected = root / images, root / masks
    assert catalog.find_folders(source, root) == expected
    assert catalog.find_folders(source, tmp_path) == expected


def test_sizes_of_the_complete_sets():
    counts = {
        source.title: source.count
        for splits in catalog.SALIENCY.values()
        for source in splits.values()
    }
    assert counts == {  # SPEC, Training and Testing
        "DUTS-TR": 10553,
        "DUTS-TE": 5019,
        "ECSSD": 1000,
        "PASCAL-S": 850,
        "HKU-IS": 4447,
        "DUT-OMRON": 5168,
        "SOD": 300,
    }


def test_errors_name_what_was_looked_for(tmp_path):
    with pytest.raises(PicanetError, match="must be test. Received: 'train'"):
        catalog.find_split("ecssd", "train")
    with pytest.raises(PicanetError, match="none: no such folder"):
        catalog.find_folders(catalog.find_split("sod"), tmp_path / "none")
    with pytest.raises(PicanetError, match=r"DUTS-TR-Image \+ DUTS-TR-Mask"):
        catalog.find_folders(catalog.find_split("duts"), tmp_path)
    (tmp_path / "Imgs").mkdir()  # There, but without .jpg and .png.
    with pytest.raises(PicanetError, match="Imgs with .jpg and .png together"):
        catalog.find_folders(catalog.find_split("sod"), tmp_path)
