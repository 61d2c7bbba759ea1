"""The child side of a model process: load a model, describe it, run its predictions.

Standard library only, Python 3.8 and up; nothing of the service is imported here.
"""
