#!/bin/sh
# Build sdist and wheel from the committed files, the wheel from the sdist; install the wheel into an environment of its
# own, and train from an empty folder with what it brings. `package.sh PYTHON`; dist/ holds both files afterwards.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

echo "package: building"
rm -rf dist
"$python" -m venv "$work/build"
"$work/build/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile build
"$work/build/bin/python" -m build --outdir dist . >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

echo "package: installing"
"$python" -m venv "$work/clean"
clean=$work/clean/bin
# The pins, so that a new release of a dependency cannot break this; MXNet as the set-up script installs it.
"$clean/python" -m pip install --quiet --disable-pip-version-check --no-compile -c requirements.txt "$(ls dist/*.whl)[cpu]"
case "$("$clean/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" in
    3.13 | 3.14) "$clean/python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps mxnet==1.9.1 ;;
esac

echo "package: trying"
mkdir "$work/empty"
cd "$work/empty"
"$clean/lossbench" --version
"$clean/lossbench" configs digits
"$clean/lossbench" train softmax_digits trainer.epochs=2 trainer.progress=lines
"$clean/lossbench" runs | grep 'softmax_digits/seed-0 *finished'
echo "package: sdist and wheel are good"
