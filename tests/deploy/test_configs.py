"""The files of deploy/, read as TF Serving and Docker read them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG = DEPLOY / "config"
FLAG = re.compile(r"--(\w+)=(\S+)")
# tensorflow_serving/servables/tensorflow/session_bundle_config.proto and
# tensorflow_serving/config/monitoring_config.proto, which the package of the API does
# not bring: {message: {field: (number, type)}}.
MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (1, ".google.protobuf.Int64Value"),
        "batch_timeout_micros": (2, ".google.protobuf.Int64Value"),
        "max_enqueued_batches": (3, ".google.protobuf.Int64Value"),
        "num_batch_threads": (4, ".google.protobuf.Int64Value"),
    },
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, ".PrometheusConfig")},
}


def message_of(name: str):
    file = descriptor_pb2.FileDescriptorProto(
        name="configs.proto", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    field_type = descriptor_pb2.FieldDescriptorProto.Type
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            added = described.field.add(name=field, number=number, label=1)
            if kind.startswith("."):
                added.type, added.type_name = field_type.Value("TYPE_MESSAGE"), kind
            else:
                added.type = field_type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()


def test_models_config_is_valid():
    config = text_format.Parse(
        (CONFIG / "models.config").read_text(),
        model_server_config_pb2.ModelServerConfig(),
    )
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("picanet", "tensorflow")
    assert list(model.model_version_policy.specific.versions) == [1]
    assert set(model.version_labels) == {"stable", "canary"}
    # A label of a version that is not loaded makes the server refuse the file.
    assert set(model.version_labels.values()) <= {1}


def test_batching_config_is_valid():
    text = (CONFIG / "batching.config").read_text()
    parameters = text_format.Parse(text, message_of("BatchingParameters"))
    assert parameters.max_batch_size.value == 8
    assert 0 < parameters.batch_timeout_micros.value <= 10_000
    assert parameters.max_enqueued_batches.value == 16
    assert parameters.num_batch_threads.value == 2


def test_monitoring_config_is_valid():
    text = (CONFIG / "monitoring.config").read_text()
    prometheus = text_format.Parse(text, message_of("MonitoringConfig"))
    assert prometheus.prometheus_config.enable
    assert prometheus.prometheus_config.path == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize("name", ["models", "batching", "monitoring"])
def test_unknown_fields_are_detected(name):
    message = {
        "models": model_server_config_pb2.ModelServerConfig,
        "batching": lambda: message_of("BatchingParameters"),
        "monitoring": lambda: message_of("MonitoringConfig"),
    }[name]()
    text = (CONFIG / f"{name}.config").read_text()
    with pytest.raises(text_format.ParseError, match="colour"):
        text_format.Parse(text + "\ncolour: 1", message)


@pytest.fixture(scope="module")
def services():
    yaml = pytest.importorskip("yaml", reason="pip install pyyaml")
    return yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"]


def flags_of(service) -> dict:
    return dict(FLAG.fullmatch(word).groups() for word in service["command"])


def test_both_services_have_a_pinned_image_and_files_that_exist(services):
    assert set(services) == {"serving", "serving-batching"}
    for service in services.values():
        assert service["image"] == "tensorflow/serving:${TF_SERVING_TAG:-2.21.0}"
        mounts = {m["target"]: m["source"] for m in service["volumes"]}
        assert mounts["/config"] == "./config"
        assert all(m["read_only"] for m in service["volumes"])
        flags = flags_of(service)
        for name, value in flags.items():
            if value.startswith("/config/"):
                assert (CONFIG / Path(value).name).is_file(), name
        assert flags["port"] == "8500" and flags["rest_api_port"] == "8501"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_only_one_service_enables_batching(services):
    plain, batching = (
        flags_of(services[name]) for name in ("serving", "serving-batching")
    )
    assert services["serving-batching"]["profiles"] == ["batching"]
    assert "profiles" not in services["serving"]
    assert batching.items() - plain.items() == {
        ("enable_batching", "true"),
        ("batching_parameters_file", "/config/batching.config"),
    }
    assert plain.items() <= batching.items()


def test_health_check_detects_whether_the_model_is_served(services, serve):
    """Run as it stands, but for the port."""
    check, *words = services["serving"]["healthcheck"]["test"]
    assert check == "CMD" and words[:2] == ["bash", "-c"]
    server = serve()

    def code(port, model="picanet"):
        script = words[2].replace("8501", str(port)).replace("picanet", model)
        done = subprocess.run([*words[:2], script], capture_output=True, timeout=30)
        return done.returncode

    port = server.rest.rpartition(":")[2]
    assert code(port) == 0
    assert code(port, "another") == 1
    assert code(1) == 1


def test_docker_compose_accepts_the_file(tmp_path):
    docker = shutil.which("docker")
    if (
        not docker
        or subprocess.run(
            [docker, "compose", "version"], capture_output=True
        ).returncode
    ):
        pytest.skip("docker compose is not installed")
    done = subprocess.run(
        [docker, "compose", "-f", DEPLOY / "docker-compose.yml"]
        + ["--profile", "batching", "config", "--quiet"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
