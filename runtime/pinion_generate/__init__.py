"""Predictors that call generate() themselves: their calls of the same time share a batch.

Here meet the runtime, which knows predictions, and the engine, which knows requests: `interception` stands in for
generate(), `wish` reads what a call asks for, `desk` answers it for one model, `batch` drives the engine, `turns` has
everything else wait, `seeds` keeps what a prediction said about chance, `openmp` leaves the cores to the engine.
"""
