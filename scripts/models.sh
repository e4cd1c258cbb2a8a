#!/bin/sh
# Build models/*.onnx when they are missing or not what the manifest says.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if "$python" -m models.manifest --check -q; then exit 0; fi
venv=.venv-models
if [ ! -e "$venv/.ready" ] || [ requirements/models.lock -nt "$venv/.ready" ]; then
  echo "准备模型构建环境… / preparing the environment that builds the models …"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip --disable-pip-version-check install -q --require-hashes -r requirements/models.lock
  touch "$venv/.ready"
fi
"$venv/bin/python" -m models.build --cache build/models
# The environment and the packages weigh 1 GB on a small card and are not needed again.
[ -n "${KEEP_MODELS_ENV:-}" ] || rm -rf "$venv" build/models
