"""A compose.yaml that runs a service, Prometheus that reads it, and Grafana that shows it."""

from pathlib import Path
from typing import Any

from zoo.serve.keys import VARIABLE as KEYS
from zoo.serve.operations.containers import checkout, dumped
from zoo.serve.operations.site import METRICS_KEY, MODELS, USER, Site, heading, seconds

PROMETHEUS, GRAFANA = "prom/prometheus:v3.5.0", "grafana/grafana:12.1.0"
PROMETHEUS_PORT, GRAFANA_PORT = 9090, 3000
"""Of the images; on this machine the next one, where the service has it."""
LOCAL = "127.0.0.1:"
SECRET = "metrics_key"


def compose(site: Site, folder: Path) -> str:
    """Return compose.yaml.

    Args:
        folder: where the file and the Dockerfile will lie.
    """
    prometheus, grafana = (port + (port == site.port) for port in (PROMETHEUS_PORT, GRAFANA_PORT))
    content = {
        "name": site.name,
        "services": {
            "serve": _serve(site, folder),
            "prometheus": _prometheus(prometheus),
            "grafana": _grafana(grafana),
        },
        "volumes": {"metrics": None},
        "secrets": {SECRET: {"environment": METRICS_KEY}},
    }
    head = [
        f"{site.titles} at port {site.port}, Prometheus at {prometheus}, "
        f"Grafana at {grafana} (user admin).",
        "",
        f"start: export {KEYS}=$(openssl rand -hex 32) {METRICS_KEY}=$(openssl rand -hex 32)",
        "       export GRAFANA_PASSWORD=...",
        "       docker compose up -d --build",
        "stop:  docker compose down",
        "",
        "The user of the container has the number "
        f"{USER}, and must be allowed to read the checkpoints.",
    ]
    return heading("#", head) + dumped(content)


def _serve(site: Site, folder: Path) -> dict[str, Any]:
    """Return the service, which writes to /tmp alone."""
    name = "Dockerfile.cuda" if site.on_gpu else "Dockerfile"
    service: dict[str, Any] = {
        "build": {
            "context": _literal(str(checkout())),
            "dockerfile": _literal(str(folder.resolve() / name)),
        },
        "image": f"{site.name}:{'cuda' if site.on_gpu else 'cpu'}",
        "environment": {
            KEYS: f"${{{KEYS}:?the key that clients send}},${{{METRICS_KEY}:?that of Prometheus}}"
        },
        "ports": [f"{'' if site.is_public else LOCAL}{site.port}:{site.port}"],
        "volumes": [
            {
                **_mount(_literal(str(model.folder.resolve())), _literal(f"{MODELS}/{model.name}")),
                "bind": {"create_host_path": False},
            }
            for model in site.models
        ],
        "init": True,
        "read_only": True,
        "tmpfs": ["/tmp:exec,mode=1777"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": f"{seconds(site.grace_s)}s",
        "restart": "unless-stopped",
    }
    if site.on_gpu:
        device = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return service


def _prometheus(port: int) -> dict[str, Any]:
    return {
        "image": PROMETHEUS,
        "ports": [f"{LOCAL}{port}:{PROMETHEUS_PORT}"],
        "volumes": [
            _mount("./prometheus", "/etc/prometheus"),
            {"type": "volume", "source": "metrics", "target": "/prometheus"},
        ],
        "secrets": [SECRET],
        "depends_on": ["serve"],
        "restart": "unless-stopped",
    }


def _grafana(port: int) -> dict[str, Any]:
    return {
        "image": GRAFANA,
        "environment": {
            "GF_SECURITY_ADMIN_PASSWORD": "${GRAFANA_PASSWORD:?of the user admin}",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
        },
        "ports": [f"{LOCAL}{port}:{GRAFANA_PORT}"],
        "volumes": [
            _mount("./grafana/provisioning", "/etc/grafana/provisioning"),
            _mount("./grafana/dashboards", "/var/lib/grafana/dashboards"),
        ],
        "depends_on": ["prometheus"],
        "restart": "unless-stopped",
    }


def _mount(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _literal(text: str) -> str:
    """Return text in which compose replaces nothing."""
    return text.replace("$", "$$")
