import cog


class Predictor:
    def setup(self, weights: str):
        self.weights = weights

    def predict(self) -> str:
        return f"{type(self.weights).__name__}: {cog.Path(self.weights).read_text()}"
