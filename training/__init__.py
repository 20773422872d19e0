"""How weights are made."""

import os

# Read when torch loads OpenMP. Threads that spin at every barrier train ten times slower as soon as anything else
# wants a core; threads that sleep lose nothing that could be measured.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
