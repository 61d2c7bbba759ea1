from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, image: Path = Input(default="http://default.test/cat.txt")) -> str:
        assert image.read_text() == "meow"
        return str(image)
