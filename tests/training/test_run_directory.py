import pytest

from picanet_tf.core.errors import PicanetError
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
    RunDirectory.create(Experiment(), str(tmp_path / "mine"))
    with pytest.raises(PicanetError, match="mine exists already. Give `resume`"):
        RunDirectory.create(Experiment(), str(tmp_path / "mine"))


def test_a_run_at_a_path_is_not_the_latest(tmp_path):
    RunDirectory.create(Experiment(), str(tmp_path / "mine"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_directory_called_latest_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    with pytest.raises(PicanetError, match="runs/latest is not a symbolic link"):
        RunDirectory.create(Experiment())


def test_errors_say_what_is_missing(tmp_path):
    with pytest.raises(PicanetError, match="no run directory .*nowhere"):
        RunDirectory.open(tmp_path / "nowhere")
    with pytest.raises(PicanetError, match="not a run directory: no experiment.json"):
        RunDirectory.open(tmp_path)
    run = RunDirectory.create(Experiment(), str(tmp_path / "run"))
    with pytest.raises(PicanetError, match="no model.keras: .*not reached a check"):
        run.weights()
    with pytest.raises(PicanetError, match="no best.keras: .*without `validation"):
        run.weights("best")
    with pytest.raises(PicanetError, match="'worst'"):
        run.weights("worst")


def test_record_adds(tmp_path):
    run = RunDirectory.create(Experiment(), str(tmp_path / "run"))
    run.record(a=1)
    run.record(b=[2])
    assert run.recorded() == {"a": 1, "b": [2]}
    run.provenance.write_text("{")
    with pytest.raises(PicanetError, match="provenance.json is not JSON"):
        run.recorded()


def test_a_run_that_links_to_itself(tmp_path):
    (tmp_path / "run").symlink_to("run")
    with pytest.raises(PicanetError, match="There is no run directory"):
        RunDirectory.open(tmp_path / "run")


def test_a_provenance_of_another_kind(tmp_path):
    (tmp_path / "provenance.json").write_text("-1")
    with pytest.raises(PicanetError, match="provenance.json must hold a JSON object"):
        RunDirectory(tmp_path).recorded()
