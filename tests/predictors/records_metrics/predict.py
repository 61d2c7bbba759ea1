from collections.abc import Iterator

from cog import BaseRunner, current_scope


class Runner(BaseRunner):
    def run(self) -> Iterator[int]:
        yield 1
        current_scope().record_metric("tokens", 2)
        self.record_metric("tokens", 3, mode="incr")
        yield 2
