"""What a model repository of Triton is made of."""
