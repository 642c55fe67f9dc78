"""Writes logs as busy servers do, runs the real program on them, and compares what both have counted."""

import datetime
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time
import types
import urllib.request

import exchange

CERTDRIFT = os.environ.get("CERTDRIFT", str(pathlib.Path(__file__).resolve().parent / "../../target/debug/certdrift"))
ROLL_SECONDS = 2
TICK = 0.05
COUNTERS = {
    "rows": "certdrift_source_rows_total",
    "sessions": "certdrift_sessions_total",
    "tls": "certdrift_tls_sessions_total",
    "denied": 'certdrift_rejected_replies_total{class="attribution"}',
}
RECOVERED = "certdrift_state_recovered_timestamp_seconds"
MUST_STAY_ZERO = [
    "certdrift_source_rows_malformed_total",
    "certdrift_source_duplicate_rows_total",
    "certdrift_source_sequence_gaps_total",
    "certdrift_source_lost_bytes_total",
    "certdrift_sessions_evicted_total",
    RECOVERED,
]


def say(text):
    print(f"   {text}", flush=True)


class Server:
    """One directory: what was written to it, and what that amounts to."""

    def __init__(self, folder, name, dice, kept_files):
        self.folder, self.name, self.dice, self.kept_files = folder, name, dice, kept_files
        self.rows = self.sessions = self.tls = self.denied = 0
        self.live, self.started, self.number = [], 0, 0
        self.held, self.file, self.rolled = b"", None, 0.0
        folder.mkdir(parents=True)

    def tick(self, rows):
        if time.monotonic() - self.rolled >= ROLL_SECONDS:
            self.roll()
        text = b"".join(self.row() for _ in range(rows))
        self.put(text)

    def row(self):
        while len(self.live) < 4:
            self.live.append(self.session())
        session = self.dice.choice(self.live)
        row = next(session, None)
        if row is None:
            self.live.remove(session)
            return self.row()
        self.rows += 1
        if "negotiation succeeded" in row:
            self.tls += 1
        if "550 5.7.64" in row:
            self.denied += 1
        return row.encode() + b"\r\n"

    def session(self):
        self.started += 1
        self.sessions += 1
        outcome = "denied" if self.dice.random() < 0.1 else "relayed"
        details = types.SimpleNamespace(
            form=self.dice.choice("ABC"), certificate=self.dice.choice(["mail", "mail", "none"]), valid_days=80,
            address="203.0.113.5", outcome=outcome, seed=f"{self.name} {self.dice.random()}")
        start = datetime.datetime.now(datetime.timezone.utc)
        # The first row is taken at once, so that a session that was counted has begun.
        rows = exchange.session(details, self.started, start)
        first = next(rows)[1]
        return (row for row in [first, *(row for _, row in rows)])

    def put(self, text):
        """Appends, mostly cut in the middle of a line; the rest follows with the next rows."""
        text = self.held + text
        cut = len(text) if self.dice.random() < 0.3 else self.dice.randrange(max(1, len(text) - 200), len(text) + 1)
        with open(self.file, "ab", buffering=0) as file:
            file.write(text[:cut])
        self.held = text[cut:]

    def roll(self):
        if self.file is not None:
            self.finish()
        now = datetime.datetime.now(datetime.timezone.utc)
        self.number += 1
        self.file = self.folder / f"SEND{now:%Y%m%d%H}-{self.number}.LOG"
        self.rolled = time.monotonic()
        header = ["#Software: Microsoft Exchange Server", "#Version: 15.0.0.0", "#Log-type: SMTP Send Protocol Log",
                  f"#Date: {exchange.stamp(now)}", f"#Fields: {exchange.FIELDS}"]
        self.held = b"\xef\xbb\xbf" + "".join(line + "\r\n" for line in header).encode()
        self.file.touch()
        files = sorted(self.folder.iterdir(), key=lambda file: (file.stat().st_mtime, file.name))
        for file in files[:-self.kept_files]:
            file.unlink()

    def finish(self):
        with open(self.file, "ab", buffering=0) as file:
            file.write(self.held)
        self.held = b""


class Writer(threading.Thread):
    """Appends rows to all servers' logs at a steady rate, until it is told to stop."""

    def __init__(self, folder, seed, servers=10, rows_per_second=2000, kept_files=20):
        super().__init__(daemon=True)
        dice = random.Random(seed)
        self.rows_per_second = rows_per_second
        names = [f"EX{number:02d}" for number in range(1, servers + 1)]
        self.servers = [
            Server(folder / name / "SmtpSend", name, random.Random(dice.random()), kept_files) for name in names]
        self.stopping = threading.Event()

    def run(self):
        owed, last = 0.0, time.monotonic()
        while not self.stopping.wait(TICK):
            now = time.monotonic()
            owed += (now - last) * self.rows_per_second / len(self.servers)
            last = now
            for server in self.servers:
                server.tick(int(owed))
            owed -= int(owed)
        for server in self.servers:
            # Sessions that were counted have their first row written.
            server.put(b"".join(self.rest(server)))
            server.finish()

    def resumed(self, without=()):
        """Another thread that goes on with the same servers, when this one has ended."""
        writer = Writer(None, 0, servers=0, rows_per_second=self.rows_per_second)
        writer.servers = [server for server in self.servers if server.name not in without]
        return writer

    @staticmethod
    def rest(server):
        while server.live:
            session = server.live[0]
            for row in session:
                server.rows += 1
                server.tls += "negotiation succeeded" in row
                server.denied += "550 5.7.64" in row
                yield row.encode() + b"\r\n"
            server.live.pop(0)


class Daemon:
    """The real program, with logs, configuration and state below one folder."""

    def __init__(self, work, state=None, sources=("logs/{server}/SmtpSend",)):
        self.work, self.state, self.process, self.port = work, state or work / "state", None, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (work / "certdrift.yml").write_text(
            "sources:\n" + "".join(f"  - path: {source}\n    first_read: all\n" for source in sources) +
            "connectors:\n  - name: Outbound*\n    expected:\n      inbound_connectors:\n"
            "        - { name: Inbound, tls_sender_certificate_name: mail.contoso.com }\n")

    def start(self):
        log = open(self.work / "certdrift.log", "ab")
        self.process = subprocess.Popen(
            [CERTDRIFT, "run", "--config.file", str(self.work / "certdrift.yml"), "--storage.path",
             str(self.state), "--web.listen-address", f"127.0.0.1:{self.port}", "--log.level", "warn"],
            stdout=log, stderr=log)

    def kill(self):
        if self.process.poll() is not None:
            raise SystemExit(f"   FAILED: certdrift ended by itself with {self.process.returncode}")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def metrics(self):
        return self.get("/metrics")

    def get(self, path):
        """What is there; nothing while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None


def summed(metrics, series, by_server=False):
    """The sum of a metric's series, as a whole or by server. A label in braces must be among the labels."""
    name, _, label = series.rstrip("}").partition("{")
    sums = {}
    for labels, value in re.findall(rf"(?m)^{name}(?:\{{(.*)\}})? (\S+)$", metrics):
        if label in labels:
            server = re.search(r'server="([^"]*)"', labels)
            key = server.group(1) if server and by_server else ""
            sums[key] = sums.get(key, 0) + int(float(value))
    return sums if by_server else sums.get("", 0)


def counted(metrics):
    """What the program has counted, by server."""
    return {what: summed(metrics, series, by_server=True) for what, series in COUNTERS.items()}


def differences(daemon, writer, seconds=60, recovered=False):
    """Waits until the program has counted what was written; afterwards, what is missing or doubled. `recovered`: its
    state must have been damaged; otherwise it must not."""
    expected = {what: {server.name: getattr(server, what) for server in writer.servers} for what in COUNTERS}
    say("written: " + ", ".join(f"{sum(counts.values())} {what}" for what, counts in expected.items()))

    def miscounted(metrics):
        for what, found in counted(metrics).items():
            for server in sorted({*expected[what], *found}):
                count, seen = expected[what].get(server, 0), found.get(server, 0)
                if seen != count:
                    word = "missing" if seen < count else "doubled"
                    yield f"{server}: {abs(count - seen)} {what} {word} of {count}"

    for _ in range(seconds * 10):
        if next(miscounted(daemon.metrics() or ""), None) is None:
            break
        time.sleep(0.1)
    # What is doubled later must not escape.
    time.sleep(3)
    metrics = daemon.metrics() or ""
    faults = list(miscounted(metrics))
    for series in MUST_STAY_ZERO:
        if ((count := summed(metrics, series)) != 0) != (recovered and series == RECOVERED):
            faults.append(f"{series} is {count}")
    return faults
