#!/bin/sh
# The servers that people use now, each in an environment of its own: DIR/NAME, marked by DIR/NAME/.installed when whole.
#
#     scripts/peers-env.sh .venv-peers [NAME …]
#
# An environment that is whole is left as it is; remove its folder to make it anew.
set -eu
folder=$(realpath -m "${1:?the folder to make, as in: scripts/peers-env.sh .venv-peers}")
shift
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "The peers are pinned for Python 3.11 and $python is another: make peers-env PYTHON=python3.11" >&2
    exit 1
}
# What all apps use: the ONNX Runtime of the project, and the decoder of its version.
engine=$(grep '^onnxruntime==' constraints.txt)
decoder=$(grep '^pillow==' constraints.txt)

requirement() {
    case $1 in
    litserve) echo litserve==0.2.19 ;;
    bentoml) echo bentoml==1.4.39 ;;
    mlserver) echo mlserver==1.7.1 ;;
    ray) echo 'ray[serve]==2.60.0' ;;
    mlflow) grep '^mlflow==' constraints.txt ;;
    kserve) echo kserve==0.21.0 ;;
    *)
        echo "$1 is not among triton litserve bentoml mlserver ray mlflow kserve" >&2
        return 1
        ;;
    esac
}

# Chained, since a shell does not stop at errors within what a condition calls.
make_environment() {
    environment=$folder/$1
    if [ -e "$environment/.installed" ]; then return; fi
    if [ "$1" = triton ]; then
        PYTHON=$python sh scripts/triton-env.sh "$environment" &&
            "$environment/bin/pip" install -q "$decoder" &&
            touch "$environment/.installed"
    else
        wanted=$(requirement "$1") &&
            { test -x "$environment/bin/python" || "$python" -m venv "$environment"; } &&
            "$environment/bin/pip" install -q "$wanted" "$engine" "$decoder" &&
            touch "$environment/.installed"
    fi
}

[ $# -gt 0 ] || set -- triton litserve bentoml mlserver ray mlflow kserve
failed=
for name; do
    # A peer that does not install is no reason to go without the others; the benchmark says that it is missing.
    if make_environment "$name"; then echo "$name: $folder/$name"; else failed="$failed $name"; fi
done
[ -z "$failed" ] || {
    echo "not installed:$failed" >&2
    exit 1
}
