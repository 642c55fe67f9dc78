#!/usr/bin/env python3
"""Writes send protocol logs as a made-up Exchange server would.

    exchange.py --out DIRECTORY [--start TIME] [--sessions N] [--every SECONDS] [--form A|B|C]
                [--certificate mail|renewed|owa|none] [--outcome relayed|denied] [--address IP]
                [--valid-days N] [--seed N]

Rows are appended to DIRECTORY/SENDyyyyMMddHH-1.LOG; a new file begins with the usual header lines.
"""

import argparse
import datetime
import hashlib
import os

CONNECTOR = "Outbound to Office 365"
PEER = "AM0EUR02FT041.mail.protection.outlook.com"
FIELDS = ("date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,"
          "event,data,context")
TLS = ("TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm "
       "CALG_AES_256 with strength 256 bits, MAC hash algorithm CALG_SHA_384 with strength 0 bits "
       "and key exchange algorithm CALG_ECDHE with strength 384 bits")
ISSUER = "CN=Fabrikam TLS Issuing CA 2, O=Fabrikam Trust Services, C=US"
CERTIFICATES = {
    "mail": ("CN=mail.contoso.com, O=Contoso, L=London, C=GB", "0A5F1C2D3E4B5A69788796A5B4C3D2E1",
             "mail.contoso.com;autodiscover.contoso.com"),
    "renewed": ("CN=mail.contoso.com, O=Contoso, L=London, C=GB", "0C1D2E3F4A5B69788796A5B4C3D2E1F00F",
                "mail.contoso.com;autodiscover.contoso.com"),
    "owa": ("CN=owa.contoso.com, O=Contoso, L=London, C=GB", "0B7E2D3C4B5A69788796A5B4C3D2E1F0",
            "owa.contoso.com;www.contoso.com"),
}


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def cell(text):
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def certificate_rows(form, which, start, valid_days):
    """(data, context) of the rows that offer the certificate."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    subject, serial, names = CERTIFICATES[which]
    thumbprint = hashlib.sha1(serial.encode()).hexdigest().upper()
    if form == "A":
        return [("", "Sending certificate"), (subject, "Certificate subject"),
                (ISSUER, "Certificate issuer name"), (serial, "Certificate serial number"),
                (thumbprint, "Certificate thumbprint"), (names, "Certificate alternate names")]
    if form == "B":
        return [(f" {subject} {ISSUER} {serial} {thumbprint} {names}",
                 "Sending certificate Certificate subject Certificate issuer name "
                 "Certificate serial number Certificate thumbprint Certificate alternate names")]
    dates = " ".join(stamp(midnight + datetime.timedelta(days=days)) for days in (-20, valid_days))
    return [(f" {subject} {ISSUER} {serial} {thumbprint} {dates} {names}",
             "Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after "
             "Subject alternate names")]


def session(arguments, number, start):
    """The rows of one session, each with its time."""
    hello = (f"250  {PEER} Hello [{arguments.address}] SIZE 157286400 PIPELINING DSN "
             "ENHANCEDSTATUSCODES STARTTLS 8BITMIME BINARYMIME CHUNKING SMTPUTF8")
    message = f"<{number}@ex.contoso.com>"
    steps = [
        ("*", "SendRoutingHeaders", "Set Session Permissions"),
        ("*", "", "attempting to connect"),
        ("+", "", ""),
        ("<", f"220 {PEER} Microsoft ESMTP MAIL Service ready at {start:%a, %d %b %Y %H:%M:%S} +0000", ""),
        (">", "EHLO ex.contoso.com", ""),
        ("<", hello, ""),
        (">", "STARTTLS", ""),
        ("<", "220 2.0.0 SMTP server ready", ""),
    ]
    if arguments.certificate != "none":
        steps += [("*", data, context) for data, context in
                  certificate_rows(arguments.form, arguments.certificate, start, arguments.valid_days)]
    steps += [
        ("*", " CN=mail.protection.outlook.com CN=Elsewhere CA 00AA11BB "
              "1111111111111111111111111111111111111111 2026-10-01T00:00:00.000Z "
              "2027-04-01T00:00:00.000Z mail.protection.outlook.com",
         "Remote certificate Subject Issuer name Serial number Thumbprint Not before Not after "
         "Subject alternate names"),
        ("*", "", TLS),
        (">", "EHLO ex.contoso.com", ""),
        ("<", hello, ""),
        ("*", "", f"sending message with RecordId {number} and InternetMessageId {message}"),
        (">", "MAIL FROM:<joe@contoso.com> SIZE=4096", ""),
        (">", f"RCPT TO:<customer{number}@fabrikam.example>", ""),
        ("<", "250 2.1.0 Sender OK", ""),
    ]
    if arguments.outcome == "denied":
        steps.append(("<", "550 5.7.64 TenantAttribution; Relay Access Denied "
                           f"[{PEER} {stamp(start)} 08DE{number:012X}]", ""))
    else:
        steps += [("<", "250 2.1.5 Recipient OK", ""), (">", "BDAT 4096 LAST", ""),
                  ("<", f"250 2.6.0 {message} Queued mail for delivery", "")]
    steps += [(">", "QUIT", ""), ("<", "221 2.0.0 Service closing transmission channel", ""), ("-", "", "Local")]
    identity = hashlib.sha256(f"{arguments.seed} {number} {start}".encode()).hexdigest()[:16].upper()
    for sequence, (event, data, context) in enumerate(steps):
        time = start + datetime.timedelta(milliseconds=40 * sequence)
        local = "10.0.0.5:25001" if sequence > 1 else ""
        yield time, ",".join([stamp(time), cell(CONNECTOR), identity, str(sequence), local,
                              "52.101.73.6:25", event, cell(data), cell(context)])


def append(directory, rows):
    handles = {}
    for time, row in rows:
        name = os.path.join(directory, f"SEND{time:%Y%m%d%H}-1.LOG")
        if name not in handles:
            begun = os.path.exists(name)
            handles[name] = open(name, "ab")
            if not begun:
                header = ["#Software: Microsoft Exchange Server", "#Version: 15.0.0.0",
                          "#Log-type: SMTP Send Protocol Log", f"#Date: {stamp(time)}", f"#Fields: {FIELDS}"]
                handles[name].write(b"\xef\xbb\xbf" + "".join(line + "\r\n" for line in header).encode())
        handles[name].write((row + "\r\n").encode())
    for handle in handles.values():
        handle.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--start", help="time of the first session; now, if left out")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--form", choices="ABC", default="C")
    parser.add_argument("--certificate", choices=[*CERTIFICATES, "none"], default="mail")
    parser.add_argument("--outcome", choices=["relayed", "denied"], default="relayed")
    parser.add_argument("--address", default="203.0.113.5")
    parser.add_argument("--valid-days", type=int, default=80, help="days from the start until the certificate expires")
    parser.add_argument("--seed", default="")
    arguments = parser.parse_args()
    now = datetime.datetime.now(datetime.timezone.utc)
    start = datetime.datetime.fromisoformat(arguments.start.replace("Z", "+00:00")) if arguments.start else now
    os.makedirs(arguments.out, exist_ok=True)
    rows = []
    for number in range(arguments.sessions):
        rows += session(arguments, number, start + datetime.timedelta(seconds=arguments.every * number))
    rows.sort(key=lambda row: row[0])
    append(arguments.out, rows)


if __name__ == "__main__":
    main()
