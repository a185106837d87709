#!/usr/bin/env bash
# Starts an image as users of TensorFlow Serving's start theirs, but with a read-only root and no capability, asks it for
# half of 1, 2 and 5 plus two, and ends it:
#
#   deploy/docker/check.sh salver examples/half_plus_two/models/half_plus_two
set -euo pipefail

image=${1:?"usage: check.sh IMAGE HALF_PLUS_TWO [PODMAN_OPTION]..."}
model=$(realpath "${2:?"usage: check.sh IMAGE HALF_PLUS_TWO [PODMAN_OPTION]..."}")
shift 2
engine=$(command -v podman || command -v docker)

container=$("$engine" run --detach --read-only --cap-drop ALL --security-opt no-new-privileges "$@" \
    --publish 127.0.0.1::8501 --volume "$model:/models/half_plus_two:ro" --env MODEL_NAME=half_plus_two "$image")
trap '"$engine" rm --force "$container" > /dev/null' EXIT
address=$("$engine" port "$container" 8501)

ask() {
    curl --silent --max-time 10 --data '{"instances": [1.0, 2.0, 5.0]}' "$address/v1/models/half_plus_two:predict"
}
for _ in $(seq 60); do
    if answer=$(ask); then break; fi
    sleep 1
done
if [[ $(tr -d '[:space:]' <<< "${answer:-}") != '{"predictions":[2.5,3.0,4.5]}' ]]; then
    "$engine" logs "$container"
    echo "$image: the answer is ${answer:-none}"
    exit 1
fi
"$engine" stop --time 10 "$container" > /dev/null
code=$("$engine" inspect --format '{{.State.ExitCode}}' "$container")
bytes=$("$engine" image inspect --format '{{.Size}}' "$image")
echo "$image: $((bytes / 1000000)) MB; answers 2.5, 3.0, 4.5; exits with $code after SIGTERM"
[[ $code == 0 ]]
