"""The server: routes, answers, and the faults in between."""

import base64
import contextlib
import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.tools.hub.tiny_hub.faults import Fault
from tests.tools.hub.tiny_hub.storage import LARGE, Commit, File, Repo
from tools.cards import validate

TOKEN = "hf_" + "SecretOfTheTests" * 2
USER = "user"
SLOW_S = 0.3
CUT_BYTES = 1000
DRIP_S, LONGEST_S = 0.01, 30.0
STRANGE = ("says", "drips", "silent", "turns", "endless")
REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
REVISION = r"(?P<revision>[^/]+)"
CALLS: dict[str, tuple[str, str]] = {
    "alive": ("HEAD", "/"),
    "whoami": ("GET", "/api/whoami-v2"),
    "create": ("POST", "/api/repos/create"),
    "validate": ("POST", "/api/validate-yaml"),
    "refs": ("GET", f"/api/models/{REPO}/refs"),
    "branch": ("POST", f"/api/models/{REPO}/branch/{REVISION}"),
    "tree": ("GET", f"/api/models/{REPO}/tree/{REVISION}(?P<path>.*)"),
    "paths": ("POST", f"/api/models/{REPO}/paths-info/{REVISION}"),
    "preupload": ("POST", f"/api/models/{REPO}/preupload/{REVISION}"),
    "commit": ("POST", f"/api/models/{REPO}/commit/{REVISION}"),
    "info": ("GET", f"/api/models/{REPO}(?:/revision/{REVISION})?"),
    "batch": ("POST", rf"/{REPO}\.git/info/lfs/objects/batch"),
    "upload": ("PUT", "/large/(?P<oid>[0-9a-f]{64})"),
    "confirm": ("POST", "/large/(?P<oid>[0-9a-f]{64})/confirm"),
    "header": ("HEAD", f"/{REPO}/resolve/{REVISION}/(?P<path>.+)"),
    "content": ("GET", f"/{REPO}/resolve/{REVISION}/(?P<path>.+)"),
}
WRITES = frozenset(("create", "branch", "preupload", "commit", "batch", "confirm", "whoami"))


class Failure(Exception):
    """An answer that is none of 2xx."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.answer = {"error": message, **(more or {})}
        self.headers = {"X-Error-Code": code} if code else {}


class TinyHub:
    """The server and all it holds. Starts on entry, stops on exit."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        """the calls that were made, by name"""
        self.bytes_in = 0
        """of large files"""
        self.looks = True
        """whether it compares a large file with the sum that it came under"""
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self._faults: list[Fault] = []
        handler = type("Handler", (_Handler,), {"hub": self})
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def fault(self, *faults: Fault) -> None:
        """From now on these happen, and those from before do not."""
        self._faults = list(faults)

    def struck(self, call: str, path: str) -> Fault | None:
        """The fault of this call, if there is one."""
        with self.lock:
            self.asked.append(call)
            return next((one for one in self._faults if one.strikes(call, path)), None)

    def forget(self) -> None:
        """Empties it."""
        self.repos.clear()
        self.large.clear()
        self.asked.clear()
        self._faults.clear()
        self.bytes_in = 0


class _Server(ThreadingHTTPServer):
    """One that says nothing of clients that have hung up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """See `socketserver.BaseServer`."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: TinyHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer is one packet: else each one waits 40 ms for the client's receipt

    def handle_any(self) -> None:
        """Finds the call, reads what was sent, does the work, answers; in between, the faults."""
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        name, said = _call(self.command, unquote(address.path))
        fault = self.hub.struck(name, address.path)
        kind = fault.kind if fault else None
        if kind == "cut" and self.command == "PUT":
            self.rfile.read(CUT_BYTES)
            self._hang_up()
            return
        if kind == "slow":
            threading.Event().wait(SLOW_S)  # the tests' own time.sleep does not wait
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not body and self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        if not name:
            self._send(404, {"error": "no such call"})
            return
        if fault and isinstance(kind, int):
            self._send(kind, {"error": "on demand"}, fault.headers)
            return
        if fault and kind in STRANGE:
            self._strange(fault)
            return
        try:
            with self.hub.lock:
                self._must_be_allowed(name)
                work: Callable[..., Any] = getattr(self, f"_on_{name}")
                answer = work(body, **said)
        except Failure as failure:
            self._send(failure.status, failure.answer, failure.headers)
            return
        if kind == "lost":
            self._hang_up()
        elif name in ("header", "content"):
            self._send_file(*answer, kind)
        else:
            self._send(200, answer)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def log_message(self, *words: object) -> None:
        """Nothing on the screen."""

    # --- the calls

    def _on_alive(self, body: bytes) -> Any:
        return {}

    def _on_whoami(self, body: bytes) -> Any:
        return {"name": USER, "type": "user", "auth": {"accessToken": {"role": "write"}}}

    def _on_create(self, body: bytes) -> Any:
        asked = json.loads(body)
        name = f"{asked.get('organization') or USER}/{asked['name']}"
        if not name.startswith(f"{USER}/"):
            raise Failure(403, "You don't have the rights to create a model under this namespace")
        is_new = name not in self.hub.repos
        if is_new:
            self.hub.repos[name] = Repo(private=asked.get("visibility") == "private")
        answer = {"url": f"{self.hub.endpoint}/{name}", "name": name}
        if not is_new:
            raise Failure(409, "You already created this model repo", more=answer)
        return answer

    def _on_validate(self, body: bytes) -> Any:
        import yaml

        text = json.loads(body)["content"]
        found = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
        faults = validate.faults(yaml.safe_load(found[1])) if found else ["no metadata"]
        if faults:
            said = {"errors": [{"message": fault} for fault in faults], "warnings": []}
            raise Failure(400, "Invalid metadata", more=said)
        return {"errors": [], "warnings": []}

    def _on_refs(self, body: bytes, repo: str) -> Any:
        heads = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha}
            for name, sha in self._repo(repo).branches.items()
        ]
        return {"branches": heads, "converts": [], "tags": []}

    def _on_branch(self, body: bytes, repo: str, revision: str) -> Any:
        found = self._repo(repo)
        if revision in found.branches:
            raise Failure(409, "Reference already exists")
        found.branches[revision] = self._commit(repo, "main").sha
        return {}

    def _on_info(self, body: bytes, repo: str, revision: str) -> Any:
        commit = self._commit(repo, revision)
        siblings = []
        for path, file in commit.files.items():
            said = file.described() if "blobs" in self.query else {}
            blob = {"blobId": said.pop("oid")} if said else {}
            siblings.append({"rfilename": path, **said, **blob})
        private = self._repo(repo).private
        about = {"id": repo, "modelId": repo, "sha": commit.sha, "private": private}
        return {**about, "siblings": siblings, "tags": [], "pipeline_tag": "text-classification"}

    def _on_tree(self, body: bytes, repo: str, revision: str, path: str) -> Any:
        below = "" if path in ("", "main") else path.strip("/") + "/"
        return [
            {"type": "file", "path": name, **file.described()}
            for name, file in self._commit(repo, revision).files.items()
            if name.startswith(below)
        ]

    def _on_paths(self, body: bytes, repo: str, revision: str) -> Any:
        files = self._commit(repo, revision).files
        asked = parse_qs(body.decode())["paths"]
        return [
            {"type": "file", "path": path, **files[path].described()}
            for path in asked
            if path in files
        ]

    def _on_preupload(self, body: bytes, repo: str, revision: str) -> Any:
        there = self._commit(repo, revision).files
        files = []
        for asked in json.loads(body)["files"]:
            path = asked["path"]
            mode = "lfs" if path.endswith(LARGE) else "regular"
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False})
            if path in there:
                files[-1]["oid"] = there[path].etag
        return {"files": files}

    def _on_batch(self, body: bytes, repo: str) -> Any:
        self._repo(repo)
        objects = []
        for asked in json.loads(body)["objects"]:
            href = f"{self.hub.endpoint}/large/{asked['oid']}"
            actions = {"upload": {"href": f"{href}?sig=presigned"}}
            actions["verify"] = {"href": f"{href}/confirm"}
            known = asked["oid"] in self.hub.large
            objects.append(asked if known else {**asked, "actions": actions})
        return {"transfer": "basic", "objects": objects}

    def _on_upload(self, body: bytes, oid: str) -> Any:
        if self.hub.looks and hashlib.sha256(body).hexdigest() != oid:
            raise Failure(400, "the content is not what its name says")
        self.hub.large[oid] = body
        self.hub.bytes_in += len(body)
        return {}

    def _on_confirm(self, body: bytes, oid: str) -> Any:
        if len(self.hub.large.get(oid, b"")) != json.loads(body)["size"]:
            raise Failure(404, "it has not arrived")
        return {}

    def _on_commit(self, body: bytes, repo: str, revision: str) -> Any:
        found = self._repo(repo)
        if revision not in found.branches:
            raise _no_revision(revision)
        head, *operations = [json.loads(line) for line in body.splitlines()]
        if head["value"].get("parentCommit") not in (None, found.branches[revision]):
            raise Failure(412, "A commit has happened since. Please refresh and try again.")
        files = dict(found.files(revision))
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    raise Failure(400, f"{value['path']} has not been uploaded")
                files[value["path"]] = File(self.hub.large[value["oid"]], True)
            elif value["path"] in files:
                del files[value["path"]]
            else:
                raise Failure(404, "A file with this name doesn't exist")
        made = found.commit(revision, files, head["value"]["summary"])
        url = f"{self.hub.endpoint}/{repo}/commit/{made.sha}"
        return {"commitUrl": url, "commitOid": made.sha, "hookOutput": ""}

    def _on_content(self, body: bytes, repo: str, revision: str, path: str) -> Any:
        commit = self._commit(repo, revision)
        if path not in commit.files:
            raise Failure(404, "Entry not found", "EntryNotFound")
        return commit, commit.files[path]

    _on_header = _on_content

    # --- what they share

    def _must_be_allowed(self, name: str) -> None:
        given = self.headers.get("Authorization")
        if given is None and name not in WRITES:
            return
        if given != f"Bearer {TOKEN}":
            raise Failure(401, "Invalid credentials in Authorization header")

    def _repo(self, name: str) -> Repo:
        found = self.hub.repos.get(name)
        if found is None or (found.private and "Authorization" not in self.headers):
            raise Failure(404, "Repository not found", "RepoNotFound")
        return found

    def _commit(self, repo: str, revision: str) -> Commit:
        found = self._repo(repo).find(revision)
        if found is None:
            raise _no_revision(revision)
        return found

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _strange(self, fault: Fault) -> None:
        """What no Hub would answer; ends when the client has had enough of it."""
        self.close_connection = True
        if fault.kind == "silent":
            self.hub.stopped.wait(LONGEST_S)
            return
        self.send_response(302 if fault.kind == "turns" else 200)
        headers = {"Location": self.path} if fault.kind == "turns" else dict(fault.headers)
        if fault.kind in ("says", "drips"):
            headers.setdefault("Content-Length", str(len(fault.body)))
        for key, value in {**headers, "Connection": "close"}.items():
            self.send_header(key, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            if fault.kind == "says":
                self.wfile.write(fault.body)
            elif fault.kind == "drips":
                for byte in fault.body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    self.hub.stopped.wait(DRIP_S)
            elif fault.kind == "endless":
                while not self.hub.stopped.is_set():
                    self.wfile.write(fault.body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, answer: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, commit: Commit, file: File, kind: object) -> None:
        content = file.content[:-1] if kind == "short" else file.content
        size = len(content)
        begin = 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            begin = int(asked[1])
        self.send_response(206 if begin else 200)
        self.send_header("X-Repo-Commit", commit.sha)
        self.send_header("ETag", f'"{file.etag}"')
        if file.is_large:
            self.send_header("X-Linked-Etag", f'"{file.etag}"')
            self.send_header("X-Linked-Size", str(size))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if kind == "cut":
            self.wfile.write(content[begin : begin + (size - begin) // 2])
            self.wfile.flush()
            self._hang_up()
            return
        self.wfile.write(content[begin:])


def _call(method: str, path: str) -> tuple[str, dict[str, str]]:
    """The name of a call, and what its address says; no name for what is none."""
    for name, (known, pattern) in CALLS.items():
        if method == known and (match := re.fullmatch(pattern, path)):
            return name, {key: value or "main" for key, value in match.groupdict().items()}
    return "", {}


def _no_revision(revision: str) -> Failure:
    return Failure(404, f"Invalid rev id: {revision}", "RevisionNotFound")
