# lossbench in a container, for what has no MXNet wheel (Windows, Apple silicon) and for machines that should stay as they are.
#
#     docker build -t lossbench .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" lossbench train lgm_digits
#
# NVIDIA GPUs: docker build --build-arg MXNET=cu112 -t lossbench:cu112 .
#              docker run --rm --gpus all -v "$PWD:/work" lossbench:cu112 train lgm_digits --device gpu
FROM debian:trixie-slim AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git libgomp1 make python3 python3-venv \
    && if [ "$(dpkg --print-architecture)" = amd64 ]; then apt-get install -y --no-install-recommends libquadmath0; fi \
    && rm -rf /var/lib/apt/lists/*

FROM base
ARG MXNET=cpu
COPY . /opt/lossbench
RUN cd /opt/lossbench \
    && case "$MXNET" in \
        cpu) requirements=requirements.txt mxnet=mxnet==1.9.1 ;; \
        cu112) requirements=requirements-gpu.txt mxnet=mxnet-cu112==1.9.1 ;; \
        *) echo "MXNET must be cpu or cu112, got $MXNET" >&2; exit 1 ;; \
    esac \
    && python3 -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir -r "$requirements" \
    && /opt/venv/bin/python -m pip install --no-cache-dir --no-deps "$mxnet" . \
    && rm -rf /opt/lossbench
# A home that any user of the container may write to: matplotlib and MXNet keep files there.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp
WORKDIR /work
ENTRYPOINT ["lossbench"]
