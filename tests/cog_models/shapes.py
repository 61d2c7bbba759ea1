"""How a model may be written: classes, functions, decorators, packages, and what it finds around itself."""

from tests.cog_models.row import gives, row

_MANIFEST = 'build:\n  python_version: "3.11"\npredict: "{}"\n'

ROWS = [
    row(
        "no-base",
        """
        class Predictor:
            def __init__(self):
                self.n = 1
            def predict(self) -> int:
                self.n += 1
                return self.n
        """,
        gives(2),
        gives(3),
    ),
    row(
        "function",
        "def predict(a: str = 'x') -> str:\n    return a\n",
        gives("x"),
        cog_yaml=_MANIFEST.format("predict.py:predict"),
    ),
    row(
        "runner",
        "class Runner(BaseRunner):\n    def run(self, a: int = 1) -> int:\n        return a\n",
        gives(1),
        cog_yaml=_MANIFEST.replace("predict:", "run:").format("predict.py:Runner"),
    ),
    row(
        "callable-object",
        """
        class Model:
            def __call__(self, a: int = 1) -> int:
                return a
        predict = Model()
        """,
        gives(1),
        cog_yaml=_MANIFEST.format("predict.py:predict"),
    ),
    row(
        "inherited",
        """
        class Base(BasePredictor):
            def setup(self):
                self.loaded = "loaded"
            def predict(self, a: int = Input(ge=1, default=1)) -> str:
                return self.loaded + str(a)
        class Predictor(Base):
            pass
        """,
        gives("loaded1"),
    ),
    row(
        "super",
        """
        class Base(BasePredictor):
            def setup(self, weights=None):
                self.loaded = repr(weights)
        class Predictor(Base):
            def setup(self, weights: Optional[Path] = None):
                super().setup(weights)
            def predict(self) -> str:
                return self.loaded
        """,
        gives("None"),
    ),
    row(
        "class-state",
        """
        class Predictor(BasePredictor):
            seen: List[str] = []
            model = None
            def setup(self):
                type(self).model = "m"
            def predict(self, a: str) -> str:
                self.seen.append(a)
                return self.model + "".join(self.seen)
        """,
        gives("ma", a="a"),
        gives("mab", a="b"),
    ),
    row(
        "static",
        """
        class Predictor(BasePredictor):
            @staticmethod
            def predict(a: int = 1) -> int:
                return a
        """,
        gives(1),
    ),
    row(
        "class-method",
        """
        class Predictor(BasePredictor):
            @classmethod
            def predict(cls, a: int = 1) -> str:
                return f"{cls.__name__}{a}"
        """,
        gives("Predictor1"),
    ),
    row(
        "wrapped",
        """
        import functools
        def timed(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs) + "!"
            return wrapper
        class Predictor(BasePredictor):
            @timed
            def predict(self, a: str = Input(default="x")) -> str:
                return a
        """,
        gives("x!"),
    ),
    row(
        "wrapped-generator",
        """
        import functools
        def loud(function):
            @functools.wraps(function)
            def wrapper(self, **given):
                for item in function(self, **given):
                    yield item.upper()
            return wrapper
        class Predictor(BasePredictor):
            @loud
            def predict(self, a: str = "x") -> Iterator[str]:
                yield a
        """,
        gives(["X"]),
    ),
    row(
        "wrapped-by-a-context",
        """
        import contextlib
        @contextlib.contextmanager
        def no_grad():
            yield
        class Predictor(BasePredictor):
            @no_grad()
            def predict(self, a: str = "x") -> str:
                return a
        """,
        gives("x"),
    ),
    row(
        "both-names",
        """
        class Predictor(BasePredictor):
            def run(self, what):
                return what
            def predict(self, a: str = "x") -> str:
                return self.run(a)
        """,
        gives("x"),
    ),
    row(
        "async-setup",
        """
        class Predictor(BasePredictor):
            async def setup(self):
                self.a = "a"
            async def predict(self) -> str:
                return self.a
        """,
        gives("a"),
    ),
    row(
        "async-setup-sync-predict",
        """
        class Predictor(BasePredictor):
            async def setup(self):
                self.a = "a"
            def predict(self) -> str:
                return self.a
        """,
        gives("a"),
    ),
    row(
        "dataclass-predictor",
        """
        import dataclasses
        @dataclasses.dataclass
        class Predictor(BasePredictor):
            size: int = 3
            def predict(self) -> int:
                return self.size
        """,
        gives(3),
    ),
    row(
        "abstract",
        """
        import abc
        class Base(BasePredictor, abc.ABC):
            @abc.abstractmethod
            def predict(self, a: int) -> int: ...
        class Predictor(Base):
            def predict(self, a: int = 1) -> int:
                return a
        """,
        gives(1),
    ),
    row(
        "subfolder",
        "",
        gives("inner helper"),
        cog_yaml=_MANIFEST.format("src/model.py:Predictor"),
        src__model_py="""
        from cog import BasePredictor
        from lib.helper import NAME
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return "inner " + NAME
        """,
        lib__helper_py="NAME = 'helper'\n",
    ),
    row(
        "sibling-in-a-subfolder",
        "",
        gives("helper"),
        cog_yaml=_MANIFEST.format("src/model.py:Predictor"),
        src__model_py="""
        import os, sys
        from cog import BasePredictor
        sys.path.append(os.path.dirname(os.path.abspath(__file__)))
        from sibling import NAME
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return NAME
        """,
        src__sibling_py="NAME = 'helper'\n",
    ),
    row(
        "package",
        """
        from pack.inner import NAME
        from pack import other
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return NAME + other.NAME
        """,
        gives("ab"),
        pack__inner_py="from .other import NAME as B\nNAME = 'a'\n",
        pack__other_py="NAME = 'b'\n",
    ),
    row(
        "our-names",
        """
        import shared, worker, utils, json
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return shared.NAME + worker.NAME + utils.NAME
        """,
        gives("swu"),
        shared_py="NAME = 's'\n",
        worker__init_py="",
        worker_py="NAME = 'w'\n",
        utils_py="NAME = 'u'\n",
    ),
    row(
        "named-like-a-library",
        "",
        gives("x"),
        cog_yaml=_MANIFEST.format("queue.py:Predictor"),
        queue_py="""
        from cog import BasePredictor
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return "x"
        """,
    ),
    row(
        "main-guard",
        """
        import sys
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return f"{__name__} {len(sys.argv)}"
        if __name__ == "__main__":
            raise SystemExit("run")
        """,
        gives("predict 1"),
    ),
    row(
        "argparse",
        """
        import argparse
        OPTIONS = argparse.ArgumentParser().parse_args()
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return "parsed"
        """,
        gives("parsed"),
    ),
    row(
        "pickle",
        """
        import pickle
        class Thing:
            def __init__(self):
                self.a = 1
        class Predictor(BasePredictor):
            def predict(self) -> int:
                return pickle.loads(pickle.dumps(Thing())).a
        """,
        gives(1),
    ),
    row(
        "multiprocessing",
        """
        import multiprocessing
        def square(n):
            return n * n
        class Predictor(BasePredictor):
            def predict(self) -> list[int]:
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    return pool.map(square, [1, 2, 3])
        """,
        gives([1, 4, 9]),
        gives([1, 4, 9]),
        since=9,
    ),
    row(
        "spawned",
        """
        import multiprocessing
        def square(n):
            return n * n
        class Predictor(BasePredictor):
            def predict(self) -> list[int]:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    return pool.map(square, [3])
        """,
        gives([9]),
        since=9,
    ),
    row(
        "threads",
        """
        from concurrent.futures import ThreadPoolExecutor
        class Predictor(BasePredictor):
            def predict(self) -> list[int]:
                with ThreadPoolExecutor(4) as pool:
                    return list(pool.map(lambda n: n * n, range(3)))
        """,
        gives([0, 1, 4]),
        since=9,
    ),
    row(
        "main-thread",
        """
        import signal, threading
        class Predictor(BasePredictor):
            def setup(self):
                signal.signal(signal.SIGTERM, lambda *_: None)
            def predict(self) -> bool:
                signal.signal(signal.SIGALRM, lambda *_: None)
                return threading.current_thread() is threading.main_thread()
        """,
        gives(True),
    ),
    row(
        "other-imports",
        """
        from cog.types import Path as P, Secret as S, URLFile, ConcatenateIterator as C
        from cog.predictor import BasePredictor as B
        from cog.server.exceptions import CancelationException
        import cog
        class Predictor(B):
            def predict(self) -> str:
                return cog.__version__.split(".")[0]
        """,
        gives("0"),
    ),
    row(
        "scope",
        """
        class Predictor(BasePredictor):
            def predict(self) -> str:
                scope = current_scope()
                scope.record_metric("tokens", 3)
                self.record_metric("tokens", 2, mode="incr")
                return repr(scope.context)
        """,
        gives("{}"),
    ),
]
