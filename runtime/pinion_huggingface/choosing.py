"""The inputs that say how an answer is chosen, alike for all predictors that write text.

Nothing is written here.
"""

import secrets

from cog import Input
from pinion_textgen.options import Options

LONGEST = Input(description="Longest answer, in tokens.", default=256, ge=1, le=32_768)
GREEDY = Input(description="0 always takes the likeliest token; higher takes more chances.", default=0.0, ge=0, le=5)
LIVELY = Input(description="0 always takes the likeliest token; higher takes more chances.", default=0.7, ge=0, le=5)
TOP_P = Input(description="Sample among the likeliest tokens of this probability.", default=1.0, ge=0.01, le=1)
TOP_K = Input(description="Sample among this many likeliest tokens; 0 means all.", default=0, ge=0)
PENALTY = Input(description="Above 1 discourages what was already written.", default=1.0, ge=0.01, le=5)
STOPS = Input(description="Texts that end the answer and are left out of it.", default=[])
SEED = Input(description="Makes sampling repeatable; left out, one is chosen and logged.", default=None)


def options_of(
    max_new_tokens: int, temperature: float, top_p: float, top_k: int, repetition_penalty: float, seed: int | None
) -> Options:
    if temperature == 0:
        return Options(max_new_tokens, repetition_penalty=repetition_penalty)
    seed = secrets.randbits(32) if seed is None else seed
    print(f"Using seed: {seed}")
    return Options(
        max_new_tokens,
        do_sample=True,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
