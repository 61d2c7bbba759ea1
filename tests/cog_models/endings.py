"""How a prediction may end, what it may do to its process, and what it prints."""

from tests.cog_models.row import fails, gives, predicts, row

ROWS = [
    predicts(
        "unended-line-before-raising",
        "(self) -> str",
        "print('halfway', end='')\nraise ValueError('late')",
        fails("late", logs="halfwayTraceback"),
    ),
    predicts(
        "exit-0", "(self) -> str", "sys.exit(0)", fails("SystemExit: 0"), fails("SystemExit: 0"), before="import sys"
    ),
    predicts("exit-text", "(self) -> str", "sys.exit('no more')", fails("no more"), before="import sys"),
    predicts(
        "hard-exit",
        "(self, a: bool) -> str",
        "if a: os._exit(3)\nreturn 'x'",
        fails("exited with code 3", a=True),
        gives("x", a=False),
        before="import os",
    ),
    predicts(
        "killed",
        "(self, a: bool) -> str",
        "if a: os.kill(os.getpid(), 9)\nreturn 'x'",
        fails("killed by signal 9", a=True),
        gives("x", a=False),
        before="import os",
    ),
    predicts(
        "keyboard-interrupt", "(self) -> str", "raise KeyboardInterrupt", fails("KeyboardInterrupt"), fails("Keyboard")
    ),
    predicts("base-exception", "(self) -> str", "raise BaseException('odd')", fails("odd")),
    predicts("generator-exit", "(self) -> str", "raise GeneratorExit('odd')", fails("odd")),
    predicts("stop-iteration", "(self) -> str", "raise StopIteration", fails("StopIteration")),
    predicts("no-message", "(self) -> str", "raise ValueError", fails("ValueError")),
    predicts("huge-message", "(self) -> str", "raise ValueError('x' * 1_000_000)", fails("xxxx")),
    predicts("odd-message", "(self) -> str", "raise ValueError('a\\ud800\\x00\\x1bb')", fails("b")),
    predicts(
        "unshowable",
        "(self) -> str",
        "raise Odd",
        fails("cannot be shown"),
        before="class Odd(Exception):\n    def __str__(self):\n        raise ValueError",
    ),
    predicts(
        "chained",
        "(self) -> str",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('outer') from e",
        fails("outer", logs="ZeroDivisionError"),
    ),
    predicts("recursion", "(self) -> str", "return self.predict()", fails("recursion")),
    predicts(
        "group",
        "(self) -> str",
        "raise ExceptionGroup('several', [ValueError('a')])",
        fails("several", logs="ValueError: a"),
        since=11,
    ),
    predicts("assertion", "(self) -> str", "assert 1 == 2, 'not equal'", fails("not equal")),
    predicts(
        "async-exit",
        "async (self) -> str",
        "sys.exit(3)",
        fails("SystemExit: 3"),
        fails("SystemExit: 3"),
        before="import sys",
    ),
    predicts(
        "async-interrupt",
        "async (self) -> str",
        "raise KeyboardInterrupt",
        fails("KeyboardInterrupt"),
        fails("Keyboard"),
    ),
    predicts(
        "async-canceled-itself",
        "async (self) -> str",
        "raise asyncio.CancelledError('own')",
        fails("own"),
        fails("own"),
        before="import asyncio",
    ),
    predicts(
        "generator-exits",
        "(self) -> Iterator[str]",
        "yield 'a'\nsys.exit(2)",
        fails("SystemExit: 2", ["a"]),
        before="import sys",
    ),
    predicts("print-end", "(self) -> str", "print('no end', end='')\nreturn 'x'", gives("x", logs="no end")),
    predicts(
        "print-bytes",
        "(self) -> str",
        "sys.stdout.buffer.write(b'\\xffraw\\n')\nreturn 'x'",
        gives("x", logs="raw"),
        before="import sys",
    ),
    predicts(
        "subprocess",
        "(self) -> str",
        "subprocess.run('echo out; echo err >&2', shell=True)\nreturn 'x'",
        gives("x", logs="out\nerr\n"),
        before="import subprocess",
    ),
    predicts(
        "logging",
        "(self) -> str",
        "logging.info('info')\nlogging.warning('warned')\nreturn 'x'",
        gives("x", logs="info"),
        before="import logging\nlogging.basicConfig(level=logging.INFO)",
    ),
    predicts(
        "logging-stdout",
        "(self) -> str",
        "logging.getLogger('a').info('info')\nreturn 'x'",
        gives("x", logs="info"),
        before="import logging, sys\nlogging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)",
    ),
    predicts(
        "warnings",
        "(self) -> str",
        "warnings.warn('warned')\nreturn 'x'",
        gives("x", logs="warned"),
        before="import warnings",
    ),
    predicts(
        "bar",
        "(self) -> str",
        "for n in range(3):\n    sys.stderr.write(f'\\r{n}/3')\nreturn 'x'",
        gives("x", logs="\r2/3"),
        before="import sys",
    ),
    predicts(
        "redirected",
        "(self) -> str",
        "b = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    print('in')\nprint('out')\nreturn b.getvalue()",
        gives("in\n", logs="out"),
        before="import contextlib, io",
    ),
    predicts(
        "replaced-stdout",
        "(self) -> str",
        "sys.stdout = io.StringIO()\nprint('lost')\nreturn 'x'",
        gives("x"),
        gives("x"),
        before="import io, sys",
    ),
    predicts(
        "closed-stdout", "(self) -> str", "sys.stdout.close()\nreturn 'x'", gives("x"), gives("x"), before="import sys"
    ),
    predicts(
        "closed-descriptor",
        "(self) -> str",
        "os.close(1)\nreturn 'x'",
        gives("x"),
        fails("Bad file"),
        before="import os",
    ),
    predicts("stdin", "(self) -> str", "return repr(sys.stdin.read())", gives("''"), before="import sys"),
    predicts("input", "(self) -> str", "return input('name? ')", fails("EOF")),
    predicts(
        "ignored-signals",
        "(self) -> str",
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nreturn 'x'",
        gives("x"),
        before="import signal",
    ),
    predicts(
        "own-loop",
        "(self) -> str",
        "return asyncio.run(later())",
        gives("a"),
        gives("a"),
        before="import asyncio\nasync def later():\n    await asyncio.sleep(0)\n    return 'a'",
    ),
    predicts(
        "get-loop",
        "(self) -> str",
        "loop = asyncio.new_event_loop()\ntry:\n    return loop.run_until_complete(later())\nfinally:\n    loop.close()",
        gives("a"),
        gives("a"),
        before="import asyncio\nasync def later():\n    return 'a'",
    ),
    predicts(
        "task-left",
        "async (self) -> str",
        "self.task = asyncio.create_task(asyncio.sleep(60))\nreturn 'x'",
        gives("x"),
        gives("x"),
        before="import asyncio",
    ),
    predicts(
        "thread-left",
        "(self) -> str",
        "threading.Thread(target=time.sleep, args=(0.5,)).start()\nreturn 'x'",
        gives("x"),
        gives("x"),
        before="import threading, time",
    ),
    predicts(
        "child-left",
        "(self) -> str",
        "subprocess.Popen(['sleep', '60'])\nreturn 'x'",
        gives("x"),
        gives("x"),
        before="import subprocess",
    ),
    predicts(
        "raises-in-thread",
        "(self) -> str",
        "t = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\nreturn 'x'",
        gives("x", logs="ZeroDivisionError"),
        before="import threading",
    ),
    predicts("chdir", "(self) -> str", "os.chdir('/')\nreturn os.getcwd()", gives("/"), gives("/"), before="import os"),
    predicts(
        "environment", "(self) -> str", "os.environ['A'] = 'b'\nreturn os.environ['A']", gives("b"), before="import os"
    ),
    predicts(
        "recursion-limit",
        "(self) -> str",
        "sys.setrecursionlimit(100_000)\nreturn 'x'",
        gives("x"),
        before="import sys",
    ),
    predicts(
        "finalizer",
        "(self) -> str",
        "Loud()\nreturn 'x'",
        gives("x", logs="gone"),
        before="class Loud:\n    def __del__(self):\n        print('gone')",
    ),
    row(
        "at-exit",
        """
        import atexit
        atexit.register(print, "bye")
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return "x"
        """,
        gives("x"),
    ),
    row(
        "exits-in-setup",
        """
        import sys
        class Predictor(BasePredictor):
            def setup(self):
                sys.exit(3)
            def predict(self) -> str:
                return "x"
        """,
        setup_error="SystemExit: 3",
    ),
    row("exits-at-import", "raise SystemExit('not here')", setup_error="not here"),
    row("no-predictor", "class Other:\n    pass\n", setup_error="no class or function named Predictor"),
    row("syntax", "def predict(:\n", setup_error="syntax"),
    row("unknown-type", "class Predictor:\n    def predict(self, a: complex) -> str: ...\n", setup_error="complex"),
    row(
        "unannotated-input",
        "class Predictor:\n    def predict(self, a) -> str: ...\n",
        setup_error="no type annotation",
    ),
    row(
        "concatenates-numbers",
        "class Predictor:\n    def predict(self) -> ConcatenateIterator[int]: ...\n",
        setup_error="can only yield str",
    ),
    row(
        "default-factory",
        """
        class Predictor(BasePredictor):
            def predict(self, a: List[str] = Input(default_factory=list)) -> List[str]:
                return a
        """,
        setup_error="default_factory",
    ),
]
