#!/bin/sh
# How large is the environment of a server alone? Installs '.[cpu]' into a throw-away one and adds it up.
set -eu
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/pip" install -q -c constraints.txt '.[cpu]'
(cd / && "$environment/bin/tidegate" --help >/dev/null)
for absent in torch transformers lightning mlflow; do
    if "$environment/bin/pip" show -q "$absent" 2>/dev/null; then
        echo "the server's environment must not hold $absent" >&2
        exit 1
    fi
done
du -sm "$environment" | awk '{print "server environment: " $1 " MB"}'
