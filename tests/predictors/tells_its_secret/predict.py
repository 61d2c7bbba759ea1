from typing import List, Optional

from cog import BasePredictor, Input, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        password: Secret,
        others: List[Secret] = Input(default=[]),
        spare: Optional[Secret] = None,
        how: str = "in the text",
    ) -> str:
        plain = [each.get_secret_value() for each in [password, *others, *([spare] if spare else [])]]
        if how == "in the text":
            raise ValueError(f"cannot log in with {plain}")
        if how == "as the cause":
            raise RuntimeError("no luck") from KeyError(plain[0])
        return str(password)
