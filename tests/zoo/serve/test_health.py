"""Life and readiness are two things; what is counted is what was answered."""

import requests

from tests.serving import Served


def test_health(service: Served) -> None:
    assert requests.get(f"{service.url}/v2/health/live", timeout=9).json() == {"live": True}
    ready = requests.get(f"{service.url}/v2/health/ready", timeout=9)
    assert ready.status_code == 200
    assert ready.json()["models"] == {"bert_cls": True, "cnn_cls": True, "kws_cls": True}


def test_metrics_count(service: Served) -> None:
    def counted() -> float:
        text = requests.get(f"{service.url}/metrics", timeout=9).text
        name = 'zoo_requests_total{code="200",model="bert_cls",route="/predict"}'
        return next((float(x.split()[-1]) for x in text.splitlines() if x.startswith(name)), 0.0)

    before = counted()
    for _ in range(3):
        requests.post(f"{service.url}/predict", json={"text": "a", "model": "bert_cls"}, timeout=60)
    assert counted() == before + 3
