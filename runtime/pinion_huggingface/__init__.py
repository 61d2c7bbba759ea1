"""Predictors for models of the Hugging Face Hub: one class a task, each an ordinary Cog predictor.

A version made by `pinion push hf:…` holds the weights and a predict.py that names one of these classes.
"""
