"""What every report is written with."""

import numpy as np

from picanet_tf.evaluation import tables

ODD = "caf\udce9"  # a name that is no UTF-8


def test_folder_names():
    assert tables.folder_name("6GAP (run/a)") == "6GAP_run_a"
    assert tables.folder_name("..") == "_"


def test_csv_of_names_that_are_no_utf_8():
    assert tables.csv_text([["name"], [ODD]]) == "name\ncaf\\udce9\n"


def test_versions():
    assert tables.versions("no-such-package") == {
        **tables.versions(),
        "no-such-package": "not installed",
    }
    assert tables.versions()["numpy"] == np.__version__
