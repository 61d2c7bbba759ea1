from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def setup(self) -> None:
        current_scope().record_metric("cache.size", 3)
        current_scope().record_metric("cache.size", 4)
        current_scope().record_metric("steps", 2, mode="incr")
        current_scope().record_metric("steps", 3, mode="incr")
        current_scope().record_metric("kind", "large")

    def predict(self) -> str:
        current_scope().record_metric("tokens", 5)
        return "done"
