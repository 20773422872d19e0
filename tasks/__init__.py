"""What a task means: decoding, preprocessing, predictions and signals. No torch, no web."""
