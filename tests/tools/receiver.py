#!/usr/bin/env python3
"""Receives webhooks and checks their signatures by the Standard Webhooks specification, with nothing of certdrift's own.

    receiver.py PORT SECRET FILE

Appends a line of JSON to FILE for each request: {"id", "verified", "body"}.
"""

import base64
import hashlib
import hmac
import http.server
import json
import sys
import time

PORT, SECRET, FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
TOLERANCE_SECONDS = 300


def verified(headers, body):
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = b".".join([identity.encode(), timestamp.encode(), body])
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    offered = headers.get("webhook-signature", "").split()
    return any(version == "v1" and hmac.compare_digest(signature, expected)
               for version, _, signature in (item.partition(",") for item in offered))


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        entry = {"id": self.headers.get("webhook-id"), "verified": verified(self.headers, body),
                 "body": json.loads(body)}
        with open(FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


open(FILE, "a", encoding="utf-8").close()
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
