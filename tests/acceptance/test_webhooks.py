"""Webhooks as who runs them meets them: by the command, by the API and at a receiver."""

import json

import pytest
import standardwebhooks
from replicate.webhook import InvalidSignatureError, Webhooks, WebhookSigningSecret

from tests.acceptance import javascript_client
from tests.instance import Api, Instance
from tests.instance import until as until_true
from tests.receiver import Delivery, Receiver, SlowReceiver


@pytest.fixture
def echo(instance: Instance) -> str:
    return instance.model("echo")


def command(instance: Instance, *arguments: str) -> str:
    done = instance.command("webhook", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_endpoint_from_its_making_to_its_end(instance: Instance, api: Api, echo: str, receiver: Receiver):
    endpoint = command(instance, "add", f"{receiver.url}?key=sesame").strip()
    try:
        assert endpoint in command(instance, "endpoints")
        tested = instance.command("webhook", "test", endpoint)
        assert tested.returncode == 0, tested.stderr
        assert "took it: HTTP 200" in tested.stderr
        assert "sesame" not in tested.stderr
        made = api.create(echo, text="hello")
        receiver.wait_for(lambda _: receiver.completed(made["id"]))
        [delivery] = receiver.completed(made["id"])
        key = api.get("/webhooks/default/secret").json()["key"]
        assert standardwebhooks.Webhook(key).verify(delivery.body, delivery.headers)
        of_it = ("list", "--prediction", made["id"])
        until_true(lambda: "delivered" in command(instance, *of_it, "--event", "completed"))
        assert "delivered" not in command(instance, *of_it, "--event", "start")
        seen = json.loads(command(instance, "show", delivery.headers["webhook-id"]))
        assert [attempt["status"] for attempt in seen["log"]] == [200]
        command(instance, "replay", delivery.headers["webhook-id"])
        receiver.wait_for(lambda _: len(receiver.completed(made["id"])) == 2)
        again = receiver.completed(made["id"])[1]
        assert (again.headers["webhook-id"], again.body) == (delivery.headers["webhook-id"], delivery.body)
        command(instance, "disable", endpoint)
        assert "Disabled by its account." in command(instance, "endpoints")
        command(instance, "enable", endpoint)
    finally:
        command(instance, "remove", endpoint)
    assert endpoint not in command(instance, "endpoints")


def test_a_test_says_what_went_wrong(instance: Instance, receiver: Receiver):
    endpoint = command(instance, "add", receiver.url).strip()
    receiver.answers, receiver.answer_body = [500], b"no such table: orders"
    failed = instance.command("webhook", "test", endpoint)
    command(instance, "remove", endpoint)
    assert failed.returncode == 1
    assert "did not take it: HTTP 500: no such table: orders" in failed.stderr


def test_what_was_given_up_is_listed_and_sent_again_since_a_moment(
    instance: Instance, api: Api, echo: str, receiver: Receiver
):
    receiver.answers = [410, 410]
    wanted = [{"webhook": f"{receiver.url}/{n}", "webhook_events_filter": ["completed"]} for n in range(2)]
    made = [api.create(echo, more=events, text="hello")["id"] for events in wanted]

    def dead() -> list[str]:
        found = api.get("/webhooks/messages", params={"state": "dead", "event": "completed"}).json()["results"]
        return [message["prediction"] for message in found]

    until_true(lambda: set(made) <= set(dead()))
    replayed = instance.command("webhook", "replay", "--since", "1h")
    assert "sent again" in replayed.stderr
    receiver.wait_for(lambda _: all(len(receiver.completed(prediction_id)) == 2 for prediction_id in made))
    until_true(lambda: not set(made) & set(dead()))


def test_what_was_given_up_is_deleted_by_its_id_or_its_age(instance: Instance, api: Api, echo: str, receiver: Receiver):
    receiver.answers = [410, 410]
    wanted = [{"webhook": f"{receiver.url}/{n}", "webhook_events_filter": ["completed"]} for n in range(2)]
    one, other = (api.create(echo, more=events, text="hello")["id"] for events in wanted)

    def messages(prediction_id: str) -> list[str]:
        found = api.get("/webhooks/messages", params={"state": "dead", "prediction": prediction_id}).json()["results"]
        return [message["id"] for message in found]

    until_true(lambda: messages(one) and messages(other))
    command(instance, "discard", *messages(one))
    assert messages(one) == []
    command(instance, "discard", "--before", "1h")
    assert messages(other)
    command(instance, "discard", "--before", "0s")
    assert messages(other) == []


def test_a_rotated_secret_is_taken_up_by_a_running_sender(instance: Instance, api: Api, echo: str, receiver: Receiver):
    former = api.get("/webhooks/default/secret").json()["key"]
    newest = command(instance, "rotate", "--overlap-hours", "0").strip()
    assert newest != former

    def is_signed_by_the_newest() -> bool:
        made = api.create(echo, more={"webhook": receiver.url, "webhook_events_filter": ["completed"]}, text="hello")
        receiver.wait_for(lambda _: receiver.completed(made["id"]))
        [delivery] = receiver.completed(made["id"])
        return is_signed_by(newest, delivery)

    until_true(is_signed_by_the_newest)


def is_signed_by(secret: str, delivery: Delivery) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(delivery.body, delivery.headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("verify", ["python", "javascript"])
def test_after_a_rotation_clients_trust_webhooks_with_the_new_secret_and_with_the_one_before(
    instance: Instance, api: Api, echo: str, receiver: Receiver, verify: str
):
    if verify == "javascript":
        javascript_client.require()
    outdated = command(instance, "rotate", "--overlap-hours", "0").strip()
    former, newest = [command(instance, "rotate", "--overlap-hours", hours).strip() for hours in ("0", "24")]

    def is_signed_by_the_newest() -> Delivery | None:
        made = api.create(echo, more={"webhook": receiver.url, "webhook_events_filter": ["completed"]}, text="hello")
        receiver.wait_for(lambda _: receiver.completed(made["id"]))
        [delivery] = receiver.completed(made["id"])
        return delivery if is_signed_by(newest, delivery) else None

    delivery = until_true(is_signed_by_the_newest)
    trusts = {"python": python_trusts, "javascript": javascript_trusts}[verify]
    assert [trusts(instance, delivery, secret) for secret in (newest, former, outdated)] == [True, True, False]


def python_trusts(_: Instance, delivery: Delivery, secret: str) -> bool:
    key = WebhookSigningSecret(key=secret)
    try:
        Webhooks.validate(headers=delivery.headers, body=delivery.body.decode(), secret=key, tolerance=300)
    except InvalidSignatureError:
        return False
    return True


def javascript_trusts(instance: Instance, delivery: Delivery, secret: str) -> bool:
    arguments = {name: delivery.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    stdin = json.dumps([{**arguments, "body": delivery.body.decode()}])
    answer = javascript_client.answer_of(instance, "verify.mjs", secret, stdin=stdin)
    assert answer["changed"] == [False]
    return answer["trusted"] == [True]


def test_two_hundred_pieces_a_second_make_two_webhooks_a_second_and_the_last_one_has_them_all(
    instance: Instance, api: Api, receiver: Receiver
):
    pieces, events = 1000, ["output", "completed"]
    more = {"webhook": receiver.url, "webhook_events_filter": events}
    made = api.create(instance.model("counts_slowly"), more=more, to=pieces, seconds=0.005)
    receiver.wait_for(lambda _: receiver.completed(made["id"]), seconds=60)
    *snapshots, last = [delivery.json for delivery in receiver.deliveries]
    assert last["status"] == "succeeded"
    assert last["output"] == [f"{number} " for number in range(1, pieces + 1)]
    assert 1 < len(snapshots) <= 2 * last["metrics"]["predict_time"] + 1
    lengths = [len(snapshot["output"]) for snapshot in snapshots]
    assert lengths == sorted(lengths)
    assert all(
        snapshot["output"] == last["output"][:length] for snapshot, length in zip(snapshots, lengths, strict=True)
    )


def test_a_receiver_that_does_not_answer_holds_up_no_other(
    instance: Instance, api: Api, echo: str, receiver: Receiver, slow_receiver: SlowReceiver
):
    silent = {"webhook": slow_receiver.url, "webhook_events_filter": ["completed"]}
    stuck = [api.create(echo, more=silent, text="hello")["id"] for _ in range(120)]
    slow_receiver.wait_for(lambda deliveries: len(deliveries) == 4)
    made = api.create(echo, more={"webhook": receiver.url, "webhook_events_filter": ["completed"]}, text="hello")
    receiver.wait_for(lambda _: receiver.completed(made["id"]))
    assert slow_receiver.most_at_once == 4
    slow_receiver.may_answer.set()
    slow_receiver.wait_for(lambda _: all(slow_receiver.completed(each) for each in stuck), seconds=60)
    assert slow_receiver.most_at_once == 4


def test_messages_that_wait_outlive_an_emptied_redis(
    instance: Instance, api: Api, echo: str, slow_receiver: SlowReceiver
):
    events = {"webhook": slow_receiver.url, "webhook_events_filter": ["completed"]}
    owed = [api.create(echo, more=events, text="hello")["id"] for _ in range(100)]
    for prediction_id in owed:
        api.until_status(prediction_id, "succeeded")
    instance.redis().flushdb()
    slow_receiver.may_answer.set()
    slow_receiver.wait_for(lambda _: all(slow_receiver.completed(each) for each in owed), seconds=60)
    came = [delivery.headers["webhook-id"] for delivery in slow_receiver.deliveries]
    assert len(set(came)) == len(owed)
