"""What merging requests means for callers: why batching is for serving_default only."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from deploy.client import Refused
from deploy.client_grpc import GrpcClient
from deploy.client_rest import RestClient
from tests.serving.networks import encoded, photo, pixels

# Four requests fill a batch; the time is never waited for.
FULL_BATCH = (4, 60)
CLIENTS = pytest.mark.parametrize(
    "client, port", [(RestClient, "rest"), (GrpcClient, "grpc")]
)


def all_at_once(call, requests_):
    def caught(request):
        try:
            return call(request)
        except Refused as error:
            return error

    with ThreadPoolExecutor(len(requests_)) as pool:
        return list(pool.map(caught, requests_))


@pytest.fixture(scope="module")
def images():
    """Three photos and, third, none."""
    good = [encoded(photo((20, 30 + n), n), "PNG") for n in range(3)]
    return [*good[:2], b"no photo", good[2]]


@CLIENTS
def test_one_corrupt_image_fails_its_whole_batch(client, port, serve, images):
    server = serve(batching=FULL_BATCH)
    answers = all_at_once(
        client(getattr(server, port), "picanet", timeout=120).predict, images
    )
    assert server.model.batches == [4]
    # To those whose photo is fine, too: so the text leaves out which image it was.
    assert [str(answer) for answer in answers] == [
        "Cannot decode image_bytes: none of JPEG, PNG, GIF, BMP"
    ] * 4


@CLIENTS
def test_without_merging_only_the_corrupt_image_fails(
    client, port, serve, images, direct
):
    server = serve()
    answers = all_at_once(client(getattr(server, port), "picanet").predict, images)
    assert isinstance(answers[2], Refused)
    for n in (0, 1, 3):
        assert answers[n] == direct(images[n])
    assert server.model.batches == [1] * 4


@pytest.mark.parametrize("by", ["rest", "grpc"])
def test_serving_default_may_be_merged(by, serve, versions):
    server = serve(batching=FULL_BATCH)
    images = pixels(4, 32)[:, np.newaxis]

    def over_rest(image):
        answer = requests.post(
            f"{server.rest}/v1/models/picanet:predict",
            json={"instances": image.tolist()},
            timeout=120,
        )
        return np.array(answer.json()["predictions"])

    def over_grpc(image):
        with grpc.insecure_channel(server.grpc) as channel:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "picanet"
            request.inputs["image"].CopyFrom(tf.make_tensor_proto(image))
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            answer = stub.Predict(request, timeout=120)
            return tf.make_ndarray(answer.outputs["saliency"])

    answers = all_at_once({"rest": over_rest, "grpc": over_grpc}[by], list(images))
    assert server.model.batches == [4]
    for image, answer in zip(images, answers, strict=True):
        wanted = versions[2].run("serving_default", {"image": image})["saliency"]
        assert answer.shape == (1, 32, 32, 1)
        np.testing.assert_allclose(answer, wanted, atol=1e-5)
