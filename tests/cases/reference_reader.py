#!/usr/bin/env python3
"""Reads send protocol logs slowly and plainly and prints what `check --format=json` must print.

A second opinion on the golden cases, written from the description of the format and not from the program:
  cd tests/cases/NAME && ../reference_reader.py $(cat arguments)
It knows no configuration, so `verdicts` is always empty, and no over-long rows.
"""
import json
import os
import re
import sys

FIELDS = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
EXCHANGE_FOLDERS = {"logs", "hub", "frontend", "mailbox", "edge", "transportroles", "protocollog", "smtpsend",
                    "submission", "delivery"}
EXCHANGE_ONLINE = (".mail.protection.outlook.com", ".mail.protection.partner.outlook.cn",
                   ".mail.protection.office365.us", ".mx.microsoft")
FORM_A = {"certificate subject": "subject", "certificate issuer name": "issuer",
          "certificate serial number": "serial", "certificate thumbprint": "thumbprint",
          "certificate alternate names": "names"}
TLS_NAMES = {"SP_PROT_TLS1_0_CLIENT": "TLS 1.0", "SP_PROT_TLS1_1_CLIENT": "TLS 1.1",
             "SP_PROT_TLS1_2_CLIENT": "TLS 1.2", "SP_PROT_TLS1_3_CLIENT": "TLS 1.3",
             "128": "TLS 1.0", "512": "TLS 1.1", "2048": "TLS 1.2", "8192": "TLS 1.3"}
DAMAGE = 512  # NULs in a row, with text behind them


# --- files ---------------------------------------------------------------------------------------------------------

def find(paths):
    found = []
    for path in paths:
        if os.path.isfile(path):
            found.append(path)
        for folder, _, names in os.walk(path):
            found += [os.path.join(folder, name) for name in names if name.lower().endswith(".log")]

    def order(path):
        folder, name = os.path.split(path)
        match = re.match(r"[A-Z]+(\d{8})(\d\d)?-(\d+)\.LOG$", name, re.I)
        return (folder, match[1], match[2] or "00", int(match[3])) if match else (folder, "", "", 0)
    return sorted(found, key=order)


def servers_of(folders):
    """The component that tells the folders apart, or the innermost that Exchange did not name itself."""
    parts = {folder: [part for part in os.path.abspath(folder).split("/")
                      if part and part.lower() not in EXCHANGE_FOLDERS] for folder in folders}
    different = {tuple(part) for part in parts.values()}
    if len(different) < 2:
        return {folder: part[-1] for folder, part in parts.items()}
    at = 0
    while len({part[at] for part in different}) == 1:
        at += 1
    return {folder: part[at] for folder, part in parts.items()}


def refusal(data):
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf16"
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = line.decode("utf-8", "replace").strip()
        if not line.startswith("#"):
            break
        if line.lower().startswith("#log-type:") and "receive" in line.lower():
            return "receive_log"
        if line.lower().startswith("#fields:") and line[8:].strip().lower() != FIELDS:
            return "unknown_fields"
    return None


def cells(line):
    """The cells of a record, or None."""
    found, at = [], 0
    while True:
        if line[at:at + 1] == '"':
            at, cell = at + 1, ""
            while True:
                end = line.find('"', at)
                if end < 0:
                    return None
                cell += line[at:end]
                if line[end + 1:end + 2] != '"':
                    break
                cell, at = cell + '"', end + 2
            at = end + 1
            if line[at:at + 1] not in ("", ","):
                return None
        else:
            end = line.find(",", at)
            end = len(line) if end < 0 else end
            cell, at = line[at:end], end
        found.append(cell)
        if at >= len(line):
            return found
        at += 1


def row(line):
    found = cells(line)
    if not found or len(found) != 9:
        return None
    date = re.fullmatch(r"\d{4}-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.\d{3}Z", found[0])
    if not date or not (1 <= int(date[1]) <= 12 and 1 <= int(date[2]) <= 31 and int(date[3]) < 24
                        and int(date[4]) < 60 and int(date[5]) < 60):
        return None
    if not re.fullmatch(r"[0-9A-F]{16}", found[2]) or not re.fullmatch(r"\d+", found[3]):
        return None
    return found if found[6] in ("+", "-", ">", "<", "*") else None


# --- certificates --------------------------------------------------------------------------------------------------

def cut_dns(text):
    """Subject and issuer, or the whole text and None."""
    places, quoted = [], False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        if char == " " and not quoted and at > 0 and text[at - 1] not in ",;+" \
                and re.match(r"[A-Za-z0-9.]+=", text[at + 1:]):
            places.append(at)
    if len(places) == 1:
        return text[:places[0]], text[places[0] + 1:]
    return text, None


def one_row_certificate(data):
    date = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    match = re.fullmatch(rf" (.*) ([0-9A-F]+) ([0-9A-Fa-f]{{40}})(?: ({date}) ({date}))?(?: ([^ ]*))?", data)
    subject, issuer = cut_dns(match[1])
    return {"subject": subject, "issuer": issuer, "serial": match[2], "thumbprint": match[3].upper(),
            "names": match[6] or "", "not_before": match[4], "not_after": match[5]}


# --- the document --------------------------------------------------------------------------------------------------

class Document:
    def __init__(self):
        self.lists = {name: {} for name in ("presented", "unattributed", "without_certificate", "egress", "replies",
                                            "tls", "tls_failures", "masked_banners")}
        self.sessions, self.first_row, self.last_row = set(), None, None
        self.counts = dict(files=0, bytes=0, rows=0, malformed_rows=0, lost_bytes=0)
        self.refused = []

    def add(self, name, key, session, time):
        entry = self.lists[name].setdefault(key, {"sessions": set(), "count": 0, "times": [], "exo": set()})
        entry["sessions"].add(session)
        entry["count"] += 1
        entry["times"].append(time)
        return entry

    def listed(self, name, keys, counter, times=True):
        found = []
        for key, entry in self.lists[name].items():
            item = dict(zip(keys, key))
            item[counter] = len(entry["sessions"]) if counter == "sessions" else entry["count"]
            if times:
                item["first_seen"], item["last_seen"] = min(entry["times"]), max(entry["times"])
            found.append(item)
        order = (lambda i: (i["server"], i["connector"], i["first_seen"])) if times else \
            (lambda i: (i["server"], i["connector"], i[keys[2]]))
        return sorted(found, key=order)

    def presented(self):
        found = []
        for (server, connector, handshake, certificate), entry in self.lists["presented"].items():
            cert = json.loads(certificate)
            names = cert["names"]
            item = {"server": server, "connector": connector, "exchange_online": bool(entry["exo"]),
                    "handshake": handshake, "thumbprint": cert["thumbprint"], "subject": cert["subject"],
                    "issuer": cert["issuer"], "serial": cert["serial"],
                    "names": [n for n in (names or "").lower().split(";") if n],
                    "not_before": short(cert["not_before"]), "not_after": short(cert["not_after"]),
                    "validity_from": "log" if cert["not_after"] else None,
                    "sessions": len(entry["sessions"]), "first_seen": min(entry["times"]),
                    "last_seen": max(entry["times"])}
            if names is None or None in (cert["thumbprint"], cert["subject"], cert["issuer"], cert["serial"]):
                item["incomplete"] = True
            found.append(item)
        for item in found:
            rivals = [i["last_seen"] for i in found
                      if all(i[k] == item[k] for k in ("server", "connector", "handshake"))]
            item["current"] = item["last_seen"] == max(rivals)
        return sorted(found, key=lambda i: (i["server"], i["connector"], i["first_seen"]))

    def json(self):
        place = ("server", "connector")
        return {**self.counts, "sessions": len(self.sessions), "first_row": self.first_row, "last_row": self.last_row,
                "refused": self.refused, "presented": self.presented(),
                "unattributed": self.listed("unattributed", (*place, "thumbprint"), "sessions"),
                "without_certificate": self.listed("without_certificate", place, "sessions"),
                "egress": self.listed("egress", (*place, "address"), "sessions"),
                "replies": self.listed("replies", (*place, "class", "code", "enhanced", "text"), "count"),
                "tls": self.listed("tls", (*place, "protocol"), "sessions", times=False),
                "tls_failures": self.listed("tls_failures", (*place, "error"), "count", times=False),
                "masked_banners": self.listed("masked_banners", place, "sessions"),
                "verdicts": []}


def short(date):
    return date and date.replace(".000Z", "Z")


# --- sessions ------------------------------------------------------------------------------------------------------

class Session:
    def __init__(self, document, key):
        self.document, self.key, self.server = document, key, key[0]
        self.handshake = None      # the last of STARTTLS and X-ANONYMOUSTLS
        self.unbroken = False      # sequence numbers without a gap since STARTTLS
        self.ready = False         # 220 to STARTTLS
        self.offered = False       # own certificate since STARTTLS
        self.number = None
        self.unanswered = []
        self.reply = []
        self.exchange_online = False
        self.entries = []          # what was presented: the peer's name counts whenever it is told
        self.block = None          # form A, being collected

    def row(self, time, connector, number, event, data, context):
        self.time, self.connector = time, connector
        if self.number is not None and number != self.number + 1:
            self.unbroken = False
            self.finish()          # what follows a gap can be of another certificate
        self.number = number
        label = context.lower()
        part = FORM_A.get(label) if event == "*" else None
        if part and self.block is not None:
            self.block[part] = data
            if part == "names":
                self.finish()
            return
        self.finish()
        if event == "*":
            self.note(label, context, data)
        elif event == ">":
            self.command(data)
        elif event == "<":
            self.answer(data)

    def finish(self):
        block, self.block = self.block, None
        if block and block.pop("ours"):
            self.present(block, block.pop("time"), block.pop("connector"))

    def note(self, label, context, data):
        one_row = re.match(r"(\w+(?: target| domain)? certificate) .*thumbprint", label)
        if one_row:
            if one_row[1] == "sending certificate":
                self.present(one_row_certificate(data), self.time, self.connector)
        elif re.fullmatch(r"\w+(?: target| domain)? certificate", label):
            self.block = {"ours": label == "sending certificate", "time": self.time, "connector": self.connector}
            self.block.update(dict.fromkeys(FORM_A.values()), not_before=None, not_after=None)
            if self.block["ours"]:
                self.offered = True
        elif label.startswith("tls protocol "):
            name = context.split()[2]
            self.document.add("tls", (self.server, self.connector, TLS_NAMES.get(name, name)), self.key, self.time)
            if self.handshake == "starttls" and self.ready and self.unbroken and not self.offered:
                self.document.add("without_certificate", (self.server, self.connector), self.key, self.time)
        elif label.startswith("tls negotiation failed with error "):
            self.document.add("tls_failures", (self.server, self.connector, context.split()[5]), self.key, self.time)

    def present(self, certificate, time, connector):
        self.offered = True
        if self.handshake is None:
            key = (self.server, connector, certificate["thumbprint"])
            self.document.add("unattributed", key, self.key, time)
            return
        key = (self.server, connector, self.handshake, json.dumps(certificate, sort_keys=True))
        entry = self.document.add("presented", key, self.key, time)
        self.entries.append(entry)
        if self.exchange_online:
            entry["exo"].add(self.key)

    def command(self, data):
        verb = data.split(" ")[0].upper()
        self.unanswered.append(verb)
        if verb in ("STARTTLS", "X-ANONYMOUSTLS"):
            self.handshake = "starttls" if verb == "STARTTLS" else "anonymous_tls"
            self.unbroken, self.ready, self.offered = True, False, False

    def answer(self, data):
        if re.match(r"(220|250)[ -]", data):
            hello = re.match(r"250[ -] ?(\S+) Hello \[(?:IPv6:)?([0-9A-Fa-f.:]+)\]", data)
            banner = re.match(r"220[ -](\S+)", data)
            host = (hello or banner)[1].lower() if hello or banner else ""
            if host.endswith(EXCHANGE_ONLINE):
                self.exchange_online = True
                for entry in self.entries:
                    entry["exo"].add(self.key)
                if hello:
                    self.document.add("egress", (self.server, self.connector, hello[2]), self.key, self.time)
        self.reply.append(data)
        if data[3:4] == "-":
            return
        lines, self.reply = self.reply, []
        asked = self.unanswered.pop(0) if self.unanswered else None
        if asked is None and re.match(r"220[ -]\*{5}", data):
            self.document.add("masked_banners", (self.server, self.connector), self.key, self.time)
        if asked in ("STARTTLS", "X-ANONYMOUSTLS"):
            self.ready = data.startswith("220")
        if data[0] in "45":
            self.rejected(lines)

    def rejected(self, lines):
        parts = [re.match(r"\d{3}[ -]?(?:(\d\.\d{1,3}\.\d{1,3})(?: |$))?(.*)", line) for line in lines]
        code, enhanced = lines[0][:3], parts[0][1]
        text = " ".join(part[2] for part in parts)
        text = re.sub(r" ?\[[^\]]*\]$", "", text)
        text = re.sub(r"<?[^\s<>@]+@[^\s<>@:;,]+>?", "<address>", text)
        text = re.sub(r"\b[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b|\b[0-9A-Fa-f]{16,}\b", "<id>", text)
        key = (self.server, self.connector, reply_class(enhanced, text), code, enhanced, text)
        self.document.add("replies", key, self.key, self.time)


def reply_class(enhanced, text):
    if enhanced in ("5.7.64", "5.7.51", "5.7.68", "4.4.62") or re.search(r"ATTR?3[56]\b", text):
        return "attribution"
    if enhanced in ("4.7.230", "5.7.230"):
        return "version"
    if enhanced in ("5.7.3", "4.7.66", "4.7.5") or enhanced == "4.7.0" and "TLS" in text:
        return "tls"
    blocked = ("5.7.711", "5.7.705", "5.7.708", "5.7.750", "5.7.511", "4.7.500", "4.7.650")
    if enhanced in blocked or enhanced in [f"5.7.{n}" for n in range(606, 650)]:
        return "blocked"
    return "other"


def main(arguments):
    named = [a.split("=", 1)[1] for a in arguments if a.startswith("--server=")]
    paths = [a for a in arguments if not a.startswith("--")] or ["."]
    files = find(paths)
    servers = servers_of({os.path.dirname(path) for path in files})
    document, sessions = Document(), {}
    for path in files:
        with open(path, "rb") as file:
            data = file.read()
        reason = refusal(data)
        if reason:
            document.refused.append({"file": path, "reason": reason})
            continue
        document.counts["files"] += 1
        document.counts["bytes"] += len(data)
        folder = os.path.dirname(path)
        server = named[0] if named else servers[folder]
        for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:-1]:
            if b"\0" * DAMAGE in line:
                # What stood before the run is damaged, what follows it is a new row.
                damaged = line.rindex(b"\0" * DAMAGE) + DAMAGE
                document.counts["malformed_rows"] += 1
                document.counts["lost_bytes"] += damaged
                line = line[damaged:]
            line = line.removesuffix(b"\r").decode("utf-8", "replace")
            if not line or line.startswith("#"):
                continue
            found = row(line)
            if not found:
                document.counts["malformed_rows"] += 1
                continue
            document.counts["rows"] += 1
            time, connector, session, number, _, _, event, data_cell, context = found
            document.first_row = min(document.first_row or time, time)
            document.last_row = max(document.last_row or time, time)
            key = (server, folder, session)
            document.sessions.add(key)
            state = sessions.setdefault(key, Session(document, key))
            state.row(time, connector, int(number), event, data_cell, context)
    for state in sessions.values():
        state.finish()
    print(json.dumps(document.json(), indent=2, ensure_ascii=False))


main(sys.argv[1:])
