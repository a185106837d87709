#!/usr/bin/env bash
# Lays out an image's files from this machine: the program under its names, the libraries it is linked with, engines out
# of SALVER_ENGINE_DIR and the libraries those want. For machines that can build images but pull none:
#
#   cargo build --release
#   export SALVER_ENGINE_DIR=target/engines
#   target/release/salver engine install onnxruntime
#   deploy/docker/collect.sh target/image/root onnxruntime
#   podman build -t salver -f deploy/docker/Dockerfile target/image
set -euo pipefail

binary=${SALVER_BIN:-target/release/salver}
root=${1:?"usage: collect.sh FOLDER [ENGINE]..."}
shift

rm -rf "$root"
install -D --mode=0755 "$binary" "$root/usr/local/bin/salver"
# The program goes by the name it is called by; the last one stands for the script of TensorFlow Serving's image.
mkdir -p "$root/usr/bin"
ln -s ../local/bin/salver "$root/usr/bin/tensorflow_model_server"
ln -s ../local/bin/salver "$root/usr/bin/tf_serving_entrypoint.sh"

engines=usr/local/lib/salver/engines
for engine in "$@"; do
    mkdir -p "$root/$engines"
    cp -r "${SALVER_ENGINE_DIR:?"is where engines were installed"}/$engine" "$root/$engines/"
done

# ldd names the loader and every library, but not those that stand beside an engine's own.
mapfile -t linked < <(find "$root" -type f \( -name salver -o -name '*.so*' \))
ldd "${linked[@]}" | grep --only-matching '=> /[^ ]*\|^[[:space:]]/[^ ]*' | grep --only-matching '/.*' | sort -u |
    while read -r library; do
        if [[ $library != *"/$engines/"* ]]; then
            install -D --mode=0755 "$(readlink --canonicalize "$library")" "$root$library"
        fi
    done

mkdir -p "$root/models" "$root/tmp" "$root/etc"
chmod 1777 "$root/tmp"
# Whom https and object stores are trusted by.
install -D --mode=0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' > "$root/etc/passwd"
echo 'nonroot:x:65532:' > "$root/etc/group"
du --summarize --human-readable "$root"
