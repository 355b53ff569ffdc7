"""Manifests of Kubernetes for a service, and a RayService of KubeRay."""

from typing import Any

from zoo.serve.health import LIVE, METRICS, READY
from zoo.serve.keys import VARIABLE as KEYS
from zoo.serve.operations import monitoring
from zoo.serve.operations.containers import START_S, dumped
from zoo.serve.operations.site import (
    METRICS_KEY,
    USER,
    Site,
    heading,
    seconds,
    weight_bytes,
)

REPLICAS, MOST_REPLICAS = 2, 10
THREADS = 2
"""Of a worker where the settings leave it open: a pod sees all cores of its machine, and would take
them."""
BUSY_PERCENT = 70
"""Processor time, of what is requested, from which on there are more pods."""
LEAVING_S = 5
"""Seconds that a pod that is to end goes on as before: others take that long to hear of it."""
MIB = 2**20
WORKER_MIB, GPU_WORKER_MIB, FRONT_MIB, COPIES = 700, 3072, 256, 3
"""Memory of a worker without its model, on a processor (510 to 570 were seen) and on a GPU, of the
process before it (70 were seen), and of a model in copies of its weights: an estimate."""


def manifests(site: Site) -> str:
    """Return kubernetes.yaml: Deployment, Service, HorizontalPodAutoscaler on the processor's load,
    and PodDisruptionBudget."""
    documents = [_deployment(site), _service(site)]
    if not site.on_gpu:
        documents.append(_autoscaler(site))
    documents.append(_disruption_budget(site))
    head = [
        f"{site.titles}, from image {image(site)} (see Dockerfile.model);",
        "REGISTRY is to be replaced by yours.",
        "",
        *key_lines(site),
        "       kubectl apply -f kubernetes.yaml",
        f"back:  kubectl rollout undo deployment/{site.name}",
        "",
        "Memory and cores are estimates from the size of the models and `threads`: hold them",
        "against what the pods take. An HPA on the processor needs the metrics server.",
    ]
    if site.on_gpu:
        head.append("There is no HPA: the load of a GPU is not in the metrics server.")
    return heading("#", head) + _documents(documents)


def operator_monitoring(site: Site) -> str:
    """Return monitoring.yaml for a cluster with the Prometheus operator: ServiceMonitor,
    PrometheusRule, and a ConfigMap with the dashboard, as the sidecar of Grafana's chart reads
    it."""
    name = site.name
    key = {"name": f"{name}-keys", "key": "metrics"}
    endpoint = {
        "port": "http",
        "path": METRICS,
        "interval": "15s",
        "authorization": {"type": "Bearer", "credentials": key},
    }
    documents = [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": {"name": name, "labels": site.labels},
            "spec": {"selector": {"matchLabels": site.labels}, "endpoints": [endpoint]},
        },
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": name, "labels": site.labels},
            "spec": monitoring.alerts(site),
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-dashboard", "labels": {"grafana_dashboard": "1"}},
            "data": {f"{name}.json": monitoring.dashboard(site)},
        },
    ]
    head = [
        "For a cluster with the Prometheus operator: kubectl apply -f monitoring.yaml",
        "The dashboard wants a data source whose identifier is " + monitoring.SOURCE + ".",
    ]
    return heading("#", head) + _documents(documents)


def _deployment(site: Site) -> dict[str, Any]:
    digests = {"zoo/served": " ".join(f"{m.name}={m.sha256}" for m in site.models)}
    replicas = {"replicas": REPLICAS} if site.on_gpu else {}  # else the autoscaler's
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": site.name, "labels": site.labels},
        "spec": {
            **replicas,
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": START_S + 60,
            "selector": {"matchLabels": site.labels},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": {
                "metadata": {"labels": site.labels, "annotations": digests},
                "spec": pod(site, _serving(site)),
            },
        },
    }


def pod(site: Site, container: dict[str, Any]) -> dict[str, Any]:
    """Return the specification of a pod with one container, which writes to /tmp alone."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": site.labels},
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": LEAVING_S + seconds(site.grace_s),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _serving(site: Site) -> dict[str, Any]:
    """Return the container of the service, and how it is asked whether it lives and is ready."""
    return {
        **container(site, "serve", image(site)),
        "args": site.words(site.on_gpu, THREADS),
        "ports": [{"name": "http", "containerPort": site.port}],
        "startupProbe": _probe(LIVE, periodSeconds=2, failureThreshold=60),
        "livenessProbe": _probe(LIVE, periodSeconds=10, failureThreshold=3),
        "readinessProbe": _probe(READY, periodSeconds=2, failureThreshold=2),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(LEAVING_S)]}}},
    }


def image(site: Site, ray: bool = False) -> str:
    """Return the image with the checkpoints, in a registry that is not known here."""
    return f"REGISTRY/{site.name}:{site.version}{'-ray' if ray else ''}"


def container(site: Site, name: str, image: str) -> dict[str, Any]:
    """Return a container of the image: what it needs, and what it may do."""
    return {
        "name": name,
        "image": image,
        "env": _keys(site),
        "resources": _resources(site),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _probe(path: str, **times: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 3, **times}


def _keys(site: Site) -> list[dict[str, Any]]:
    """Return the variables of the keys: those of clients and that of Prometheus, out of a
    secret."""

    def of_secret(variable: str, key: str) -> dict[str, Any]:
        source = {"name": f"{site.name}-keys", "key": key}
        return {"name": variable, "valueFrom": {"secretKeyRef": source}}

    return [
        of_secret("ZOO_CLIENT_KEYS", "clients"),
        of_secret(METRICS_KEY, "metrics"),
        {"name": KEYS, "value": f"$(ZOO_CLIENT_KEYS),$({METRICS_KEY})"},
    ]


def key_lines(site: Site) -> list[str]:
    """Return the comment that says how the secret is made."""
    return [
        f"start: kubectl create secret generic {site.name}-keys \\",
        "         --from-literal=clients=$(openssl rand -hex 32) \\",
        "         --from-literal=metrics=$(openssl rand -hex 32)",
    ]


def _resources(site: Site) -> dict[str, Any]:
    """Return what a pod asks for; memory has that limit, the processor none, as its limit would
    stop a worker in the middle of a batch."""
    workers = site.args.processes * len(site.models)
    weights = sum(weight_bytes(model) for model in site.models) * site.args.processes
    worker = GPU_WORKER_MIB if site.on_gpu else WORKER_MIB
    need = FRONT_MIB + workers * worker + COPIES * weights // MIB
    memory = f"{-(-need // 256) * 256}Mi"
    limits: dict[str, Any] = {"memory": memory}
    if site.on_gpu:
        limits["nvidia.com/gpu"] = 1
    cores = workers * (site.args.threads or THREADS)
    return {"requests": {"cpu": cores, "memory": memory}, "limits": limits}


def _service(site: Site) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": site.name, "labels": site.labels},
        "spec": {"selector": site.labels, "ports": ports},
    }


def _autoscaler(site: Site) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": site.name}
    load = {"type": "Utilization", "averageUtilization": BUSY_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": site.name, "labels": site.labels},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": REPLICAS,
            "maxReplicas": MOST_REPLICAS,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": load}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }


def _disruption_budget(site: Site) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": site.name, "labels": site.labels},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": site.labels}},
    }


def _documents(documents: list[dict[str, Any]]) -> str:
    return "---\n" + "---\n".join(map(dumped, documents))
