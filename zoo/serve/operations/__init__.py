"""Files that run a service elsewhere: containers, Kubernetes, Ray, a balancer, its monitoring.

    python -m zoo serve runs/bert_cls --write_config compose deploy

writes what runs this very checkpoint under these very settings, and ends. Nothing is started.

    docker      Dockerfile, Dockerfile.cuda: the service; its checkpoints are mounted
    compose     the same, with Prometheus (alerts) and Grafana (a dashboard)
    kubernetes  Dockerfile.model (the service with its checkpoints), kubernetes.yaml, and
                monitoring.yaml for a cluster with the Prometheus operator
    kuberay     Dockerfile.ray, Dockerfile.model, and a RayService for KubeRay's operator
    haproxy     haproxy.cfg in front of several instances
    nginx       nginx.conf in front of several instances

How a file is used stands at its head. Ports, paths of probes, names of metrics, limits and
deadlines are those of the service: tests hold them against a running one.

What was run and what was not: haproxy 2.6 and nginx 1.22 ran in front of three services, of which
one was drained and one was killed under load: no client saw it. Prometheus 2.42 read a service by
its key, and the rules passed tests of their own. The first stage of the Dockerfile ran in a fresh
environment, which then served, and hadolint read the files; the manifests were held against the
schemas of Kubernetes 1.37, and Ray's config against that of Ray 2.60. No image was built, neither a
cluster nor KubeRay was asked, and no Grafana has drawn the dashboard. Memory and cores of a pod are
estimates. nginx without a licence has no active health checks: it learns from failed requests.
"""
