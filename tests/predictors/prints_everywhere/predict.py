import ctypes
import os
import subprocess
import sys

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        print("python")
        print("error", file=sys.stderr)
        os.write(1, "raw é\n".encode())
        subprocess.run(["/bin/echo", "child"], check=True)
        ctypes.CDLL(None).puts(b"c")
        print("10%\r20%", end="\rno end of line")
        return "done"
