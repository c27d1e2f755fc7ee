#!/bin/sh
# Build .venv, or bring it up to date: `setup.sh` for running lossbench, `setup.sh test` or `setup.sh docs` for its tests
# or its site as well.
# PYTHON chooses the interpreter (Python 3.10 to 3.14); without it the first suitable one on the PATH is taken.
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

supported() {
    case "$(version "$1")" in 3.10 | 3.11 | 3.12 | 3.13 | 3.14) return 0 ;; *) return 1 ;; esac
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON must be a Python 3.10 to 3.14, got $PYTHON ($(version "$PYTHON" || echo 'does not run'))."
        echo "$PYTHON"
        return
    fi
    for candidate in .venv/bin/python python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "lossbench runs on Python 3.10 to 3.14, and the PATH has none (python3 is $(version python3 || echo missing))." \
        "Install one, or name it: make train PYTHON=/path/to/python3.13"
}

# The MXNet wheel links to these two libraries, which a minimal system lacks (libquadmath exists on x86 only).
missing_packages() {
    "$1" - <<'END'
import ctypes
import platform

packages = {"libgomp.so.1": "libgomp1"}
if platform.machine() == "x86_64":
    packages["libquadmath.so.0"] = "libquadmath0"
for library, package in packages.items():
    try:
        ctypes.CDLL(library)
    except OSError:
        print(package)
END
}

install_system_libraries() {
    packages=$(missing_packages "$1" | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    if ! command -v apt-get >/dev/null; then
        fail "MXNet needs the system libraries libgomp and libquadmath. On Fedora: sudo dnf install libgomp libquadmath"
    elif [ "$(id -u)" != 0 ]; then
        fail "MXNet needs system libraries. Bring them with: sudo apt-get install ${packages% }"
    fi
    echo "setup: installing ${packages% }"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends $packages; } >/dev/null \
        || fail "apt-get could not install what MXNet needs. Bring it with: apt-get install ${packages% }"
}

build_venv() {
    if [ "$(version .venv/bin/python)" = "$(version "$1")" ]; then
        return
    fi
    "$1" -c 'import ensurepip, venv' 2>/dev/null \
        || fail "$1 has no venv module. On Debian or Ubuntu: apt-get install python$(version "$1")-venv"
    echo "setup: building .venv with Python $(version "$1")"
    "$1" -m venv --clear .venv
}

# Python compiles a module when it is first imported, and keeps that unless it is told not to; to compile all modules here
# takes as long as the rest.
pip_install() {
    compile=$([ -n "${PYTHONDONTWRITEBYTECODE:-}" ] || echo --no-compile)
    .venv/bin/python -m pip install --quiet --disable-pip-version-check $compile "$@"
}

# Install once for each content of the file; a stamp beside it remembers that.
install_from() {
    stamp=.venv/.installed-$1
    state=$(pwd && cat setup.py "$1" | cksum)
    [ "$state" != "$(cat "$stamp" 2>/dev/null)" ] || return 0
    echo "setup: installing what $1 names into .venv (minutes, the first time)"
    pip_install -r "$1"
    case "$(version .venv/bin/python)" in
        # MXNet's metadata ask for NumPy below 2, which these have no more; `import lossbench` makes MXNet run beside it.
        3.13 | 3.14) pip_install --no-deps mxnet==1.9.1 ;;
    esac
    # compat: a plain path entry, which a folder named lossbench beside the user's script cannot hide
    pip_install --no-deps --config-settings editable_mode=compat --editable .
    echo "$state" >"$stamp"
}

python=$(find_python)
install_system_libraries "$python"
build_venv "$python"
install_from "requirements${1:+-$1}.txt" # requirements-test.txt and -docs.txt hold all of requirements.txt
