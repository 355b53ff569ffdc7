"""A RayService of KubeRay: the service's replicas on a cluster of Ray in Kubernetes."""

import dataclasses
from typing import Any

from zoo.serve.engine import ray_engine
from zoo.serve.operations import kubernetes
from zoo.serve.operations.containers import dumped, ray_version
from zoo.serve.operations.kubernetes import THREADS
from zoo.serve.operations.site import MODELS, Site, heading

HEAD_CPU, HEAD_MEMORY = 1, "2Gi"
SHARED_MEMORY = "512Mi"
"""For Ray's object store; requests and answers are small."""
PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001}
"""Of Ray's head."""


def ray_service(site: Site) -> str:
    """Return rayservice.yaml: a head without replicas, and workers with one each, as many as
    `replicas` and `max_replicas` say.

    Raises `UserError` where a setting can't be carried over.
    """
    replicas = site.args.replicas * len(site.models)
    most = (site.args.max_replicas or site.args.replicas) * len(site.models)
    cluster = {
        "rayVersion": ray_version(),
        "enableInTreeAutoscaling": most > replicas,
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
            "template": {"spec": _pod(site, "ray-head")},
        },
        "workerGroupSpecs": [
            {
                "groupName": "replicas",
                "replicas": replicas,
                "minReplicas": replicas,
                "maxReplicas": most,
                "rayStartParams": {},
                "template": {"spec": _pod(site, "ray-worker")},
            }
        ],
    }
    content = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": site.name, "labels": site.labels},
        "spec": {"serveConfigV2": serve_config(site), "rayClusterConfig": cluster},
    }
    head = [
        f"{site.titles} on Ray, from image {kubernetes.image(site, ray=True)}",
        "(see Dockerfile.model); REGISTRY is to be replaced by yours.",
        "",
        *kubernetes.key_lines(site),
        "       kubectl apply -f rayservice.yaml      (KubeRay's operator has to be there)",
        f"asked: service {site.name}-serve-svc, port {site.port}",
    ]
    return heading("#", head) + dumped(content)


def serve_config(site: Site) -> str:
    """Return the config of Ray Serve for the checkpoints of the image."""
    models = [
        dataclasses.replace(model, folder=type(model.folder)(MODELS) / model.name)
        for model in site.models
    ]
    deployments = {model.deployment for model in models}
    args = dataclasses.replace(
        site.args,
        host="0.0.0.0",
        device=site.args.device if site.on_gpu else "cpu",
        deployment=deployments.pop() if len(deployments) == 1 else site.args.deployment,
        threads=site.args.threads or THREADS,
        keys=None,
        write_config=None,
        instances=(),
        engine="ray",
    )
    return ray_engine.config(args, models)


def _pod(site: Site, name: str) -> dict[str, Any]:
    """Return a pod of the cluster; KubeRay adds its command and its probes."""
    is_head = name == "ray-head"
    container = kubernetes.container(site, name, kubernetes.image(site, ray=True))
    ports = PORTS if is_head else {}
    container["ports"] = [
        {"name": each, "containerPort": port}
        for each, port in {**ports, "serve": site.port}.items()
    ]
    if is_head:
        size = {"cpu": HEAD_CPU, "memory": HEAD_MEMORY}
        container["resources"] = {"requests": size, "limits": {"memory": HEAD_MEMORY}}
    else:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["ray", "stop"]}}}
    container["volumeMounts"].append({"name": "shared-memory", "mountPath": "/dev/shm"})
    # Ray's autoscaler is in the head's pod, and asks Kubernetes for more of them
    pod = kubernetes.pod(site, container) | {"automountServiceAccountToken": is_head}
    memory = {"medium": "Memory", "sizeLimit": SHARED_MEMORY}
    pod["volumes"].append({"name": "shared-memory", "emptyDir": memory})
    return pod
