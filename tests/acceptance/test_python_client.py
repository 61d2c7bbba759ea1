"""Replicate's own Python client, pointed at Pinion and used as its documentation shows."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.stream import ServerSentEvent
from replicate.webhook import Webhooks
from standardwebhooks import Webhook

from tests.instance import TERMINAL, Api, Instance, until
from tests.receiver import Delivery, Receiver

TINY_T5 = "pinion/tiny-t5"
COUNTED = "ninety-seven, ninety-eight, ninety-nine, one hundred, one hundred one, one hundred two, "
COUNTED += "one hundred three, one hundred four, one hundred five"
PAGE_SIZE = 100


@pytest.fixture
def client(instance: Instance) -> Iterator[replicate.Client]:
    client = replicate.Client(api_token=instance.token, base_url=instance.address)
    with closing(client._client):
        yield client


@pytest.fixture
def counting(instance: Instance) -> str:
    return instance.model("counts_slowly")


def texts(stream: Iterator[ServerSentEvent]) -> list[str]:
    return [event.data for event in stream if event.event is ServerSentEvent.EventType.OUTPUT]


def test_run_answers_a_number_in_words(client: replicate.Client):
    output = client.run(TINY_T5, input={"prompt": "spell: 4217"})
    assert "".join(output) == "four thousand two hundred seventeen"


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
def test_the_address_may_be_written_with_and_without_its_version(instance: Instance, counting: str, base: str):
    client = replicate.Client(api_token=instance.token, base_url=instance.address + base)
    with closing(client._client):
        assert list(client.run(counting, input={"to": 1})) == ["1 "]


def test_links_begin_with_the_address_that_the_client_used(api: Api, counting: str):
    prediction = api.create(counting, to=1)
    shown = api.get(f"/predictions/{prediction['id']}", headers={"host": "pinion.example:8080"}).json()
    assert {url.partition("/v1/")[0].partition("/p/")[0] for url in shown["urls"].values()} == {
        "http://pinion.example:8080"
    }


def test_run_of_a_named_version_gives_the_pieces_of_its_output(client: replicate.Client, counting: str):
    assert list(client.run(counting, input={"to": 3})) == ["1 ", "2 ", "3 "]


def test_run_without_waiting_polls_to_the_same_output(client: replicate.Client, counting: str):
    assert list(client.run(counting, input={"to": 3, "seconds": 0.2}, wait=False)) == ["1 ", "2 ", "3 "]


def test_run_raises_what_the_model_raised(instance: Instance, client: replicate.Client):
    with pytest.raises(ModelError, match="out of cheese"):
        client.run(instance.model("raises"), input={})


def test_stream_brings_the_text_in_pieces(client: replicate.Client):
    pieces = texts(client.stream(TINY_T5, input={"prompt": "count: from 97 to 105"}))
    assert len(pieces) > 5
    assert "".join(pieces) == COUNTED


def test_the_pieces_of_a_stream_are_the_final_output(client: replicate.Client):
    prediction = client.predictions.create(TINY_T5, input={"prompt": "count: from 97 to 105"})
    pieces = texts(prediction.stream())
    prediction.wait()
    assert prediction.status == "succeeded"
    assert pieces == prediction.output


def test_a_webhook_tells_of_start_and_end_and_both_verifiers_trust_it(
    client: replicate.Client, counting: str, receiver: Receiver
):
    version = counting.partition(":")[2]
    prediction = client.predictions.create(version, input={"to": 3, "seconds": 0.4}, webhook=receiver.url)
    deliveries = receiver.wait_for(lambda came: came and came[-1].json["status"] in TERMINAL)
    bodies = [delivery.json for delivery in deliveries]
    prediction.reload()
    assert bodies[0]["status"] == "processing"
    assert [body["status"] for body in bodies[1:-1]] == ["processing"] * (len(bodies) - 2)
    assert bodies[-1]["status"] == "succeeded"
    assert bodies[-1]["output"] == prediction.output == ["1 ", "2 ", "3 "]
    assert len({delivery.headers["webhook-id"] for delivery in deliveries}) == len(deliveries) > 2
    for delivery in deliveries:
        assert_trusted(client, delivery)


def assert_trusted(client: replicate.Client, delivery: Delivery) -> None:
    secret = client.webhooks.default.secret()
    assert Webhook(secret.key).verify(delivery.body, delivery.headers) == delivery.json
    Webhooks.validate(headers=delivery.headers, body=delivery.body.decode(), secret=secret, tolerance=300)


def test_a_webhook_filter_brings_what_it_names_and_nothing_else(
    client: replicate.Client, counting: str, receiver: Receiver
):
    version = counting.partition(":")[2]
    wanted: dict[str, Any] = {"webhook": receiver.url, "webhook_events_filter": ["start", "completed"]}
    client.predictions.create(version, input={"to": 3, "seconds": 0.4}, **wanted)
    deliveries = receiver.wait_for(lambda came: came and came[-1].json["status"] in TERMINAL)
    assert [delivery.json["status"] for delivery in deliveries] == ["processing", "succeeded"]


def test_a_webhook_that_was_refused_comes_again_under_the_same_id(
    client: replicate.Client, counting: str, receiver: Receiver
):
    receiver.answers = [500]
    wanted: dict[str, Any] = {"webhook": receiver.url, "webhook_events_filter": ["completed"]}
    client.predictions.create(counting.partition(":")[2], input={"to": 1}, **wanted)
    first, second = receiver.wait_for(lambda came: len(came) == 2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert_trusted(client, second)


def test_a_hundred_predictions_bring_a_hundred_webhooks_each_once(instance: Instance, api: Api, receiver: Receiver):
    wanted = {"webhook": receiver.url, "webhook_events_filter": ["completed"]}
    made = {api.create(instance.model("echo"), text=str(number), more=wanted)["id"] for number in range(100)}
    deliveries = receiver.wait_for(lambda came: {delivery.json["id"] for delivery in came} >= made)
    assert len(deliveries) == len({delivery.headers["webhook-id"] for delivery in deliveries}) == len(made)


def test_a_running_prediction_is_canceled_long_before_its_end(client: replicate.Client, api: Api, counting: str):
    prediction = client.predictions.create(counting.partition(":")[2], input={"to": 100, "seconds": 0.3})
    api.until_status(prediction.id, "processing")
    prediction.cancel()
    ended = api.until_status(prediction.id, *TERMINAL, seconds=5)
    assert ended["status"] == "canceled"
    prediction.reload()
    assert (prediction.status, prediction.error) == ("canceled", None)


def test_a_waiting_prediction_is_canceled_before_it_runs(client: replicate.Client, api: Api, counting: str):
    version = counting.partition(":")[2]
    running = client.predictions.create(version, input={"to": 100, "seconds": 0.3})
    waiting = client.predictions.create(version, input={"to": 1})
    waiting.cancel()
    running.cancel()
    ended = api.until_status(waiting.id, *TERMINAL)
    assert ended["status"] == "canceled"
    assert "started_at" not in ended


def test_cancel_of_an_ended_prediction_changes_nothing(client: replicate.Client, counting: str):
    prediction = client.predictions.create(counting.partition(":")[2], input={"to": 1}, wait=True)
    prediction.cancel()
    prediction.reload()
    assert prediction.status == "succeeded"


def test_a_wrong_input_raises_an_error_that_names_the_field(client: replicate.Client, counting: str):
    with pytest.raises(ReplicateError) as raised:
        client.run(counting, input={"to": "many"})
    assert raised.value.status == 422
    assert "input.to" in str(raised.value.detail)


def test_an_unknown_model_raises_an_error_that_says_so(client: replicate.Client):
    with pytest.raises(ReplicateError) as raised:
        client.run("pinion/nobody", input={})
    assert raised.value.status == 404


def test_waiting_too_short_answers_starting_and_the_client_goes_on_by_polling(client: replicate.Client, counting: str):
    version = counting.partition(":")[2]
    prediction = client.predictions.create(version, input={"to": 4, "seconds": 0.5}, wait=1)
    assert (prediction.status, prediction.output) == ("starting", None)
    prediction.wait()
    assert prediction.output == ["1 ", "2 ", "3 ", "4 "]


def test_get_gives_what_create_gave_and_what_came_of_it(client: replicate.Client, counting: str):
    created = client.predictions.create(counting.partition(":")[2], input={"to": 2}, wait=True)
    found = client.predictions.get(created.id)
    assert (found.id, found.input, found.output) == (created.id, {"to": 2}, ["1 ", "2 "])
    assert f"{found.model}:{found.version}" == counting
    assert found.metrics
    assert found.metrics["total_time"] >= found.metrics["predict_time"] > 0


def test_the_list_has_every_prediction_once_newest_first_over_several_pages(
    instance: Instance, client: replicate.Client, api: Api
):
    echo = instance.model("echo")
    made = [api.create(echo, text=str(number))["id"] for number in range(PAGE_SIZE + 1)]
    pages = list(replicate.paginate(client.predictions.list))
    listed = [prediction.id for page in pages for prediction in page.results]
    assert len(pages) > 1
    assert len(pages[0].results) == PAGE_SIZE
    assert listed[: len(made)] == made[::-1]
    assert len(set(listed)) == len(listed)
    until(lambda: api.prediction(made[-1])["status"] == "succeeded", 30)


def test_a_model_and_its_versions_can_be_looked_up(client: replicate.Client, counting: str):
    name, _, version_id = counting.partition(":")
    model = client.models.get(name)
    assert f"{model.owner}/{model.name}" == name
    assert model.latest_version
    assert model.latest_version.id == version_id
    assert [version.id for version in model.versions.list()] == [version_id]
    schemas = model.versions.get(version_id).openapi_schema["components"]["schemas"]
    assert set(schemas["Input"]["properties"]) == {"to", "seconds"}


def test_every_model_is_listed(client: replicate.Client, counting: str):
    names = [f"{model.owner}/{model.name}" for page in replicate.paginate(client.models.list) for model in page]
    assert counting.partition(":")[0] in names
    assert len(set(names)) == len(names)
