#!/usr/bin/env bash
# Lays out an image's files from this machine: the binary, the libraries it is linked with, and those that
# ONNX Runtime will want. For machines that can build images but pull none:
#
#   cargo build --release
#   deploy/docker/collect.sh target/image/root
#   podman build -t salver -f deploy/docker/Dockerfile target/image
set -euo pipefail

binary=${SALVER_BIN:-target/release/salver}
root=${1:?"usage: collect.sh FOLDER"}

rm -rf "$root"
install -D --mode=0755 "$binary" "$root/usr/local/bin/salver"

# ldd names the loader and every library; libstdc++ is not linked, but opened together with ONNX Runtime.
libstdcxx=$(ldconfig -p | grep --only-matching '/.*/libstdc++\.so\.6$' | head -1)
for library in $(ldd "$binary" "$libstdcxx" | grep --only-matching '[[:space:]]/[^ ]*') "$libstdcxx"; do
    install -D --mode=0755 "$(readlink --canonicalize "$library")" "$root$library"
done

mkdir -p "$root/models" "$root/tmp" "$root/etc"
chmod 1777 "$root/tmp"
echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' > "$root/etc/passwd"
echo 'nonroot:x:65532:' > "$root/etc/group"
du --summarize --human-readable "$root"
