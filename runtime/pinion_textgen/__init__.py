"""Continuous batching over a loaded Transformers model: requests join and leave at every decoding step.

`engine` decides who is in the batch, a `decoder` runs the model's step, `sampler` chooses tokens, `text` turns them
into pieces, and `batching` drives the engine. Nothing here knows Cog or the service.
"""
