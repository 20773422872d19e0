"""One compression technique per file."""

import serving.runtimes  # noqa: F401  Before any of them imports onnxruntime, which is told there to keep to itself.
