#!/bin/sh
# Triton for a machine without GPU: the server that the PyPI package nvidia-pytriton carries, with its Python backend and
# the ONNX Runtime that exported models run on, in an environment of its own. Leaves DIR/bin/tritonserver.
set -eu
environment=$(realpath -m "${1:?the folder to make, as in: scripts/triton-env.sh .venv-triton}")
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || {
    echo "This Triton runs Python 3.11 and 3.12 and $python is another: make triton-env PYTHON=python3.11" >&2
    exit 1
}
test -x "$environment/bin/python" || "$python" -m venv "$environment"
# The backend's bindings were built against NumPy 1.
"$environment/bin/pip" install -q numpy==1.26.4 "$(grep '^onnxruntime==' constraints.txt)"
# The server alone: the package's own client library needs a dozen others.
"$environment/bin/pip" install -q --no-deps nvidia-pytriton==0.7.0

ask() { "$environment/bin/python" -c "import sysconfig; print(sysconfig.$1)"; }
server=$(ask 'get_path("purelib")')/pytriton/tritonserver
version=$(ask 'get_python_version()')
libraries=$(ask 'get_config_var("LIBDIR")')
stub=$server/backends/python/triton_python_backend_stub
cp "$server/python_backend_stubs/$version/triton_python_backend_stub" "$stub"
if missing=$(LD_LIBRARY_PATH=$libraries ldd "$server/bin/tritonserver" "$stub" | grep 'not found'); then
    echo "Triton lacks libraries; apt-get install libpython$version libstdc++6 zlib1g has them: $missing" >&2
    exit 1
fi
# The backend starts the python that it finds first, and loads the library of that Python.
cat >"$environment/bin/tritonserver" <<WRAPPER
#!/bin/sh
export PATH="$environment/bin:\$PATH" LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
exec "$server/bin/tritonserver" --backend-directory "$server/backends" "\$@"
WRAPPER
chmod +x "$environment/bin/tritonserver"
