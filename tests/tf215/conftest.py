"""These tests are for `make test-tf215`, whose environment alone has the addons."""

import importlib.util

if importlib.util.find_spec("tensorflow_addons") is None:
    collect_ignore_glob = ["test_*.py"]
