"""Writes the files of one kind; see `zoo.serve.operations`."""

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import UserError, did_you_mean
from tasks.paths import expanded
from tasks.printing import print_lines
from zoo.machine import output_file, places
from zoo.serve.args import ServeArgs
from zoo.serve.description import Description
from zoo.serve.operations import balancers, compose, containers, kuberay, kubernetes, monitoring
from zoo.serve.operations.site import Site

KINDS = ("docker", "compose", "kubernetes", "kuberay", "haproxy", "nginx")
NO_RAY = ("uvicorn", 1, None)
"""Engine and replicas of a service without Ray."""
BALANCERS = {
    "haproxy": ("haproxy.cfg", balancers.haproxy),
    "nginx": ("nginx.conf", balancers.nginx),
}


def write(args: ServeArgs, models: Sequence[Description]) -> int:
    """Write the files that run a service elsewhere, as `write_config` says, and print their paths;
    return the exit code.

    Files that are there with the same content are left alone.

    Args:
        args: the settings the models are served under.
        models: what is served.

    Raises `UserError` for what can't be run so, for a folder that can't be written to, and for a
    file of another content that is there: it may have been changed by hand.
    """
    kind, place = args.write_config or ("", "")
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS)
        raise UserError(
            f"`write_config` {kind!r} is none of {', '.join(KINDS)}; a folder follows", hint=near
        )
    if args.instances and kind not in BALANCERS:
        raise UserError(f"`instances` are told to a balancer alone, and {kind} is none")
    if kind != "kuberay" and (args.engine, args.replicas, args.max_replicas) != NO_RAY:
        raise UserError(
            f"`engine` ray, `replicas` and `max_replicas` are settings of Ray, and `write_config` "
            f"{kind} has none: kuberay has"
        )
    site, folder = Site(tuple(models), args), expanded(place)
    files = contents(kind, folder, site)
    places.check_folder("`write_config`", folder)
    changed = {path: text for path, text in files.items() if not _is_there(folder / path, text)}
    for path, text in changed.items():
        with output_file.replacing_text(folder / path, "`write_config`") as file:
            file.write(text)
    print_lines(*(str(folder / path) for path in files))
    if kind not in BALANCERS and containers.checkout() == Path("CHECKOUT"):
        print_lines("images are built from a checkout of the project: replace CHECKOUT by its path")
    return 0


def contents(kind: str, folder: Path, site: Site) -> dict[str, str]:
    """Return the files of a kind: texts by path below the folder.

    Raises `UserError` as `write` does.
    """
    if kind in BALANCERS:
        name, written = BALANCERS[kind]
        return {name: written(site, balancers.instances_of(site))}
    site.must_run_elsewhere()
    if kind == "docker":
        return _images(site)
    if kind == "compose":
        grafana = monitoring.provisioning("http://prometheus:9090")
        return {
            **_images(site),
            "compose.yaml": compose.compose(site, folder),
            "prometheus/prometheus.yml": monitoring.scrape_config(site, f"serve:{site.port}"),
            "prometheus/rules.yml": monitoring.rules(site),
            **{f"grafana/{path}": text for path, text in grafana.items()},
            "grafana/dashboards/zoo.json": monitoring.dashboard(site),
        }
    if kind == "kuberay":
        base = f"{site.name}:ray"
        return {
            "Dockerfile.ray": containers.dockerfile(site, site.on_gpu, ray=True),
            "Dockerfile.ray.dockerignore": containers.dockerignore(),
            "Dockerfile.model": containers.model_dockerfile(site, base, "Dockerfile.ray", "-ray"),
            "rayservice.yaml": kuberay.ray_service(site),
        }
    device = "cuda" if site.on_gpu else "cpu"
    name = "Dockerfile.cuda" if site.on_gpu else "Dockerfile"
    return {
        **_images(site),
        "Dockerfile.model": containers.model_dockerfile(site, f"{site.name}:{device}", name),
        "kubernetes.yaml": kubernetes.manifests(site),
        "monitoring.yaml": kubernetes.operator_monitoring(site),
    }


def _images(site: Site) -> dict[str, str]:
    """Return a Dockerfile for each device that all models have a runtime for."""
    files = {}
    for name, device in (("Dockerfile", "cpu"), ("Dockerfile.cuda", "cuda")):
        if site.runs_on(device):
            files[name] = containers.dockerfile(site, device == "cuda")
            files[f"{name}.dockerignore"] = containers.dockerignore()
    return files


def _is_there(path: Path, text: str) -> bool:
    """Return whether a file has this content.

    Raises `UserError` for one that has another."""
    try:
        found = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise places.cannot("`write_config`", path, error) from None
    if found != text.encode("utf-8", "backslashreplace"):
        raise UserError(
            f"`write_config`: {path} is there with another content, which may be your own",
            hint="name another folder, or remove it first",
        )
    return True
