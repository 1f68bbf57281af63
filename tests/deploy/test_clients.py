"""Both clients as commands, with a server that behaves like TF Serving."""

import io
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.deploy.conftest import ROOT, command, run, write_photos
from tests.serving.networks import encoded

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("kind", ["rest", "grpc"])
NOBODY = {"rest": "http://127.0.0.1:1", "grpc": "127.0.0.1:1"}


@pytest.fixture
def photos(tmp_path):
    """Ten good ones."""
    write_photos(tmp_path / "in", 10)
    return tmp_path / "in"


def files(folder):
    """Hidden ones too: none may be left."""
    return {p.relative_to(folder) for p in Path(folder).rglob("*") if p.is_file()}


def last_line(done):
    return done.stderr.strip().splitlines()[-1]


@BOTH
def test_every_image_is_accounted_for_under_load(kind, serve, direct, tmp_path):
    """8 in flight, 200 requests, 20 of them corrupt."""
    server = serve()
    server.model.delay = 0.02
    good, bad = write_photos(tmp_path / "in", 200, corrupt=20)
    assert (len(good), len(bad)) == (180, 20)
    done = run(
        kind,
        f"--server={getattr(server, kind)}",
        f"--input={tmp_path / 'in'}",
        f"--output={tmp_path / 'out'}",
        "--label=stable",
    )
    assert done.returncode == 1
    assert files(tmp_path / "out") == {path.with_suffix(".png") for path in good}
    for path in good:
        answer = (tmp_path / "out" / path.with_suffix(".png")).read_bytes()
        assert answer == direct((tmp_path / "in" / path).read_bytes()), path
    named = re.findall(r"^failed: (\S+): (.+)$", done.stderr, re.MULTILINE)
    assert {name for name, _ in named} == {str(tmp_path / "in" / p) for p in bad}
    assert len(named) == 20
    reasons = {reason for _, reason in named}
    assert "Cannot decode image_bytes: none of JPEG, PNG, GIF, BMP" in reasons
    assert not any("{{" in reason for reason in reasons)
    assert f"180 of 200 maps in {tmp_path / 'out'}" in done.stdout
    assert f"of picanet version 1 at {getattr(server, kind)}" in done.stdout
    assert re.search(
        r"latency p50 \d+ ms, p90 \d+ ms, p99 \d+ ms; [\d.]+ images/s, 8 in flight\n",
        done.stdout,
    )
    assert last_line(done) == (
        f"client_{kind}.py: error: 20 of 200 images have no map: 20 failed, 0 not sent"
    )
    assert server.model.most_at_once == 8
    assert server.model.served == [1] * 180


@BOTH
def test_answers_from_merged_batches_are_right(kind, serve, direct, tmp_path):
    server = serve(batching=(8, 0.05))
    good, _ = write_photos(tmp_path / "in", 40)
    done = run(
        kind, f"--server={getattr(server, kind)}", tmp_path / "in",
        f"--output={tmp_path / 'out'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert max(server.model.batches) > 1 and sum(server.model.batches) == 40
    for path in good:
        answer = (tmp_path / "out" / path.with_suffix(".png")).read_bytes()
        assert_grey_equal(answer, direct((tmp_path / "in" / path).read_bytes()))
    assert server.model.served == [2] * 40  # The highest, when none is asked for.


def assert_grey_equal(png, wanted):
    a, b = (np.int32(Image.open(io.BytesIO(content))) for content in (png, wanted))
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 1  # Rounding: another batch, other kernels.


@BOTH
def test_single_photo_is_answered_by_the_given_version(
    kind, serve, direct, photos, tmp_path
):
    server = serve()
    done = run(
        kind, f"--server={getattr(server, kind)}", photos / "0.jpeg",
        f"--output={tmp_path / 'out'}", "--version=1", "--in_flight=1",
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    answer = (tmp_path / "out" / "0.png").read_bytes()
    assert answer == direct((photos / "0.jpeg").read_bytes())
    assert server.model.served == [1]


@BOTH
def test_photo_larger_than_the_grpc_default_is_sent(kind, serve, direct, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), np.uint8)
    photo = encoded(noise, "PNG")
    assert len(photo) > 5e6
    (tmp_path / "large.png").write_bytes(photo)
    done = run(
        kind, f"--server={getattr(serve(), kind)}", tmp_path / "large.png",
        f"--output={tmp_path / 'out'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "large.png").read_bytes() == direct(photo)


@BOTH
def test_resume_sends_what_is_missing(kind, serve, photos, tmp_path):
    server = serve()
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "1.png").write_bytes(b"mine")
    words = [
        f"--server={getattr(server, kind)}",
        photos,
        f"--output={tmp_path / 'out'}",
    ]
    done = run(kind, *words, "--resume")
    assert done.returncode == 0
    assert "1 of 10 maps exist already" in done.stdout and "9 of 9 maps" in done.stdout
    assert (tmp_path / "out" / "a" / "1.png").read_bytes() == b"mine"
    assert len(server.model.served) == 9
    assert run(kind, *words, "--resume").returncode == 0
    assert len(server.model.served) == 9


@BOTH
def test_temporarily_unavailable_server_is_retried(kind, serve, photos, tmp_path):
    server = serve()
    server.model.unavailable = 5
    done = run(
        kind, f"--server={getattr(server, kind)}", photos,
        f"--output={tmp_path / 'out'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out")) == 10
    assert done.stdout.endswith("; 5 requests sent again\n")


@BOTH
def test_permanently_unavailable_server_is_given_up(kind, serve, photos, tmp_path):
    server = serve()
    server.model.unavailable = 1000
    done = run(
        kind, f"--server={getattr(server, kind)}", photos,
        f"--output={tmp_path / 'out'}", "--retries=1", "--in_flight=3",
    )  # fmt: skip
    assert done.returncode == 1
    assert "is gone: The batch scheduling queue is full" in last_line(done)
    failed, unsent = counts(done)
    assert 3 <= failed <= 5 and failed + unsent == 10
    assert 1000 - server.model.unavailable <= 2 * failed


def counts(done):
    found = re.search(r"(\d+) failed, (\d+) not sent", last_line(done))
    return int(found[1]), int(found[2])


@BOTH
def test_stalled_server_times_out(kind, serve, photos, tmp_path):
    server = serve()
    server.model.delay = 5
    start = time.monotonic()
    done = run(
        kind, f"--server={getattr(server, kind)}", photos,
        f"--output={tmp_path / 'out'}", "--timeout=1.5", "--in_flight=2",
    )  # fmt: skip
    assert time.monotonic() - start < 30
    assert done.returncode == 1
    assert f"failed: {photos / '0.jpeg'}: no answer within 1.5 s" in done.stderr
    failed, unsent = counts(done)
    assert 2 <= failed <= 3 and failed + unsent == 10
    assert not (tmp_path / "out").exists()


@BOTH
def test_unreachable_server_is_reported(kind, photos, tmp_path):
    done = run(
        kind, f"--server={NOBODY[kind]}", photos, f"--output={tmp_path}", "--retries=1"
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"client_{kind}.py: error: --server: {NOBODY[kind]}: ")
    assert "Connection refused" in line


WRONG = {
    "--model=piccaso": "does not serve piccaso: Servable not found for request: Latest",
    "--label=best": "does not serve picanet, label best: Unrecognized servable version "
    "label: best",
    "--version=7": "does not serve picanet, version 7: Servable not found for request: "
    "Specific(picanet, 7)",
    "--signature=saliency": "--signature must be one of attention, image_bytes, "
    "serving_default",
    "--signature=serving_default": "must map image_bytes to saliency_png_bytes. "
    "Received: serving_default of picanet",
}


@BOTH
@pytest.mark.parametrize("flag", WRONG)
def test_models_unknown_to_the_server_are_reported(kind, flag, serve, photos, tmp_path):
    server = serve()
    done = run(
        kind, f"--server={getattr(server, kind)}", photos, f"--output={tmp_path}", flag
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert WRONG[flag] in line and getattr(server, kind) in line
    assert server.model.served == []


MISTAKES = [
    (["--output=o"], "--input is missing"),
    (["in"], "--output is missing"),
    (["nowhere", "--output=o"], "--input: there is no nowhere"),
    (["in", "--output=o", "--version=1", "--label=stable"], "give only one of them"),
    (["in", "--output=o", "--server=/"], "--server must be"),
    (["in", "--output=o", "--in_flight=0"], "in_flight"),
    (["film.mp4", "--output=o"], "--input must be images. Received: video film.mp4"),
]


@pytest.mark.parametrize("words, message", MISTAKES)
def test_invalid_arguments_are_reported_before_anything_is_sent(words, message, photos):
    (photos.parent / "film.mp4").touch()
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "client_rest.py", *words],
        cwd=photos.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert message in line


def test_grpc_client_rejects_a_url(photos, tmp_path):
    done = run("grpc", "--server=http://localhost:8500", photos, f"--output={tmp_path}")
    assert done.returncode == 1
    assert "--server must be HOST:PORT. Received: http://localhost:8500" in done.stderr


def test_server_killed_midway_is_reported(base, tmp_path):
    """Both clients at once: what was answered is there, the rest is accounted for."""
    write_photos(tmp_path / "in", 300)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.deploy.server", base, "0.2"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        grpc, rest = server.stdout.readline().split()
        addresses = {"grpc": grpc, "rest": rest}
        clients = {
            kind: subprocess.Popen(
                command(kind, f"--server={address}", tmp_path / "in", "--retries=1")
                + [f"--output={tmp_path / kind}"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for kind, address in addresses.items()
        }
        wait_for(lambda: all((tmp_path / kind / "a").exists() for kind in clients))
    finally:
        server.kill()
        server.wait()
    for kind, client in clients.items():
        stdout, stderr = client.communicate(timeout=30)
        assert client.returncode == 1 and "Traceback" not in stderr
        line = stderr.strip().splitlines()[-1]
        assert f"{addresses[kind]} is gone: " in line
        written = int(re.search(r"^(\d+) of 300 maps", stdout, re.MULTILINE)[1])
        failed, unsent = re.search(r"(\d+) failed, (\d+) not sent", line).groups()
        assert 0 < written < 300 and int(unsent) > 0
        assert written + int(failed) + int(unsent) == 300
        maps = files(tmp_path / kind)
        assert len(maps) == written
        for path in maps:  # No half of a file.
            assert (tmp_path / kind / path).read_bytes().endswith(b"IEND\xaeB`\x82")


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@BOTH
def test_ctrl_c_finishes_requests_in_flight(kind, serve, photos, tmp_path):
    server = serve()
    server.model.delay = 0.5
    client = subprocess.Popen(
        command(kind, f"--server={getattr(server, kind)}", photos, "--in_flight=2")
        + [f"--output={tmp_path / 'out'}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: len(server.model.served) >= 2)
    client.send_signal(signal.SIGINT)
    stdout, stderr = client.communicate(timeout=30)
    assert client.returncode == 130 and "Traceback" not in stderr
    assert "Waiting for requests in flight" in stderr
    written = len(files(tmp_path / "out"))
    assert 2 <= written <= 6 and written == len(server.model.served)
    assert f"{written} of 10 maps" in stdout
    assert f"0 failed, {10 - written} not sent" in stderr


@pytest.mark.parametrize(
    "module, absent",
    [
        ("deploy.client_rest", ("tensorflow", "keras", "grpc", "tensorflow_serving")),
        ("deploy.client_grpc", ("tensorflow.python", "keras", "requests")),
    ],
)
def test_starts_without_tensorflow(module, absent):
    code = (
        f"import sys, {module} as client\n"
        "if hasattr(client, 'GrpcClient'): client.GrpcClient('a:1', 'm')\n"
        f"print([name for name in {absent} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
