"""What the benchmarks share: the release programs, the tools that they need, and what a run costs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build():
    """Builds the program and the generator of logs, and says where they are."""
    subprocess.run(["cargo", "build", "--release", "--bin", "certdrift", "--example", "generate"], check=True, cwd=ROOT)
    metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=ROOT))
    release = pathlib.Path(metadata["target_directory"]) / "release"
    return {"certdrift": release / "certdrift", "generate": release / "examples" / "generate"}


def install_missing(packages):
    """Installs Debian packages, given by the tool that each brings; as root."""
    missing = sorted({package for tool, package in packages.items() if not shutil.which(tool)})
    if missing:
        # What is printed is the report.
        quiet = {"stdout": sys.stderr, "check": True}
        subprocess.run(["apt-get", "update", "--quiet"], **quiet)
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], **quiet)


def machine():
    kind = subprocess.run(["systemd-detect-virt"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{os.cpu_count()} cores, {'no ' if kind in ('', 'none') else ''}virtual machine"


class Run:
    """What a command printed, and what it took (seconds, MiB): of its run with the least CPU time, because whatever else
    the machine does only adds."""

    def __init__(self):
        self.cpu, self.wall, self.peak, self.printed = float("inf"), 0.0, 0.0, ""

    def again(self, command):
        with tempfile.NamedTemporaryFile() as printed, tempfile.NamedTemporaryFile("r") as peak:
            # What a process inherits from this one counts as its own peak, so another program stands between.
            between = ["/usr/bin/time", "--format=%M", f"--output={peak.name}", *command]
            started = time.monotonic()
            process = subprocess.Popen(between, stdout=printed, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            wall, cpu = time.monotonic() - started, usage.ru_utime + usage.ru_stime
            if status != 0:
                raise SystemExit(f"{command}: failed with status {status}")
            if cpu < self.cpu:
                kib = int(peak.read().split()[-1])
                self.cpu, self.wall, self.peak = cpu, wall, kib / 1024
                self.printed = pathlib.Path(printed.name).read_text()


def measure(commands):
    """Runs commands in turns: of each the name, what to run and how often."""
    runs = {name: Run() for name in commands}
    for turn in range(max(times for _, times in commands.values())):
        for name, (command, times) in commands.items():
            if turn < times:
                runs[name].again(command)
    return runs
