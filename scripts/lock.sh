#!/bin/sh
# Pin the dependencies with hashes, for every supported Python and both processors.
set -eu
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "uv is needed: pip install uv" >&2; exit 2; }
lock() {
  out=$1; shift
  uv pip compile -q --no-config --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
    --custom-compile-command "make lock" -o "requirements/$out" "$@"
}
lock run.lock --extra install --extra demo pyproject.toml
lock dev.lock --extra install --extra demo --extra dev pyproject.toml
lock models.lock requirements/models.in
lock ipycam.lock requirements/ipycam.in
