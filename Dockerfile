# One image for every role: `python -m api`, `python -m worker predict`, `python -m worker deliver`, `python -m cli migrate`.
# By itself it runs all of them with an embedded database and queue:
#   docker run --init -p 8000:8000 -v pinion:/var/lib/pinion pinion
FROM python:3.12-slim

# cpu, or a build for NVIDIA GPUs like cu130.
ARG TORCH_BACKEND=cpu

WORKDIR /app
COPY pyproject.toml constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt uv \
    && uv pip install --system --no-cache --compile-bytecode --torch-backend="$TORCH_BACKEND" \
        --constraint constraints.txt --requirement pyproject.toml --extra torch

COPY . .
# The volume takes its owner from this folder when it is first mounted.
RUN useradd --uid 1000 --create-home pinion \
    && install --directory --owner pinion --group pinion --mode 0700 /var/lib/pinion
USER pinion

# uv's cache beside the models' environments: packages are linked from one to the other instead of copied.
ENV PINION_HOME=/var/lib/pinion \
    PINION_HOST=0.0.0.0 \
    UV_CACHE_DIR=/var/lib/pinion/cache/uv \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/pinion
EXPOSE 8000
CMD ["python", "-m", "cli", "up"]
