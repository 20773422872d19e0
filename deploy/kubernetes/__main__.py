"""Write the PrometheusRules of the monitoring component from the rule files of deploy/prometheus.

python -m deploy.kubernetes

Kustomize can copy a file into a ConfigMap and not into a custom resource, so these are kept, and a test compares them.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
RULE_FILES = HERE.parent / "prometheus" / "rules"
PROMETHEUS_RULES = HERE / "components" / "monitoring" / "prometheus-rules.yaml"
HEAD = """# Written by python -m deploy.kubernetes from deploy/prometheus/rules: change those and run it again.
"""
RESOURCE = """---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tidegate-{name}
  labels:
    app.kubernetes.io/name: tidegate
spec:
"""


def prometheus_rules() -> str:
    """A PrometheusRule for each rule file, word for word what that file says."""
    return HEAD + "".join(
        RESOURCE.format(name=file.stem) + indented(file.read_text(encoding="utf-8"))
        for file in sorted(RULE_FILES.glob("*.yml"))
    )


def indented(text: str) -> str:
    """As the value of `spec:`, without what the file says of itself."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return "".join(f"  {line}".rstrip() + "\n" for line in lines)


if __name__ == "__main__":
    PROMETHEUS_RULES.write_text(prometheus_rules(), encoding="utf-8")
    print(PROMETHEUS_RULES)
