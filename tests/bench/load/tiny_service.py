"""A service over HTTP/1.1 that answers as it is told to, for loads: `python -m
tests.bench.load.tiny_service PORT [MODE]`.

One request at a time, in order, as a model of one worker does. Modes: `ok`; `refuse` answers every
second request with 429; `stall` stops once for half a second, at the 50th request; `chunked` and
`close` send their answers so; `wrong` gives other labels; `deaf` never answers a POST; `keyed`
wants the bearer key `KEY`; `mortal` ends at the 20th request.
"""

import asyncio
import json
import sys

KEY = "k" * 20
LABELS = {"good": "positive", "bad": "negative"}
STALL_S = 0.5


class Service:
    """What answers."""

    def __init__(self, mode: str, service_s: float = 0.0) -> None:
        self.mode, self.service_s = mode, service_s
        self.posts = 0
        self.turn = asyncio.Lock()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                lines = head.split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                keyed = fields.get("authorization") == f"bearer {KEY}"
                answer = await self.answer(lines[0], body, keyed)
                writer.write(answer)
                await writer.drain()
                if self.mode == "close" and lines[0].startswith("POST"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def answer(self, first: str, body: bytes, keyed: bool) -> bytes:
        """Return the answer to a request."""
        if not first.startswith("POST"):
            return self.framed(200, b"{}")
        if self.mode == "keyed" and not keyed:
            return self.framed(401, b"{}")
        async with self.turn:
            self.posts += 1
            if self.mode == "mortal" and self.posts == 20:
                sys.exit(3)
            if self.mode == "deaf":
                await asyncio.sleep(3600)
            if self.mode == "stall" and self.posts == 50:
                await asyncio.sleep(STALL_S)
            if self.service_s:
                await asyncio.sleep(self.service_s)
        if self.mode == "refuse" and self.posts % 2 == 0:
            return self.framed(429, b'{"error": "the queue is full"}')
        text = json.loads(body)["input"]
        label = LABELS.get(text.split()[0], "negative")
        if self.mode == "wrong":
            label = "other"
        return self.framed(200, json.dumps({"predictions": [{"label": label}]}).encode())

    def framed(self, status: int, body: bytes) -> bytes:
        """Return an answer as it goes over the wire."""
        head = f"HTTP/1.1 {status} OK\r\n"
        if self.mode == "chunked":
            half = len(body) // 2
            parts = [each for each in (body[:half], body[half:]) if each]
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in parts)
            return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"
        if self.mode == "close":
            return f"{head}Connection: close\r\n\r\n".encode() + body
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def serve(port: int, mode: str, service_s: float) -> None:
    """Answer until the process ends."""
    service = Service(mode, service_s)
    server = await asyncio.start_server(service.talk, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    mode = sys.argv[2] if len(sys.argv) > 2 else "ok"
    asyncio.run(serve(int(sys.argv[1]), mode, float(sys.argv[3]) if len(sys.argv) > 3 else 0.0))
