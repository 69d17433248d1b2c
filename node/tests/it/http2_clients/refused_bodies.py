"""Sends the requests of standard input over HTTP/2 with httpx, and prints what came back for each."""
import json
import ssl
import sys

import httpx

url, authorities = sys.argv[1:]
trusted = ssl.create_default_context(cafile=authorities)
for ask in json.load(sys.stdin):
    body = b"x" * ask["bytes"]
    answered = 0
    with httpx.Client(http1=False, http2=True, verify=trusted, timeout=30) as client:
        for _ in range(ask["turns"]):
            try:
                answer = client.request(ask["method"], url + ask["path"], headers=ask["headers"], content=body)
                answered += (answer.status_code, answer.http_version) == (ask["status"], "HTTP/2")
            except httpx.TransportError as error:
                print(repr(error), file=sys.stderr)
    print(answered)
