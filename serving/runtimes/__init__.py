"""What executes a graph.

ONNX Runtime tells its makers what it runs, under a lasting id, unless it is told not to before it is loaded. This
project talks to nobody it was not told to: whoever imports onnxruntime imports this package first.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
