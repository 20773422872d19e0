"""Export of models that answer token by token: the same steps as export/pipeline.py, other measures."""
