#!/usr/bin/env python3
"""Writes three months of send protocol logs of a made-up organisation, and the configuration to watch it with.

    organisation.py DIRECTORY [--calm] [--hostile] [--servers N]

EX01 was renewed as planned. EX02 was renewed, and since two hours presents a certificate that nobody expects. EX03 was
silent for a week. EX04 still has the old certificate, which nears its end, and presented none for a day. `--hostile` adds
a server, a connector, a certificate and a reply whose texts are markup. `--servers` adds as many servers that are well.
`--calm` leaves one thing wrong only, which is more than enough for a picture.
"""

import argparse
import datetime
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import exchange  # noqa: E402

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR
# Start of validity and lifetime, in days: the log shows the same dates in every session.
LIVES = {"mail": (110, 128), "renewed": (40, 199), "owa": (70, 199)}
MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def ago(days=0.0, hours=0.0):
    return NOW - days * DAY - hours * HOUR


def write(root, server, certificate, start, end, outcome="relayed", every=6 * HOUR, change=None, form="C"):
    """Sessions from start until end. `change` may rewrite the text of a row."""
    arguments = argparse.Namespace(
        certificate=certificate, outcome=outcome, valid_days=0, form=form, address="203.0.113.5", seed=server)
    rows = []
    number = 0
    while start < end:
        rows += exchange.session(arguments, number, start)
        number += 1
        start += every
    if change:
        rows = [(time, change(row)) for time, row in rows]
    directory = os.path.join(root, "logs", server, "SmtpSend")
    os.makedirs(directory, exist_ok=True)
    exchange.append(directory, rows)


def rows_of_certificate(form, which, _start, _valid_days, original=exchange.certificate_rows):
    begun, lifetime = LIVES[which]
    return original(form, which, ago(begun - 20), lifetime - 20)


exchange.certificate_rows = rows_of_certificate


def thumbprint(certificate):
    rows = exchange.certificate_rows("A", certificate, NOW, 1)
    return next(data for data, context in rows if context == "Certificate thumbprint")


def contoso(root, calm):
    servers = [("EX01", 31), ("EX02", 29.5), ("EX03", 27)]
    for server, renewed in servers + ([("EX04", 25)] if calm else []):
        pause = 13 if server == "EX03" else renewed
        write(root, server, "mail", ago(88), ago(max(renewed, 20)))
        write(root, server, "renewed", ago(min(pause, renewed)), ago(hours=3))
    for server in ("EX01", "EX03", "EX04") if calm else ("EX01", "EX03"):
        write(root, server, "renewed", ago(hours=2), NOW, every=HOUR / 6)
    write(root, "EX02", "owa", ago(hours=2), ago(hours=1), every=HOUR / 12)
    write(root, "EX02", "owa", ago(hours=1), NOW, outcome="denied", every=HOUR / 6)
    if not calm:
        old_certificate(root)
    write(root, "EX01", "owa", ago(60), NOW, every=9 * HOUR,
          change=lambda row: row.replace(exchange.CONNECTOR, "Outbound to Fabrikam").replace(
              "mail.protection.outlook.com", "mx.fabrikam.example"))


def old_certificate(root):
    write(root, "EX04", "mail", ago(88), ago(52))
    write(root, "EX04", "none", ago(52), ago(50.5))
    write(root, "EX04", "mail", ago(50.5), ago(hours=2))
    write(root, "EX04", "mail", ago(hours=2), NOW, every=HOUR / 6)


def hostile(root):
    def change(row):
        quoted = MARKUP.replace('"', '""')
        return (row.replace(exchange.CONNECTOR, f'"{quoted}"')
                .replace("CN=owa.contoso.com, O=Contoso", f"CN={quoted}, O=</svg></style>{{")
                .replace("owa.contoso.com;", "javascript:alert(3);")
                .replace("Relay Access Denied", f"Relay Access Denied </pre></svg>{quoted}"))
    server = "EX66'><svg onload=alert(4)>"
    write(root, server, "owa", ago(hours=2), NOW, outcome="denied", every=HOUR / 6, change=change, form="A")


CONFIGURATION = """sources:
  - path: logs/{{server}}/SmtpSend
    first_read: all
connectors:
  - name: "*"
    expected:
      inbound_connectors:
        - name: Inbound from contoso
          tls_sender_certificate_name: mail.contoso.com
      accepted_domains: [contoso.com]
    planned:
      - {{ thumbprint: "{renewed}", from: {began}, until: {ended}, reason: CHG0012345 }}
      - {{ thumbprint: "{next}", from: {begins}, until: {ends}, reason: CHG0012399 }}
receivers:
  - name: oncall
    webhook: {{ url: "http://127.0.0.1:{port}/oncall" }}
  - name: chat
    severities: [critical, warning, information]
    webhook: {{ url: "http://127.0.0.1:9/chat" }}
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--calm", action="store_true")
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--servers", type=int, default=0)
    parser.add_argument("--port", type=int, default=9, help="where the receiver listens")
    arguments = parser.parse_args()
    root = arguments.directory
    contoso(root, arguments.calm)
    if arguments.hostile:
        hostile(root)
    for number in range(arguments.servers):
        write(root, f"MBX{number:03}", "renewed", ago(2), NOW, every=5 * HOUR)
    stamp = lambda time: time.strftime("%Y-%m-%dT%H:00:00Z")  # noqa: E731
    text = CONFIGURATION.format(
        renewed=thumbprint("renewed"), began=stamp(ago(33)), ended=stamp(ago(26)), next="5A" * 20,
        begins=stamp(ago(-3)), ends=stamp(ago(-9)), port=arguments.port)
    if arguments.calm:
        text = "".join(line for line in text.splitlines(keepends=True) if "CHG0012345" not in line)
    if not arguments.hostile:
        text = text.replace('name: "*"', 'name: "Outbound to Office 365*"')
    with open(os.path.join(root, "certdrift.yml"), "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
