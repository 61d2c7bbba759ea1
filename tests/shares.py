"""How processes share the tests: what needs the same servers goes to the same process, so that they start once.

By the name of a test, which is all that pytest-xdist knows where it hands them out.
"""

from xdist.scheduler import LoadScopeScheduling

from tests.instance import BACKENDS


class Shares(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        """A folder's tests on one of the backends, all tests of faults on their stack, and the rest file by file."""
        file, _, name = nodeid.partition("::")
        folder = file.rpartition("/")[0]
        parameters = name.partition("[")[2].rstrip("]").split("-")
        backend = next((each for each in parameters if each in BACKENDS), None)
        if backend:
            return f"{folder} {backend}"
        return folder if folder == "tests/faults" else file
