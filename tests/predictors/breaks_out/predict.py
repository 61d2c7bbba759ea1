import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, List

from cog import BasePredictor, Path

UNCOVER = """
import ctypes, errno, os, sys
library, place = ctypes.CDLL(None, use_errno=True), sys.argv[1]
namespaces, detach = 0x10020000, 2
print("free" if library.unshare(namespaces) == 0 else "bound")
library.umount2(place.encode(), detach)
print(errno.errorcode[ctypes.get_errno()], *os.listdir(place))
"""


class Predictor(BasePredictor):
    """Tries one thing that it should perhaps not be able to do, and tells how far it got."""

    def predict(self, what: str, at: str = "") -> Any:
        try:
            return getattr(self, what)(at)
        except OSError as error:
            return f"{type(error).__name__}: {error.strerror}"

    def read(self, at: str) -> str:
        with open(at, "rb") as file:
            return file.read(1 << 16).decode(errors="replace")

    def write(self, at: str) -> str:
        with open(at, "w") as file:
            file.write("mine")
        return "written"

    def remove(self, at: str) -> str:
        os.remove(at)
        return "removed"

    def rename(self, at: str) -> str:
        os.rename(at, f"{at}-mine")
        return "renamed"

    def rename_into_place(self, at: str) -> str:
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write("whole")
        os.rename(file.name, "final.txt")
        return self.read("final.txt")

    def open_device(self, at: str) -> str:
        os.close(os.open(at, os.O_RDONLY))
        return "opened"

    def uncover(self, at: str) -> List[str]:
        """Takes away what is mounted there, in namespaces of its own, where it has every right."""
        command = [sys.executable, "-c", UNCOVER, at]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().split()

    def look(self, at: str) -> list[str]:
        return sorted(os.listdir(at))

    def environment(self, at: str) -> dict[str, str]:
        return dict(os.environ)

    def descriptors(self, at: str) -> int:
        return len(os.listdir("/proc/self/fd")) - 1

    def connect(self, at: str) -> str:
        family = socket.AF_UNIX if at.startswith("/") else socket.AF_INET
        host, _, port = at.rpartition(":")
        with socket.socket(family) as client:
            client.settimeout(5)
            client.connect(at if family == socket.AF_UNIX else (host, int(port)))
        return "connected"

    def limits(self, at: str) -> list[int]:
        kinds = (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
        return [limit for kind in kinds for limit in resource.getrlimit(kind)]

    def open_many(self, at: str) -> str:
        files = []
        try:
            while True:
                files.append(os.open("/dev/null", os.O_RDONLY))
        finally:
            for file in files:
                os.close(file)

    def fork_many(self, at: str) -> str:
        """Within a limit that is near: the usual one takes a machine of the test's own."""
        resource.setrlimit(resource.RLIMIT_NPROC, (int(at), int(at)))
        children = []
        try:
            while True:
                children.append(subprocess.Popen(["/bin/sleep", "600"]))
        finally:
            for child in children:
                child.kill()
                child.wait()

    def leave_files(self, at: str) -> list[str]:
        handle, named = tempfile.mkstemp()
        os.close(handle)
        program = "import os, tempfile; print(tempfile.mkdtemp())"
        made = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
        return [named, made.stdout.decode().strip()]

    def temporary(self, at: str) -> str:
        return tempfile.gettempdir()

    def daemon(self, at: str) -> str:
        """Leaves the group and the session, and has no parent any more."""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv("/bin/sleep", ["sleep", at])
            os._exit(0)
        os.wait()
        return "left"

    def sleep(self, at: str) -> str:
        print("sleeping", flush=True)
        time.sleep(float(at))
        return "awake"

    def answer_file(self, at: str) -> Path:
        with open(at, "w") as file:
            file.write("made here")
        return Path(at)

    def forge_file(self, at: str) -> Path:
        """Names what it cannot see, by a link that it can."""
        os.symlink(at, "link.txt")
        os.path.isfile = lambda place: True
        return Path("link.txt")
