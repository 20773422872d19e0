"""Graphs of generative models, written node by node: registry/decoder_interface.py says what they take and give."""
