"""What every report is written with."""

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.evaluation import tables

ODD = "caf\udce9"  # a name that is no UTF-8


def test_folder_names():
    assert tables.folder_name("6GAP (run/a)") == "6GAP_run_a"
    assert tables.folder_name("..") == "_"


def test_csv_escapes_non_utf8_names():
    assert tables.csv_text([["name"], [ODD]]) == "name\ncaf\\udce9\n"


def test_versions_of_packages_are_listed():
    found = tables.versions("no-such-package")
    assert found.pop("no-such-package") == "not installed"
    assert found == {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
