"""cog.yaml as people write it: what is understood, and what is said about what is not.

Nothing is built or started.
"""

from pathlib import Path

import pytest

from worker.events import SetupFailed
from worker.manifest import Manifest, read_manifest

PREDICT = "predict: predict.py:Predictor\n"
OLD = """
image: r8.im/owner/name
predict: "predict.py:Predictor"
train: "train.py:train"
build:
  gpu: true
  cuda: 11.8
  cudnn: 8
  python_version: "3.9"
  python_packages:
    - torch==2.0.1
    - numpy
  system_packages: [ffmpeg]
  run:
    - echo one
    - command: pip config list
      mounts:
        - type: secret
          id: pip
          target: /etc/pip.conf
  pre_install: ["echo zero"]
  fast: false
  cog_runtime: true
  python_overrides: overrides.txt
concurrency:
  max: 4
environment: ["A=b=c"]
tests: []
"""
NEW = """
model: owner/name
run: "run.py:Runner"
build:
  python_version: "3.12"
  python_requirements: requirements.txt
  sdk_version: 0.17
weights:
  - name: base
    target: weights/base
    source: {uri: "hf://org/model", include: ["*.safetensors"]}
concurrency: {max: 2, default_target: 1}
"""


def manifest(folder: Path, content: str) -> Manifest:
    (folder / "cog.yaml").write_text(content)
    return read_manifest(folder)


def complaint(folder: Path, content: str) -> str:
    with pytest.raises(SetupFailed) as refused:
        manifest(folder, content)
    return refused.value.message


def test_everything_of_the_old_generation_is_understood(tmp_path: Path) -> None:
    read = manifest(tmp_path, OLD)
    assert read.reference == "predict.py:Predictor"
    assert (read.build.cuda, read.build.cudnn, read.build.python_version) == ("11.8", "8", "3.9")
    assert [step.command for step in read.build.run] == ["echo one", "pip config list"]
    assert read.content.concurrency.max == 4
    assert read.environment(Path("/env/bin/python"), {}, is_secluded=False)["A"] == "b=c"


def test_everything_of_the_new_generation_is_understood(tmp_path: Path) -> None:
    read = manifest(tmp_path, NEW)
    assert read.reference == "run.py:Runner"
    assert read.build.sdk_version == "0.17"
    assert [(weights.name, weights.target) for weights in read.weights] == [("base", "weights/base")]


def test_a_key_without_a_value_is_as_good_as_none(tmp_path: Path) -> None:
    assert manifest(tmp_path, f"{PREDICT}build:\n  python_packages:\nenvironment:\n").build.python_packages == []


@pytest.mark.parametrize(
    ("written", "read"), [('"3.9"', "3.9"), ("3.11", "3.11"), ('"3.10.4"', "3.10.4"), ("3.1", "3.10")]
)
def test_a_python_version_is_read_with_and_without_quotes(tmp_path: Path, written: str, read: str) -> None:
    assert manifest(tmp_path, f"{PREDICT}build: {{python_version: {written}}}").build.python_version == read


def test_the_zero_that_yaml_drops_is_put_back_and_told(tmp_path: Path) -> None:
    [remark] = manifest(tmp_path, f"{PREDICT}build: {{python_version: 3.10}}").remarks
    assert "is read as 3.10" in remark
    assert manifest(tmp_path, f'{PREDICT}build: {{python_version: "3.10"}}').remarks == ()


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("buidl: {}", "a key `buidl` that Cog does not know. Did you mean `build`?"),
        (
            "build: {python_verson: '3.11'}",
            "`build.python_verson` that Cog does not know. Did you mean `python_version`?",
        ),
        ("gpu: true", "`gpu` that Cog does not know. Did you mean `build.gpu`?"),
        ("build: {concurrency: {max: 1}}", "Did you mean `concurrency`?"),
        ("build: {zzzz: 1}", "`build.zzzz` that Cog does not know. It knows python_version, "),
        ("build: {gpu: perhaps}", "`build.gpu` in cog.yaml must be true or false."),
        ("build: {python_packages: torch}", "`build.python_packages` in cog.yaml must be a list."),
        ("build: {python_packages: [[a]]}", "`build.python_packages[0]` in cog.yaml must be a text."),
        ("build: {run: [{commando: a}]}", "`build.run[0].command` is missing in cog.yaml."),
        ("build: [a]", "`build` in cog.yaml must be a mapping of keys to values."),
        (
            "build: {python_version: '2.7'}",
            "`build.python_version` in cog.yaml must be a version of Python from 3.8 on",
        ),
        ("build: {python_version: latest}", "`build.python_version` in cog.yaml must be a version"),
        ("build: {python_packages: [a], python_requirements: b}", "python_packages or python_requirements, not both."),
        ("concurrency: {max: 0}", "`concurrency.max` in cog.yaml must be 1 or more."),
        ("concurrency: {max: many}", "`concurrency.max` in cog.yaml must be a whole number."),
        ("environment: {A: b}", "`environment` in cog.yaml must be a list of NAME=value."),
        ("environment: [DATABASE_URL]", "only HF_TOKEN and the like can be asked for"),
        ("train: train", "`train` in cog.yaml must name a file"),
        ("weights: [{name: a, target: /etc}]", "`weights[0].target` in cog.yaml must be a place in the model's folder"),
        ("weights: [{name: a, target: /src/../x}]", "must be a place in the model's folder, like /src/weights."),
        ("weights: [{name: a, target: a, sources: {}}]", "Did you mean `source`?"),
        ("weights: [{target: a}]", "`weights[0].name` is missing in cog.yaml."),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_the_key(tmp_path: Path, added: str, says: str) -> None:
    assert says in complaint(tmp_path, f"{PREDICT}{added}")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    said = complaint(tmp_path, f"{PREDICT}build: {{gpu: perhaps}}\nconcurency: {{max: 1}}")
    assert "`build.gpu`" in said
    assert "Did you mean `concurrency`?" in said


@pytest.mark.parametrize("content", ["", "build: {}", f"{PREDICT}run: run.py:Runner", "predict: Predictor"])
def test_a_predictor_is_named_exactly_once(tmp_path: Path, content: str) -> None:
    assert complaint(tmp_path, content).startswith("cog.yaml must name the predictor, once")


@pytest.mark.parametrize("content", ["just text", "- predict: predict.py:Predictor"])
def test_what_is_no_mapping_is_told_what_it_has_to_be(tmp_path: Path, content: str) -> None:
    assert complaint(tmp_path, content).startswith("cog.yaml must be a mapping of keys to values, like `predict:")


def test_a_mistake_in_the_syntax_is_told_by_its_place(tmp_path: Path) -> None:
    said = complaint(tmp_path, 'build:\n  gpu: false\npredict: "predict.py\n')
    assert said.startswith("cog.yaml is no valid YAML at line 3, column 10: while scanning a quoted scalar, found ")


def test_a_file_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    assert "has more than" in complaint(tmp_path, "#" * (1 << 21))
