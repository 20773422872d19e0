"""TensorRT engines: built once on the kind of GPU that runs them, proved, and kept beside the packages."""
