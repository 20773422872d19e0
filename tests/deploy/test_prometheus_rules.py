"""Rules and alerts agree with the code: metrics, labels, codes, runbooks, and the committed files with what writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from deploy.prometheus.rule_files import rule_files
