# Two images that start as TensorFlow Serving's does: a model mounted at /models/NAME is served as NAME if MODEL_NAME says
# so, gRPC on 8500 and REST on 8501, and flags after the image's name reach the server. docs/containers.md tells more.
#
#   docker build -t salver .                                    the embedded engine and ONNX Runtime
#   docker build -t salver:tensorflow --target tensorflow .     TensorFlow too
#
#   docker run -p 8501:8501 -v "$PWD/models/half_plus_two:/models/half_plus_two" -e MODEL_NAME=half_plus_two salver

FROM rust:1-bookworm AS build
# Engines come out of Python packages; only their libraries are kept.
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-pip
ENV SALVER_ENGINE_DIR=/engines
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package salver
RUN target/release/salver engine install onnxruntime && deploy/docker/collect.sh /image onnxruntime

FROM build AS build-tensorflow
RUN target/release/salver engine install tensorflow

# The program, the C library and what engines want of it: no shell, no package manager.
FROM scratch AS base
COPY --from=build /image/ /
ENV PATH=/usr/local/bin:/usr/bin \
    SALVER_ENGINE_DIR=/usr/local/lib/salver/engines \
    MODEL_NAME=model \
    MODEL_BASE_PATH=/models
USER 65532:65532
EXPOSE 8500 8501
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]

FROM base AS tensorflow
COPY --from=build-tensorflow /engines/tensorflow/ /usr/local/lib/salver/engines/tensorflow/

FROM base
