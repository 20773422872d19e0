"""The parts of the generator: sequences, sampling, decoders, beams, prefixes, constraints."""
