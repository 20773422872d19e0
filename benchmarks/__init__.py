"""Every claim of the README, with the peer beside it."""

import os

# As `serving.runtimes` says it, before any of them loads ONNX Runtime; peers have no `serving` in their environments.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
