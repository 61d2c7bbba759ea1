from typing import List, Optional

from cog import BasePredictor, Input, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        password: Secret,
        others: List[Secret] = Input(default=[]),
        spare: Optional[Secret] = None,
        text: str = "",
    ) -> List[str]:
        return [each.get_secret_value()[::-1] for each in [password, *others]] + [text]
