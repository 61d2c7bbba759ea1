"""`pinion serve`: Cog's own HTTP API on one directory.

No queue, no database and no accounts are known here; the model runs in the same child process as in the service.
"""
