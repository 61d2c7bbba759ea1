"""Older spellings: `cog.server.exceptions` and `cog.server.scope`.

There is no server here.
"""
