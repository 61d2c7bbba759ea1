"""The three first requests of the README, run as they stand there: what is promised first has to be true."""

import json
import re
import subprocess
import sys

import pytest

from tests.acceptance import javascript_client
from tests.instance import PROJECT, Instance

EXAMPLE_ADDRESS = "http://127.0.0.1:8000"
SECONDS = 60
ANSWERS = {
    "spell: 4217": "four thousand two hundred seventeen",
    "count: from 97 to 105": "ninety-seven, ninety-eight, ninety-nine, one hundred, one hundred one, one hundred two, "
    "one hundred three, one hundred four, one hundred five",
    "date: 3rd of March 2024": "2024-03-03",
}


def snippet(instance: Instance, language: str, contains: str) -> str:
    """The first block of a language that holds a text, for the instance instead of the usual address."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    found = next((block for block in blocks if contains in block), None)
    if found is None:
        pytest.fail(f"README.md has no ```{language} block with {contains}", pytrace=False)
    return found.replace(EXAMPLE_ADDRESS, instance.address)


def answer_to(script: str) -> str:
    """What the bundled model has to say to the prompt in a script."""
    [prompt] = re.findall(r"""prompt"?: "([^"]+)\"""", script)
    return ANSWERS[prompt]


def run(instance: Instance, *command: str) -> str:
    environment = instance.client_environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_curl_of_the_readme_brings_the_answer(instance: Instance):
    script = snippet(instance, "sh", "curl")
    prediction = json.loads(run(instance, "sh", "-euc", script))
    assert prediction["status"] == "succeeded"
    assert "".join(prediction["output"]) == answer_to(script)


def test_the_python_of_the_readme_prints_the_answer(instance: Instance):
    script = snippet(instance, "python", "replicate")
    assert run(instance, sys.executable, "-c", script).strip() == answer_to(script)


def test_the_javascript_of_the_readme_prints_the_answer(instance: Instance):
    javascript_client.require()
    script = snippet(instance, "javascript", "replicate")
    assert javascript_client.run(instance, "--input-type=module", "-", stdin=script).strip() == answer_to(script)
