import os
import sys
from typing import Any

import neighbour
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> dict[str, Any]:
        return {
            "environment": dict(os.environ),
            "arguments": sys.argv,
            "folder": os.getcwd(),
            "path": sys.path,
            "module": type(self).__module__,
            "neighbour": neighbour.NAME,
            "modules": sorted(sys.modules),
            "stdin": sys.stdin.read(),
            "process": os.getpid(),
        }
