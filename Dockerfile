# A small image that serves every model under /models.
#
#   docker build -t salver .
#   docker run -p 8500:8500 -p 8501:8501 -v "$PWD/models:/models:ro" salver
#
# As with TensorFlow Serving's image, a model mounted at /models/NAME is served as NAME, gRPC on 8500 and REST on 8501,
# and flags after the image's name reach the server. MODEL_NAME may be set and changes nothing: all of /models is served.

FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package salver && deploy/docker/collect.sh /image

# The binary, the C library and what ONNX Runtime will want (libgcc, libstdc++): no shell, no package manager.
FROM scratch
COPY --from=build /image/ /
# Flags win over these, so `--model_base_path=… --rest_api_port=…` work as they do with TensorFlow Serving's image.
ENV SALVER_MODELS=/models \
    SALVER_PORT=8500 \
    SALVER_REST_API_PORT=8501
USER 65532:65532
EXPOSE 8500 8501
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/salver", "serve"]
