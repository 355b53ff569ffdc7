"""Configurations of haproxy and nginx in front of several instances of a service.

Both give a request to the instance that has the fewest, pass no body above the limit, and try a
request once more elsewhere where an instance is gone or answers 503: a prediction changes nothing,
so asking twice does no harm. What does change something, or speaks of one instance alone, is not
passed on.
"""

import json
import re
from collections.abc import Sequence

from tasks.errors import UserError
from zoo.serve.health import METRICS, READY
from zoo.serve.operations.site import Site, heading, seconds

PORTS = (8000, 8088, 8008)
"""Where a balancer listens: at the first that no instance has."""
BUFFER = 64 * 1024
"""Bytes of a request that haproxy keeps; a larger one that was sent is not tried again."""
TUNNEL_S = 3600
"""How long a WebSocket may be silent, in seconds."""
MORE_S = 5
"""Seconds that an answer is waited for beyond the deadline of the service, which says so first."""
IDLE_S = 4
"""Seconds after which nginx closes an idle connection to an instance. The instance does after five,
and a request that met that would count as its failure."""
SPARE = 16
"""Connections of an instance that haproxy leaves free, for health and metrics."""
OF_ONE_INSTANCE = (METRICS, "/v2/repository")
"""Paths that concern a single instance: they are asked there."""
ERRORS = {
    408: "the request did not arrive in time",
    413: "the body is larger than {limit} bytes",
    404: "this is of a single instance: ask it, not the balancer",
    502: "the instance that had the request ended: send it again",
    503: "no instance is ready: try again",
    504: "no instance answered in time",
}
"""What a balancer says by itself, in the form of the service's own errors."""


def instances_of(site: Site) -> tuple[str, ...]:
    """Return the instances of a service as HOST:PORT: by default two on this machine, at the
    service's port and the next one.

    Raises `UserError` for one that is no HOST:PORT, or is named twice.
    """
    named, port = site.args.instances, site.port
    if not named:
        host = site.args.host if site.args.host not in ("0.0.0.0", "::") else "127.0.0.1"
        host = f"[{host}]" if ":" in host else host
        if port == 65535:
            raise UserError("`port` 65535 leaves none for a second instance: name `instances`")
        return f"{host}:{port}", f"{host}:{port + 1}"
    for each in named:
        found = re.fullmatch(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})", each)
        if not found or not 0 < int(found[1]) < 65536:
            raise UserError(f"`instances`: {each!r} is no HOST:PORT, as 10.0.0.7:{port} is")
    if twice := next((each for each in named if named.count(each) > 1), None):
        raise UserError(f"`instances` names {twice} twice")
    return named


def haproxy(site: Site, instances: Sequence[str], port: int | None = None) -> str:
    """Return haproxy.cfg, for haproxy 2.4 and later.

    Args:
        instances: HOST:PORT each.
        port: where haproxy listens; None: at one of `PORTS`.
    """
    port = port or _free_port(instances)
    slow, longest = seconds(site.args.slow_client_s), seconds(site.args.timeout_s + MORE_S)
    most = max(1, site.args.max_connections - SPARE)
    answer = "http-request return status {} content-type application/json string {}"
    own = " || ".join(f"{{ path,url_dec -m beg {path} }}" for path in OF_ONE_INSTANCE)
    lines = [
        "global",
        "    log stderr format raw local0",
        "    maxconn 4096",
        f"    tune.bufsize {BUFFER}",
        f"    hard-stop-after {seconds(site.grace_s)}s",
        "",
        "defaults",
        "    mode http",
        "    log global",
        "    option httplog",
        "    option dontlognull",
        "    timeout connect 2s",
        f"    timeout http-request {slow}s",
        "    timeout http-keep-alive 60s",
        # that of the server at least: a client says nothing while it waits for its answer
        f"    timeout client {max(60, longest)}s",
        "    timeout queue 2s",
        f"    timeout server {longest}s",
        f"    timeout tunnel {TUNNEL_S}s",
    ]
    for code in (408, 502, 503, 504):
        told = f"    http-error status {code} content-type application/json"
        again = " hdr Retry-After 1" if code == 503 else ""
        lines.append(f"{told} string {_haproxy_quoted(_error(code, site))}{again}")
    lines += [
        "",
        "frontend zoo",
        f"    bind :{port}",
        "    # TLS: bind :443 ssl crt /etc/haproxy/zoo.pem alpn h2,http/1.1",
        "    option http-buffer-request",
        "    option forwardfor",
        f"    {answer.format(413, _haproxy_quoted(_error(413, site)))} "
        f"if {{ req.body_size gt {site.max_body} }}",
        f"    {answer.format(404, _haproxy_quoted(_error(404, site)))} if {own}",
        "    default_backend instances",
        "",
        "backend instances",
        "    balance leastconn",
        "    option httpchk",
        f"    http-check send meth GET uri {READY}",
        "    http-check expect status 200",
        "    retries 1",
        "    option redispatch 1",
        "    retry-on conn-failure empty-response 503",
        f"    default-server check inter 1s fastinter 250ms fall 2 rise 1 maxconn {most}",
        *(f"    server zoo{number} {each}" for number, each in enumerate(instances, 1)),
    ]
    return heading("#", _head("haproxy", site, instances, port)) + "\n".join(lines) + "\n"


def nginx(site: Site, instances: Sequence[str], port: int | None = None) -> str:
    """Return nginx.conf, for nginx 1.18 and later.

    Args:
        instances: HOST:PORT each.
        port: where nginx listens; None: at one of `PORTS`.
    """
    port = port or _free_port(instances)
    lines = [
        "worker_processes auto;",
        f"worker_shutdown_timeout {seconds(site.grace_s)}s;",
        "pid nginx.pid;",
        "error_log stderr warn;",
        "events { worker_connections 4096; }",
        "http {",
        "    access_log off;",
        "    server_tokens off;",
        "    client_body_temp_path body;",
        "    proxy_temp_path proxy;",
        "    fastcgi_temp_path fastcgi;",
        "    uwsgi_temp_path uwsgi;",
        "    scgi_temp_path scgi;",
        "    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }",
        "    upstream instances {",
        "        zone instances 64k;",
        "        least_conn;",
        *(f"        server {each} max_fails=1 fail_timeout=2s;" for each in instances),
        "        keepalive 64;",
        f"        keepalive_timeout {IDLE_S}s;  # before an instance closes it",
        "    }",
        "    server {",
        *(f"        {line}" for line in _nginx_server(site, port)),
        "    }",
        "}",
    ]
    return heading("#", _head("nginx", site, instances, port)) + "\n".join(lines) + "\n"


def _nginx_server(site: Site, port: int) -> list[str]:
    """Return what nginx listens to, passes on, and says by itself."""
    slow = seconds(site.args.slow_client_s)
    lines = [
        f"listen {port};",
        "# TLS: listen 443 ssl; ssl_certificate ...; ssl_certificate_key ...;",
        f"client_max_body_size {site.max_body};",
        f"client_header_timeout {slow}s;",
        f"client_body_timeout {slow}s;",
        "proxy_http_version 1.1;",
        "proxy_set_header Host $http_host;",  # with its port, as Origin has it
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $connection_upgrade;",
        "proxy_connect_timeout 2s;",
        f"proxy_read_timeout {seconds(site.args.timeout_s + MORE_S)}s;",
        "proxy_next_upstream error timeout http_503 non_idempotent;",
        "proxy_next_upstream_tries 2;",
        "proxy_next_upstream_timeout 5s;",
        "location / { proxy_pass http://instances; }",
        "location /v1/ { proxy_pass http://instances; proxy_buffering off; }",
        "location ~ ^/(websocket|v1/realtime)$ {",
        "    proxy_pass http://instances;",
        f"    proxy_read_timeout {TUNNEL_S}s;",
        f"    proxy_send_timeout {TUNNEL_S}s;",
        "}",
        *(f"location {path} {{ return 404; }}" for path in OF_ONE_INSTANCE),
        "error_page 502 =503 @503;  # also where all are left out",
    ]
    for code in sorted(ERRORS.keys() - {502}):
        again = "add_header Retry-After 1 always; " if code == 503 else ""
        lines += [
            f"error_page {code} @{code};",
            f"location @{code} {{ default_type application/json; {again}"
            f"return {code} '{_error(code, site)}'; }}",
        ]
    return lines


def _free_port(instances: Sequence[str]) -> int:
    taken = {int(each.rpartition(":")[2]) for each in instances}
    free: int = next(port for port in (*PORTS, *range(9000, 65536)) if port not in taken)
    return free


def _head(program: str, site: Site, instances: Sequence[str], port: int) -> list[str]:
    """Return what the file is for, how it is used, and what it does not do."""
    ports = " and ".join(sorted({each.rpartition(":")[2] for each in instances}))
    lines = [
        f"{site.titles} behind {program}, at port {port}; the instances are at port {ports}.",
        "",
    ]
    if program == "haproxy":
        lines += [
            "check: haproxy -c -f haproxy.cfg",
            "start: haproxy -W -f haproxy.cfg",
            "stop:  kill -USR1 PID: it takes no more connections and ends with the last request",
            "",
            f"An instance is asked {READY} each second. One that drains takes no more connections:",
            "what it is sent is tried elsewhere, and it ends the requests it has. A request above",
            f"{BUFFER // 1024} KiB that an instance already has is not tried elsewhere: haproxy",
            "keeps no more of it.",
        ]
    else:
        lines += [
            "check: nginx -t -p FOLDER -c $PWD/nginx.conf",
            "start: nginx -p FOLDER -c $PWD/nginx.conf   (FOLDER: any that it may write to)",
            "stop:  nginx -s quit -p FOLDER -c $PWD/nginx.conf: it ends with the last request",
            "",
            "This nginx has no active health check (nginx with a licence has): an instance that",
            "is gone or answers 503 is left out for two or three seconds, and the request that",
            "found it so is tried elsewhere.",
        ]
    return [*lines, ""]


def _error(code: int, site: Site) -> str:
    """Return an answer of the balancer's own, in JSON without an apostrophe."""
    return json.dumps({"error": ERRORS[code].format(limit=site.max_body)})


def _haproxy_quoted(text: str) -> str:
    """Return text as one word of haproxy.cfg."""
    return "'" + text.replace("'", "'\\''") + "'"
