import asyncio


async def predict(text: str, seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return text
