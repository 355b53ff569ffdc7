"""A small HTTP service that behaves as an instance of the zoo's does: health, limits, draining.

    python instance.py PORT LIMIT

`POST /predict` waits the seconds its body names and answers with the port. SIGTERM makes it
unready; it ends once it has answered what it has accepted. `POST /as/503` makes each prediction a
503, `/as/unready` only its readiness, `/as/usual` neither; `/seen` counts the predictions.
"""

import base64
import hashlib
import json
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, LIMIT = int(sys.argv[1]), int(sys.argv[2])
state = {"mode": "usual", "seen": 0, "open": 0}
guard = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers with JSON; a connection is kept."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one piece

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def answer(self, status: int, content: object) -> None:
        """Sends an answer; one that drains closes the connection with it."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if state["mode"] == "draining":
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self) -> None:
        """Health, what was seen, and an upgrade that echoes."""
        if self.headers.get("Upgrade"):
            self.echo()
        elif self.path == "/v2/health/ready":
            self.answer(200 if state["mode"] in ("usual", "503") else 503, {})
        elif self.path == "/seen":
            self.answer(200, state["seen"])
        else:
            self.answer(200, {"path": self.path})

    def do_POST(self) -> None:
        """A prediction, or another mode."""
        with guard:
            state["open"] += 1
        try:
            self.predict()
        finally:
            with guard:
                state["open"] -= 1

    def predict(self) -> None:
        """Reads the body, waits, answers."""
        body = self.body()
        if self.path.startswith("/as/"):
            state["mode"] = self.path.removeprefix("/as/")
            self.answer(200, {})
            return
        with guard:
            state["seen"] += 1
        if body is None:
            self.close_connection = True
            self.answer(413, {"error": "too large, says the instance"})
        elif state["mode"] == "503":
            self.answer(503, {"error": "not now, says the instance"})
        else:
            time.sleep(float(json.loads(body).get("seconds", 0)))
            self.answer(200, {"port": PORT})

    def body(self) -> bytes | None:
        """The body, also one in chunks; None above the limit."""
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            return self.rfile.read(length) if length <= LIMIT else None
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
            if len(content) > LIMIT:
                return None
        self.rfile.readline()
        return content

    def echo(self) -> None:
        """Sends back what comes, as no HTTP any more."""
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        self.wfile.flush()
        while content := self.connection.recv(1024):
            self.connection.sendall(content)
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """Many connections at once."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Says nothing of clients, and of checks, that hang up."""


def drain(*_: object) -> None:
    """Ends when nothing is open; listens no longer."""
    state["mode"] = "draining"

    def leave() -> None:
        server.shutdown()
        server.socket.close()
        while state["open"]:
            time.sleep(0.01)
        time.sleep(0.05)
        sys.stdout.flush()
        signal.raise_signal(signal.SIGKILL)

    threading.Thread(target=leave).start()


server = Server(("127.0.0.1", PORT), Handler)
server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
signal.signal(signal.SIGTERM, drain)
server.serve_forever(poll_interval=0.02)
threading.Event().wait()
