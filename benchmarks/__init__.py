"""Every claim of the README, with the peer beside it."""

import serving.runtimes  # noqa: F401  Before any of them imports onnxruntime, which is told there to keep to itself.
