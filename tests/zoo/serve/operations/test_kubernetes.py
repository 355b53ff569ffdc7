"""Manifests: what a cluster refuses or does wrong, looked for here, since there is none."""

import importlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.zoo.serve.operations.balanced import program_of, site_of
from zoo.__main__ import PROGRAM
from zoo.serve import health, keys
from zoo.serve.args import ServeArgs
from zoo.serve.engine import app, ray_engine
from zoo.serve.operations import kuberay, kubernetes, write


def documents(folder: Path, *names: str, **settings: Any) -> dict[str, dict[str, Any]]:
    """The manifests by kind, of models whose weights have 64 MiB."""
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(64 * 2**20)
    site = site_of(*names, folder=str(folder), **settings)
    return {each["kind"]: each for each in yaml.safe_load_all(kubernetes.manifests(site))}


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_what_names_each_other_fits(tmp_path: Path, device: str) -> None:
    every = documents(tmp_path, "Bert_cls.2", device=device)
    deployment = every["Deployment"]["spec"]
    name, labels = every["Deployment"]["metadata"]["name"], deployment["selector"]["matchLabels"]
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert deployment["template"]["metadata"]["labels"].items() >= labels.items()
    assert every["Service"]["spec"]["selector"] == labels
    assert every["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    (container,) = deployment["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert every["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    if device == "cuda":  # nothing else says how many
        assert "HorizontalPodAutoscaler" not in every and deployment["replicas"] == 2
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    else:
        scaled = every["HorizontalPodAutoscaler"]["spec"]
        assert scaled["scaleTargetRef"]["name"] == name and "replicas" not in deployment
        assert container["resources"]["requests"]["cpu"] > 0, "a share of nothing"
    for each in every.values():
        assert each["apiVersion"] and each["metadata"]["name"] == name


def test_a_pod_is_asked_as_the_service_answers(tmp_path: Path) -> None:
    every = documents(tmp_path, port=9001, drain_s=40.0)
    pod = every["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = {
        name: container[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths["startupProbe"] == paths["livenessProbe"] == health.LIVE
    assert paths["readinessProbe"] == health.READY
    assert set(paths.values()) <= set(app.OPEN_PATHS), "a probe has no key"
    assert container["ports"][0]["containerPort"] == 9001
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > waits + 40


def test_a_pod_may_do_little(tmp_path: Path) -> None:
    pod = documents(tmp_path)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    written = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert written == {"/tmp"}, "caches and state lie there: see the image"


def test_its_words_are_those_of_the_program(tmp_path: Path) -> None:
    every = documents(tmp_path, workers=3, max_batch=8)
    (container,) = every["Deployment"]["spec"]["template"]["spec"]["containers"]
    asked = PROGRAM.parse("serve", ServeArgs, container["args"])
    assert (asked.workers, asked.max_batch, asked.threads) == (3, 8, kubernetes.THREADS)
    assert container["resources"]["requests"]["cpu"] == 3 * kubernetes.THREADS
    assert {each["name"] for each in container["env"]} >= {keys.VARIABLE}
    composed = next(each for each in container["env"] if each["name"] == keys.VARIABLE)
    before = [each["name"] for each in container["env"]]
    for name in re.findall(r"\$\((\w+)\)", composed["value"]):
        assert before.index(name) < before.index(keys.VARIABLE), "else it stays as it stands"


def test_memory_grows_with_models_and_workers(tmp_path: Path) -> None:
    def asked(*names: str, **settings: Any) -> int:
        every = documents(tmp_path, *names, **settings)
        (container,) = every["Deployment"]["spec"]["template"]["spec"]["containers"]
        limits = container["resources"]["limits"]
        assert limits["memory"] == container["resources"]["requests"]["memory"]
        return int(limits["memory"].removesuffix("Mi"))

    one = asked()
    assert one > 700 + 64
    assert asked(workers=2) >= one + 700 and asked("a", "b") == asked(workers=2)


def test_another_checkpoint_is_another_image(tmp_path: Path) -> None:
    every = documents(tmp_path)
    template = every["Deployment"]["spec"]["template"]
    assert template["spec"]["containers"][0]["image"].endswith(":" + "ab" * 6)
    assert template["metadata"]["annotations"] == {"zoo/served": f"bert_cls={'ab' * 32}"}


def test_the_operator_reads_and_warns(tmp_path: Path) -> None:
    text = write.contents("kubernetes", tmp_path, site_of(folder=str(tmp_path)))
    every = {each["kind"]: each for each in yaml.safe_load_all(text["monitoring.yaml"])}
    service = next(yaml.safe_load_all(text["kubernetes.yaml"].partition("kind: Service")[2]))
    labels = service["metadata"]["labels"]
    (endpoint,) = every["ServiceMonitor"]["spec"]["endpoints"]
    assert every["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == labels
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]
    assert endpoint["path"] == health.METRICS
    assert endpoint["authorization"]["credentials"]["key"] == "metrics"
    assert every["PrometheusRule"]["spec"]["groups"][0]["rules"]
    (dashboard,) = every["ConfigMap"]["data"].values()
    assert json.loads(dashboard)["panels"]


def ray_service(folder: Path, **settings: Any) -> dict[str, Any]:
    """The RayService of two models."""
    pytest.importorskip("ray")
    site = site_of("bert_cls", "b.2", folder=str(folder), **settings)
    content: dict[str, Any] = yaml.safe_load(kuberay.ray_service(site))
    return content


def test_ray_is_given_what_the_service_takes(tmp_path: Path) -> None:
    given = ray_service(tmp_path, workers=3, port=9001, replicas=2, timeout_s=2.5)["spec"]
    config = yaml.safe_load(given["serveConfigV2"])
    assert config["http_options"] == {"host": "0.0.0.0", "port": 9001}
    for application, name in zip(config["applications"], ("bert_cls", "b.2"), strict=True):
        module, _, attribute = application["import_path"].partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))
        asked = ray_engine.read(application["args"])
        assert asked.models == (f"/models/{name}={name}",) and asked.device == "cpu"
        assert (asked.workers, asked.timeout_s, asked.host) == (3, 2.5, "0.0.0.0")
        assert asked.write_config is None and asked.threads == kubernetes.THREADS


@pytest.mark.slow
def test_the_schema_of_ray_holds(tmp_path: Path) -> None:
    config = yaml.safe_load(ray_service(tmp_path, max_replicas=4)["spec"]["serveConfigV2"])
    schema = importlib.import_module("ray.serve.schema").ServeDeploySchema  # takes seconds
    schema.model_validate(config)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_cluster_of_ray_has_room_for_its_replicas(tmp_path: Path, device: str) -> None:
    settings = {"replicas": 2, "max_replicas": 5, "port": 9001, "device": device}
    content = ray_service(tmp_path, **settings)
    cluster = content["spec"]["rayClusterConfig"]
    assert content["kind"] == "RayService" and cluster["enableInTreeAutoscaling"] is True
    (group,) = cluster["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (4, 4, 10)
    (worker,) = group["template"]["spec"]["containers"]
    config = yaml.safe_load(content["spec"]["serveConfigV2"])
    (deployment,) = config["applications"][0]["deployments"]
    wanted = deployment["ray_actor_options"]
    assert wanted["num_cpus"] <= worker["resources"]["requests"]["cpu"]
    assert wanted.get("num_gpus", 0) == worker["resources"]["limits"].get("nvidia.com/gpu", 0)
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0", "it has no replica"
    assert "nvidia.com/gpu" not in head["resources"]["limits"]
    for container in (head, worker):
        assert {"name": "serve", "containerPort": 9001} in container["ports"]
        assert {each["name"] for each in container["env"]} >= {keys.VARIABLE}
        assert "args" not in container and "livenessProbe" not in container, "they are KubeRay's"


def test_an_image_for_ray_is_what_a_cluster_starts(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    files = write.contents("kuberay", tmp_path, site_of(folder=str(tmp_path)))
    cluster = yaml.safe_load(files["rayservice.yaml"])["spec"]["rayClusterConfig"]
    assert f"'ray[serve]=={cluster['rayVersion']}'" in files["Dockerfile.ray"]
    assert "ENTRYPOINT" not in files["Dockerfile.ray"], "KubeRay calls ray"
    assert "/usr/local/bin/ray" in files["Dockerfile.ray"] and "wget" in files["Dockerfile.ray"]
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert head["image"].removeprefix("REGISTRY/") in files["Dockerfile.model"]


def test_the_schemas_of_kubernetes_hold(tmp_path: Path) -> None:
    program = program_of("kubernetes-validate")
    if program is None:
        pytest.skip("no kubernetes-validate here")
    for device in ("auto", "cuda"):
        site = site_of(folder=str(tmp_path), device=device)
        (tmp_path / "all.yaml").write_text(kubernetes.manifests(site))
        done = subprocess.run([program, tmp_path / "all.yaml"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_of_a_pod_holds_for_those_of_ray(tmp_path: Path) -> None:
    program = program_of("kubernetes-validate")
    if program is None:
        pytest.skip("no kubernetes-validate here")
    cluster = ray_service(tmp_path)["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **group["template"]}
        (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
        done = subprocess.run([program, tmp_path / "pod.yaml"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
