"""`pinion serve` and what a model can do besides predicting: run several at once, judge itself, read its context."""

from concurrent.futures import ThreadPoolExecutor

from tests.served import serving


def test_as_many_run_at_once_as_the_model_says_and_each_keeps_its_own() -> None:
    with serving("runs_together") as served, ThreadPoolExecutor(3) as pool:
        bodies = [{"id": name, "input": {"name": name, "together": 3}} for name in ("a", "b", "c")]
        waiting = [pool.submit(served.predict, body) for body in bodies]
        answers = {answer["id"]: answer for answer in (future.result().json() for future in waiting)}
        assert {name: answer["output"] for name, answer in answers.items()} == {
            name: [f"{name}{number}" for number in range(3)] for name in ("a", "b", "c")
        }
        assert all(f"{name} prints 2" in answer["logs"] for name, answer in answers.items())
        assert "b prints" not in answers["a"]["logs"]


def test_only_the_named_one_of_several_is_canceled_and_full_is_busy() -> None:
    with serving("runs_together") as served:
        for name in ("a", "b", "c"):
            body = {"id": name, "input": {"name": name, "together": 9}}
            assert served.predict(body, Prefer="respond-async").status_code == 202
        assert served.health()["status"] == "BUSY"
        assert served.predict({"input": {"name": "d"}}).status_code == 409
        assert served.client.post("/predictions/b/cancel").status_code == 200
        served.wait_until("READY")
        cancels = [served.client.post(f"/predictions/{name}/cancel").status_code for name in ("a", "b", "c")]
        assert cancels == [200, 404, 200]


def test_a_model_that_is_not_well_says_so_itself() -> None:
    with serving("is_well_if_told") as served:
        assert "user_healthcheck_error" not in served.health()
        for answer, sentence in (("no", "returned False"), ("out of memory", "Healthcheck failed: out of memory")):
            served.predict({"input": {"answer": answer}})
            health = served.health()
            assert health["status"] == "UNHEALTHY"
            assert sentence in health["user_healthcheck_error"]
        assert served.predict({"input": {"answer": "yes"}}).json()["status"] == "succeeded"
        assert served.health()["status"] == "READY"


def test_trainings_are_not_promised_where_there_are_none() -> None:
    with serving("echo") as served:
        document = served.client.get("/openapi.json").json()
        assert [path for path in document["paths"] if path.startswith("/trainings")] == []
        assert [name for name in document["components"]["schemas"] if name.startswith("Training")] == []
        assert served.client.post("/trainings", json={"input": {"word": "a"}}).status_code == 404


def test_the_context_of_a_prediction_reaches_its_model() -> None:
    with serving("runs_two_at_once") as served:
        body = {"input": {"name": "child"}, "context": {"of": "somebody"}}
        assert served.predict(body).json()["output"] == "child of somebody"
        refused = served.predict({**body, "context": {"of": 1}})
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "context"])
