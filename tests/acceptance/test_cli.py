"""The `pinion` command as a person types it, against a running instance."""

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.instance import PREDICTORS, PROJECT, TERMINAL, Api, Instance, on_one_backend, until

COUNTS_SLOWLY = "pinion/counts_slowly"


@pytest.fixture
def counting(instance: Instance) -> str:
    return instance.model("counts_slowly")


def test_push_prints_the_version_and_its_address(instance: Instance, api: Api):
    pushed = instance.command("push", PREDICTORS / "echo", "pinion/pushed")
    version, address = pushed.stdout.splitlines()
    assert pushed.returncode == 0
    assert version.partition(":")[0] == "pinion/pushed"
    assert address == f"{instance.address}/v1/models/pinion/pushed"
    assert api.get(address).json()["latest_version"]["id"] == version.partition(":")[2]
    assert api.create(version, wait=True, text="hello")["output"] == "hello"


def test_push_of_the_same_folder_gives_the_same_version(instance: Instance, counting: str):
    assert instance.push(PREDICTORS / "counts_slowly", COUNTS_SLOWLY) == counting


def test_push_of_a_model_that_cannot_be_imported_says_why(instance: Instance):
    pushed = instance.command("push", PREDICTORS / "fails_at_import", "pinion/broken")
    assert pushed.returncode == 1
    assert "a_module_that_is_not_there" in pushed.stderr
    assert "pinion: pinion/broken could not be built" in pushed.stderr


@on_one_backend
def test_push_begins_a_line_for_its_address_where_the_log_ended_none(instance: Instance, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text("print('loaded', end='')\ndef predict() -> str: return ''\n")
    assert instance.command("push", tmp_path, "pinion/unended").stderr.endswith("loaded\n")


@on_one_backend
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((PREDICTORS, "pinion/echo"), "has no cog.yaml"),
        ((PREDICTORS / "nowhere", "pinion/echo"), "is no folder"),
        ((PREDICTORS / "echo", "echo"), "write it as owner/name"),
        ((PREDICTORS / "echo", "somebody/echo"), "models of your own account only"),
        ((PREDICTORS / "echo", "pinion/Echo!"), "lower-case letters"),
    ],
)
def test_push_of_something_wrong_says_what(instance: Instance, arguments: tuple[str | Path, ...], says: str):
    pushed = instance.command("push", *arguments)
    assert_one_sentence(pushed, says)


def test_a_second_account_runs_public_models_and_its_own(instance: Instance):
    assert instance.command("account", "create", "ada").returncode == 0
    scopes = ("predictions:read", "predictions:write", "models:read", "models:write")
    full = instance.command("token", "create", "ada", *(word for scope in scopes for word in ("--scope", scope)))
    ordinary = instance.command("token", "create", "ada")

    def done(token: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return instance.command(*arguments, PINION_API_TOKEN=token.strip())

    public = done(ordinary.stdout, "run", "pinion/tiny-t5", "-i", "prompt=spell: 4217")
    assert public.stdout.strip() == "four thousand two hundred seventeen", public.stderr
    private = done(ordinary.stdout, "run", instance.model("echo"), "-i", "text=hello")
    assert_one_sentence(private, "Not found")
    refused = done(ordinary.stdout, "push", PREDICTORS / "echo", "ada/echo")
    assert_one_sentence(refused, "Your token lacks the scope models:write")
    pushed = done(full.stdout, "push", PREDICTORS / "echo", "ada/echo")
    assert pushed.returncode == 0, pushed.stderr
    own = done(ordinary.stdout, "run", "ada/echo", "-i", "text=hello")
    assert own.stdout.strip() == "hello"

    assert instance.command("token", "revoke", ordinary.stdout.strip()).returncode == 0
    until(lambda: "Unauthenticated" in done(ordinary.stdout, "run", "ada/echo", "-i", "text=hello").stderr)


def test_the_first_request_that_up_proposes_works_as_pasted(instance: Instance):
    done = subprocess.run(["sh", "-euc", instance.first_request], capture_output=True, text=True, timeout=60)
    prediction = json.loads(done.stdout)
    assert prediction["status"] == "succeeded"
    assert "".join(prediction["output"]) == "four thousand two hundred seventeen"


def test_run_of_the_bundled_model_prints_its_answer(instance: Instance):
    done = instance.command("run", "pinion/tiny-t5", "-i", "prompt=spell: 4217")
    assert done.stdout == "four thousand two hundred seventeen\n", done.stderr


def test_run_shows_the_output_while_it_comes(instance: Instance, api: Api, counting: str):
    command = [PROJECT / "pinion", "run", COUNTS_SLOWLY, "-i", "to=4", "-i", "seconds=0.5"]
    with subprocess.Popen(command, env=instance.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read(2) == b"1 "
        newest = api.get("/predictions").json()["results"][0]
        assert newest["status"] not in TERMINAL
        assert process.stdout.read() == b"2 3 4 \n"
    assert process.returncode == 0


@on_one_backend
def test_run_takes_its_input_as_json_too(instance: Instance, counting: str):
    command = [PROJECT / "pinion", "run", counting, "--json", "-"]
    stdin = json.dumps({"to": 2})
    done = subprocess.run(command, env=instance.environment, input=stdin, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1 2 \n"


@on_one_backend
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-i", "to=many"), "to is of type integer"),
        (("-i", "to=-1"), "input.to: Must be greater than or equal to 0"),
        (("-i", "to"), "key=value"),
    ],
)
def test_run_with_a_bad_input_says_what_is_wrong(
    instance: Instance, counting: str, arguments: tuple[str, ...], says: str
):
    assert_one_sentence(instance.command("run", COUNTS_SLOWLY, *arguments), says)


def test_run_of_a_model_that_fails_says_how(instance: Instance):
    done = instance.command("run", instance.model("raises"))
    assert_one_sentence(done, "out of cheese")


@on_one_backend
def test_run_of_an_unknown_model_says_so(instance: Instance):
    assert_one_sentence(instance.command("run", "pinion/nobody"), "could not be found")


@on_one_backend
def test_run_with_a_wrong_token_says_which_one_is_wanted(instance: Instance, counting: str):
    done = instance.command("run", COUNTS_SLOWLY, PINION_API_TOKEN="r8_wrong")
    assert_one_sentence(done, "the token is that of PINION_API_TOKEN, else of REPLICATE_API_TOKEN")


@on_one_backend
def test_run_where_no_server_is_says_how_to_start_one(instance: Instance):
    done = instance.command("run", COUNTS_SLOWLY, "--url", "http://127.0.0.1:9")
    assert_one_sentence(done, "Nothing answers at http://127.0.0.1:9: start it with ./pinion up")


def test_a_second_up_on_the_same_folder_says_where_the_first_one_is(instance: Instance):
    second = instance.command("up", PINION_PORT="0")
    assert_one_sentence(second, f"Pinion already runs on {instance.home} at {instance.address}")
    assert str(instance.up.pid) in second.stderr


@on_one_backend
def test_up_on_a_taken_port_says_who_has_it_and_how_to_take_another(instance: Instance, tmp_path: Path):
    port = str(urlsplit(instance.address).port)
    second = instance.command("up", PINION_PORT=port, PINION_HOME=str(tmp_path), REDIS_URL="", DATABASE_URL="")
    [server] = instance.processes("api")
    assert_one_sentence(second, f"Port {port} is taken by")
    assert f"process {server.pid}" in second.stderr
    assert "PINION_PORT=" in second.stderr


def assert_one_sentence(done: "subprocess.CompletedProcess[str]", says: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("pinion: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_ps_shows_what_runs_and_says_it_as_json_too(instance: Instance, api: Api):
    model = instance.model("prints_everywhere")
    name, _, version = model.partition(":")
    assert api.create(model, wait=True)["status"] == "succeeded"

    def line() -> list[str]:
        shown = instance.command("ps", "--url", instance.address, PINION_API_TOKEN=instance.token)
        assert shown.returncode == 0, shown.stderr
        return next((line.split() for line in shown.stdout.splitlines() if version[:12] in line), [])

    until(lambda: line()[:3] == [name, version[:12], "warm"], 15)
    assert int(line()[3]) == instance.model_process(model).pid
    [worker] = json.loads(instance.command("ps", "--json").stdout)["results"]
    assert version in [shown["version"] for shown in worker["models"]]


@on_one_backend
def test_ps_with_logs_shows_what_a_model_printed_outside_predictions(instance: Instance, api: Api):
    model = instance.model("falls_ill")
    assert "exited with code 3" in api.create(model, wait=True, dies=True)["error"]
    until(lambda: "looking for the weights" in instance.command("ps", "--logs").stdout, 15)
    failed = "pinion/falls_ill failed once: The model process exited with code 3"  # told with the next heartbeat
    shown = until(lambda: failed in (found := instance.command("ps").stdout) and found)
    assert "looking for the weights" not in shown
