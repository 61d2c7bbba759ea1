import subprocess

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.child = subprocess.Popen(["/bin/sleep", "600"])

    def predict(self) -> int:
        return self.child.pid
