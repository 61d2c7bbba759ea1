"""train() of a model: described beside predict(), and run in a process started for it."""

from pathlib import Path
from typing import Any

import pytest

from tests.model_processes import Heard, Start, run
from worker.events import SetupFailed


def schemas(schema: dict[str, Any]) -> dict[str, Any]:
    components: dict[str, Any] = schema["components"]["schemas"]
    return components


async def test_a_model_that_can_be_trained_says_so_while_it_predicts(start: Start):
    process = await start("can_be_trained")
    assert (await run(process, text="hallo")).output == "hallo"
    described = schemas(process.schema)
    assert list(described["Input"]["properties"]) == ["text", "size"]
    assert described["TrainingInput"]["title"] == "TrainingInput"
    assert described["TrainingInput"]["required"] == ["data"]
    assert described["TrainingInput"]["properties"]["epochs"]["minimum"] == 1
    assert described["TrainingOutput"] == {
        "title": "TrainingOutput",
        "type": "object",
        "properties": {"weights": {"title": "Weights", "type": "string", "format": "uri"}},
        "required": ["weights"],
    }
    assert described["TrainingRequest"]["properties"]["input"] == {"$ref": "#/components/schemas/TrainingInput"}
    assert described["TrainingResponse"]["properties"]["output"] == {"$ref": "#/components/schemas/TrainingOutput"}
    assert described["size"]["enum"] == ["small", "large"]
    reference = described["TrainingInput"]["properties"]["size"]["allOf"][0]["$ref"].rpartition("/")[2]
    assert described[reference]["enum"] == ["tiny", "huge"]
    paths = process.schema["paths"]
    assert paths["/trainings"]["post"]["operationId"] == "train_trainings_post"
    assert set(paths) >= {"/trainings/{training_id}", "/trainings/{training_id}/cancel"}


async def test_a_model_without_training_describes_none(start: Start):
    process = await start("echo")
    assert not any(name.startswith("Training") for name in schemas(process.schema))
    assert "/trainings" not in process.schema["paths"]


async def test_a_function_is_trained(start: Start, tmp_path: Path):
    (tmp_path / "data.txt").write_text("data")
    process = await start("can_be_trained", mode="train")
    heard = Heard()
    done = await run(process, heard, data=str(tmp_path / "data.txt"), epochs=2)
    assert done.output == {"weights": {"$file": str(tmp_path / "data.txt")}}
    assert heard.logs == "epoch 0\nepoch 1\n"
    assert "epochs" in schemas(process.schema)["Input"]["properties"]


async def test_a_class_is_set_up_and_trained(start: Start):
    assert (await run(await start("trains_in_a_class", mode="train"), steps=2)).output == 42
    assert (await run(await start("trains_in_a_class"))).output == "predicted"


async def test_a_training_that_is_broken_fails_alone(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\ntrain: train.py:train\n")
    (tmp_path / "predict.py").write_text("def predict() -> str: return 'well'\n")
    (tmp_path / "train.py").write_text("import a_module_that_is_not_there\n")
    process = await start(tmp_path)
    assert (await run(process)).output == "well"
    assert "a_module_that_is_not_there" in process.setup_logs
    with pytest.raises(SetupFailed, match="No module named 'a_module_that_is_not_there'"):
        await start(tmp_path, mode="train")


async def test_a_training_that_exits_when_it_is_imported_fails_alone(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\ntrain: train.py:train\n")
    (tmp_path / "predict.py").write_text("def predict() -> str: return 'well'\n")
    (tmp_path / "train.py").write_text("raise SystemExit('no GPU here')\n")
    process = await start(tmp_path)
    assert (await run(process)).output == "well"
    assert "no GPU here" in process.setup_logs


async def test_what_is_predicted_and_trained_in_one_file_is_imported_once(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\ntrain: predict.py:train\n")
    (tmp_path / "predict.py").write_text(
        "import pickle\nprint('imported')\n"
        "def predict() -> str: return pickle.loads(pickle.dumps(predict)).__name__\n"
        "def train(steps: int) -> str: return 'trained'\n"
    )
    process = await start(tmp_path)
    done = await run(process)
    assert (done.error, done.output) == (None, "predict")
    assert process.setup_logs.count("imported") == 1
    assert "TrainingInput" in process.schema["components"]["schemas"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", 'cog.yaml names nothing to train, like `train: "train.py:train"`.'),
        ("train: [train.py]", "`train` in cog.yaml must be a text."),
        ("train: predict.py:Empty", "Empty in predict.py has no train()."),
    ],
)
async def test_a_training_that_cannot_be_is_explained(start: Start, tmp_path: Path, said: str, message: str):
    (tmp_path / "cog.yaml").write_text(f"predict: predict.py:predict\n{said}\n")
    (tmp_path / "predict.py").write_text("class Empty: ...\ndef predict() -> str: return ''\n")
    with pytest.raises(SetupFailed) as failure:
        await start(tmp_path, mode="train")
    assert str(failure.value) == message
