import datetime
import errno
import fcntl
import json
import multiprocessing

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.training import run_directory
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory


def test_a_new_run_is_the_latest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = RunDirectory.create(Experiment())
    second = RunDirectory.create(Experiment(steps=7))
    assert first.path != second.path
    assert first.path.parent.name == "runs"
    assert first.path.name.endswith("-6GAP_5432AC") or "6GAP_5432AC-" in first.path.name
    latest = RunDirectory.open("runs/latest")
    assert latest.path == second.path.resolve()
    assert latest.load_experiment().steps == 7


def test_an_existing_directory_is_kept(tmp_path):
    """It may be resumed by whoever named it, if it was there when they did."""
    RunDirectory.create(Experiment(), str(tmp_path / "mine"))
    with pytest.raises(PicanetError, match="mine exists already. Give `resume`"):
        RunDirectory.check_new(tmp_path / "mine")
    with pytest.raises(PicanetError, match="mine exists already. Give another `run`"):
        RunDirectory.create(Experiment(), str(tmp_path / "mine"))
    with pytest.raises(PicanetError, match="exists already. Give another `run`"):
        RunDirectory.check_new(tmp_path)


def create_with(seed):
    return RunDirectory.create(Experiment(seed=seed)).path.name


def test_runs_created_at_once_are_all_kept(tmp_path, monkeypatch):
    """Of the same second, and so of the same name, but for the number at its end."""
    monkeypatch.chdir(tmp_path)
    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    clock = type("clock", (datetime.datetime,), {"now": staticmethod(lambda: now)})
    monkeypatch.setattr(run_directory.datetime, "datetime", clock)
    with multiprocessing.get_context("fork").Pool(8) as pool:
        names = pool.map(create_with, range(16), chunksize=1)
    first = "20260102-030405-6GAP_5432AC"
    assert set(names) == {first, *(f"{first}-{number}" for number in range(2, 17))}
    for seed, name in enumerate(names):
        run = RunDirectory.open(tmp_path / "runs" / name)
        assert run.load_experiment().seed == seed
    assert RunDirectory.open("runs/latest").path.name in names
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {*names, "latest"}


def test_default_name_that_another_process_took_is_avoided(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    taken = RunDirectory.create(Experiment(seed=1)).path
    planned = staticmethod(lambda variant, path="": RunDirectory(taken))
    monkeypatch.setattr(RunDirectory, "planned", planned)
    made = RunDirectory.create(Experiment(seed=2))
    assert made.path != taken and made.load_experiment().seed == 2
    assert RunDirectory(taken).load_experiment().seed == 1


def test_data_that_have_moved_are_recorded(tmp_path):
    experiment = Experiment(tfrecords="a", validation_tfrecords="v", steps=7)
    run = RunDirectory.create(experiment, str(tmp_path / "run"), tensorflow="2")
    run.record_move(tfrecords="b")
    run.record_move(tfrecords="c", validation_tfrecords="w")
    assert run.load_experiment() == Experiment(
        tfrecords="c", validation_tfrecords="w", steps=7
    )
    assert run.recorded() == {
        "tensorflow": "2",
        "moved": [
            {"setting": "tfrecords", "from": "a", "to": "b"},
            {"setting": "tfrecords", "from": "b", "to": "c"},
            {"setting": "validation_tfrecords", "from": "v", "to": "w"},
        ],
    }


def test_a_run_at_a_path_is_not_the_latest(tmp_path):
    RunDirectory.create(Experiment(), str(tmp_path / "mine"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_directory_called_latest_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    with pytest.raises(PicanetError, match="runs/latest is not a symbolic link"):
        RunDirectory.create(Experiment())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["latest"]


def test_errors_say_what_is_missing(tmp_path):
    with pytest.raises(PicanetError, match="no run directory .*nowhere"):
        RunDirectory.open(tmp_path / "nowhere")
    with pytest.raises(PicanetError, match="not a run directory: no experiment.json"):
        RunDirectory.open(tmp_path)
    run = RunDirectory.create(Experiment(), str(tmp_path / "run"))
    with pytest.raises(PicanetError, match="no model.keras: .*not reached a check"):
        run.weights()
    with pytest.raises(PicanetError, match="no best.keras: .*without a validation set"):
        run.weights("best")
    experiment = Experiment(validation_tfrecords="x")
    validated = RunDirectory.create(experiment, str(tmp_path / "validated"))
    with pytest.raises(PicanetError, match="no best.keras: no validation with a score"):
        validated.weights("best")
    with pytest.raises(PicanetError, match="'worst'"):
        run.weights("worst")


def test_record_adds_to_earlier_facts(tmp_path):
    run = RunDirectory.create(Experiment(), str(tmp_path / "run"))
    run.record(a=1)
    run.record(b=[2])
    assert run.recorded() == {"a": 1, "b": [2]}
    run.provenance.write_text("{")
    with pytest.raises(PicanetError, match="provenance.json is not JSON"):
        run.recorded()


def test_run_that_links_to_itself_is_reported(tmp_path):
    (tmp_path / "run").symlink_to("run")
    with pytest.raises(PicanetError, match="There is no run directory"):
        RunDirectory.open(tmp_path / "run")


def test_provenance_that_is_not_an_object_is_reported(tmp_path):
    (tmp_path / "provenance.json").write_text("-1")
    with pytest.raises(PicanetError, match="provenance.json must hold a JSON object"):
        RunDirectory(tmp_path).recorded()


@pytest.mark.parametrize("layers", [{}, {"pretrained_layers": "fc6"}])
def test_missing_record_of_pretrained_layers_is_reported(tmp_path, layers):
    (tmp_path / "provenance.json").write_text(json.dumps(layers))
    with pytest.raises(
        PicanetError, match="provenance.json does not record .* restore the file"
    ):
        _ = RunDirectory(tmp_path).pretrained_layers


def test_one_process_at_a_time_trains_in_a_directory(tmp_path):
    run = RunDirectory(tmp_path)
    with (
        run.locked(),
        pytest.raises(PicanetError, match=f"Another process .* in {tmp_path}: wait"),
        RunDirectory(tmp_path).locked(),
    ):
        pass
    with run.locked():
        assert list(tmp_path.iterdir()) == []


def test_runs_work_without_file_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with RunDirectory(tmp_path).locked(), RunDirectory(tmp_path).locked():
        pass
