"""The `pinion` command: starts Pinion on this machine, and talks to it over HTTP like any client.

No prediction is run and no row is written here.
"""
