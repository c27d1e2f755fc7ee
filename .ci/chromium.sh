#!/bin/sh
# Bring Chromium for the test of the report's page, where there is none and apt-get may. Tried three times, since mirrors
# fail now and then; without Chromium the test fails where CI is set, and is skipped with the reason elsewhere.
set -u
command -v chromium >/dev/null 2>&1 && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "chromium: there is none, and only root of a Debian system can install it here" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
for pause in 5 20 0; do
    echo "chromium: installing"
    if apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium </dev/null >/dev/null; then
        exit 0
    fi
    sleep "$pause"
done
echo "chromium: apt-get could not install it" >&2
exit 1
