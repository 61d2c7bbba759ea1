import sys
import threading

from cog import BasePredictor, ConcatenateIterator, current_scope


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.present = set()
        self.somebody_came = threading.Condition()

    def predict(self, name: str, together: int = 1, to: int = 3) -> ConcatenateIterator[str]:
        """Goes on once so many predictions have been here."""
        with self.somebody_came:
            self.present.add(name)
            self.somebody_came.notify_all()
            self.somebody_came.wait_for(lambda: len(self.present) >= together)
        for number in range(to):
            print(f"{name} prints {number}")
            print(f"{name} warns", end=f" {number};", file=sys.stderr)
            current_scope().record_metric(name, number)
            yield f"{name}{number}"
        print("the end of", name, end="")
