"""langchain_llm.py MODEL PROMPT [OPTIONS]: the whole text, its pieces as they were streamed, or what was raised."""

import json
import sys

from langchain_community.llms import Replicate

model, prompt, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
try:
    llm = Replicate(model=model, **options)
    answer = {"pieces": list(llm.stream(prompt))} if options.get("streaming") else {"text": llm.invoke(prompt)}
except Exception as error:
    answer = {"error": str(error), "status": getattr(error, "status", None)}
print(json.dumps(answer))
