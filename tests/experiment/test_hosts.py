"""Two hosts: network namespaces with a cable between them, each with a name of its own. Needs root on Linux."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.experiment.test_distributed import CONFIG, ROOT, RUN, SCRIPT, environment
from tests.experiment.test_run import assert_same, final
from tests.training.test_parts import mpiexec

pytestmark = pytest.mark.slow  # real trainings in processes of their own

ADDRESSES = ("10.77.0.1", "10.77.0.2")
# What mpiexec calls in place of ssh: options, a host, a command for its shell.
LAUNCH = """\
#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
[ "$1" = 10.77.0.1 ] && name=NAMES-0 || name=NAMES-1
shift
exec ip netns exec "$name" unshare --uts sh -c "hostname $name; $*"
"""


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30).stdout


@pytest.fixture
def hosts(tmp_path):
    """Names of two namespaces that reach each other over `cable`."""
    if os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces need root, ip and unshare")
    names = [f"lossbench-{os.getpid()}-{k}" for k in (0, 1)]
    made = []
    try:
        for name in names:
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"this system makes no network namespaces: {error.stderr.strip()}")
            made.append(name)
        ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        for name, address in zip(names, ADDRESSES):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            for link in ("lo", "cable"):
                ip("-n", name, "link", "set", link, "up")
        deadline = time.monotonic() + 20
        while any(
            "LOWER_UP" not in ip("-n", name, "link", "show", "cable")
            or "state UP" not in ip("-n", name, "link", "show", "cable")
            for name in names
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield names
    finally:
        for name in made:
            ip("netns", "del", name)


def sent(name):
    (link,) = json.loads(ip("-n", name, "-s", "-j", "link", "show", "cable"))
    return link["stats64"]["tx"]["bytes"]


def test_two_hosts_write_the_run_of_two_devices(hosts, tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    launcher = tmp_path / "launch.sh"
    launcher.write_text(LAUNCH.replace("NAMES", hosts[0].rpartition("-")[0]))
    launcher.chmod(0o700)
    few = ["trainer.epochs=1", "trainer.max_steps=3"]
    job = [mpiexec(), "-launcher", "ssh", "-launcher-exec", str(launcher), "-iface", "cable"]
    job += ["-hosts", ",".join(ADDRESSES), "-n", "2", *SCRIPT, *few, "--run-dir", str(tmp_path / RUN)]
    # Else MPICH finds that both hosts share their memory.
    over_the_cable = {**environment(), "MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self"}
    begin = ["ip", "netns", "exec", hosts[0], "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', hosts[0]]
    done = subprocess.run(
        [*begin, *job], cwd=tmp_path, env=over_the_cable, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"2 ranks on {hosts[0]}, {hosts[1]}; a batch is split over them." in done.stderr

    command = [sys.executable, ROOT / "scripts" / "train.py", "--config", "tiny.yaml", "--device", "cpu:0,1", *few]
    subprocess.run(
        [*command, "--run-dir", "devices"],
        check=True,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=240,
    )
    assert_same(final(tmp_path / RUN), final(tmp_path / "devices"))
    assert json.loads((tmp_path / RUN / "environment.json").read_text())["hosts"] == hosts
    parameters = 4 * sum(array.size for name, array in final(tmp_path / RUN)[1].items() if "optimizer" not in name)
    for name in hosts:
        assert sent(name) > 3 * parameters  # each sends half of the gradients and half of their sum
