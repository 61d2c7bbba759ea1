from typing import List, Union

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, either: Union[Path, str], several: Union[int, Path, List[Path]] = 3) -> List[str]:
        several = several if isinstance(several, list) else [several]
        return [shown(each) for each in (either, *several)]


def shown(value) -> str:
    return f"file {value.read_text()}" if isinstance(value, Path) else f"{type(value).__name__} {value}"
