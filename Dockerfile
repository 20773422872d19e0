# Four images of one checkout: server-cpu, server-gpu, trainer and mlflow.
#
#   docker build --target server-cpu --tag tidegate-server-cpu:0.1.0 .
#   docker build --target server-gpu --tag tidegate-server-gpu:0.1.0 .
#   docker build --target server-gpu --build-arg EXTRAS=gpu,tensorrt --tag tidegate-server-tensorrt:0.1.0 .
#   docker build --target server-cpu --build-arg EXTRAS=cpu,capture --tag tidegate-server-cpu:0.1.0-capture .
#   docker build --target trainer    --tag tidegate-trainer:0.1.0 .
#   docker build --target mlflow     --tag tidegate-mlflow:0.1.0 .
#
# The index is that of pip; another one comes from a file that no layer keeps: --secret id=pip,src=$HOME/.config/pip/pip.conf
# Every version is pinned by constraints.txt, and what only a machine with a GPU installs by the arguments below.

ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

# What all images are built with: an environment that is copied whole, so that no compiler and no cache travel.
FROM ${PYTHON_IMAGE} AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/tidegate/bin:$PATH
WORKDIR /source
RUN python -m venv /opt/tidegate
COPY constraints.txt ./

# What all images run on: an account of its own, and nothing to write but what is mounted.
FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 tidegate \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/tidegate --create-home --shell /usr/sbin/nologin tidegate \
    && install -d -o tidegate -g tidegate /var/cache/tidegate
ENV PATH=/opt/tidegate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MLFLOW_DISABLE_TELEMETRY=true ORT_DISABLE_TELEMETRY=1
WORKDIR /var/lib/tidegate
USER 10001:10001

FROM builder AS source
COPY pyproject.toml README.md LICENSE ./
COPY tidegate tidegate
COPY tasks tasks
COPY registry registry
COPY monitoring monitoring
COPY serving serving
COPY training training
COPY export export

# Extras of pyproject.toml that a server may have as well: capture (pyarrow: 156 MB more, 599 in all), traces, tensorrt.
FROM source AS build-server-cpu
ARG EXTRAS=cpu
RUN --mount=type=secret,id=pip,target=/etc/pip.conf pip install -c constraints.txt ".[${EXTRAS}]"

FROM source AS build-server-gpu
ARG EXTRAS=gpu
ARG ONNXRUNTIME_GPU=1.31.1
ARG CUDNN=9.28.0.42
ARG CUBLAS=13.10.0.20
ARG CUDA_RUNTIME=13.5.37
RUN --mount=type=secret,id=pip,target=/etc/pip.conf pip install -c constraints.txt ".[${EXTRAS}]" \
    "onnxruntime-gpu[cuda,cudnn]==${ONNXRUNTIME_GPU}" "nvidia-cudnn-cu13==${CUDNN}" \
    "nvidia-cublas==${CUBLAS}" "nvidia-cuda-runtime==${CUDA_RUNTIME}"

# torch in a command of its own and by its pin alone, as in the Makefile: a CPU build that the index offers is taken.
FROM source AS build-trainer
RUN --mount=type=secret,id=pip,target=/etc/pip.conf pip install "$(grep '^torch==' constraints.txt)" \
    && pip install -c constraints.txt '.[cpu,train]'

FROM builder AS build-mlflow
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip install -c constraints.txt mlflow 'psycopg[binary]' boto3

FROM runtime AS server
ENV TIDEGATE_HOST=0.0.0.0 TIDEGATE_CACHE_DIR=/var/cache/tidegate
COPY deploy/docker/healthy.py /usr/local/bin/healthy.py
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=10s --timeout=6s --start-period=120s --retries=3 CMD ["python", "/usr/local/bin/healthy.py"]
ENTRYPOINT ["tidegate"]
CMD ["serve"]

FROM server AS server-cpu
COPY --from=build-server-cpu /opt/tidegate /opt/tidegate

# The driver comes from the host by NVIDIA's container toolkit; CUDA and cuDNN are packages of the environment.
FROM server AS server-gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/opt/tidegate/lib/python3.11/site-packages/nvidia/cu13/lib:/opt/tidegate/lib/python3.11/site-packages/nvidia/cudnn/lib
COPY --from=build-server-gpu /opt/tidegate /opt/tidegate

# A training ends by itself and answers nobody: there is no health to ask for.
FROM runtime AS trainer
COPY --from=build-trainer /opt/tidegate /opt/tidegate
HEALTHCHECK NONE
ENTRYPOINT ["tidegate"]
CMD ["--help"]

FROM runtime AS mlflow
COPY --from=build-mlflow /opt/tidegate /opt/tidegate
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=6s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=5)"]
ENTRYPOINT ["mlflow", "server"]
CMD ["--host", "0.0.0.0", "--port", "5000"]
