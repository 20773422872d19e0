#!/bin/sh
# Triton for a machine without GPU: the server that the PyPI package nvidia-pytriton carries, with its Python backend and
# the ONNX Runtime that exported models run on, in an environment of its own. Leaves DIR/bin/tritonserver.
set -eu
environment=$(realpath -m "${1:?the folder to make, as in: scripts/triton-env.sh .venv-triton}")
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || {
    echo "Triton's Python backend is built for Python 3.10 to 3.12 and $python is another: PYTHON=python3.11 $0 $1" >&2
    exit 1
}
test -x "$environment/bin/python" || "$python" -m venv "$environment"
# The backend's bindings were built against NumPy 1.
"$environment/bin/pip" install -q numpy==1.26.4 "$(grep '^onnxruntime==' constraints.txt)"
# The server alone: the package's own client library needs a dozen others.
"$environment/bin/pip" install -q --no-deps nvidia-pytriton==0.7.0

set -- $("$environment/bin/python" -c '
import sysconfig
print(sysconfig.get_path("purelib"), sysconfig.get_python_version(), sysconfig.get_config_var("LIBDIR"))')
server=$1/pytriton/tritonserver
cp "$server/python_backend_stubs/$2/triton_python_backend_stub" "$server/backends/python/"
# The backend starts the python that it finds first, and loads the library of that Python.
cat >"$environment/bin/tritonserver" <<WRAPPER
#!/bin/sh
export PATH="$environment/bin:\$PATH" LD_LIBRARY_PATH="$3\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
exec "$server/bin/tritonserver" --backend-directory "$server/backends" "\$@"
WRAPPER
chmod +x "$environment/bin/tritonserver"
if missing=$(LD_LIBRARY_PATH=$3 ldd "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub" |
    grep 'not found'); then
    echo "libraries that Triton needs are missing (apt-get install libpython$2 libstdc++6 zlib1g):" >&2
    echo "$missing" >&2
    exit 1
fi
