"""The verb load, against services that were started elsewhere."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import cli
from bench.load import answers, clients, payloads
from bench.load.args import LoadArgs
from bench.load.arms import LoadArm, arms_of, workers_of
from bench.load.generator import Job, Seen, Target
from bench.load.load import Session, Turn
from bench.load.measured import ArmLoad, Round
from bench.load.payloads import of_data, of_media, of_row, of_text
from bench.load.peers import pipeline
from bench.load.service import Service, ServiceFailed
from bench.load.step import Cost, Limits, of_window
from bench.load.window import step_of
from bench.record import store
from bench.report import write
from tasks.errors import UserError
from tests.bench.load.conftest import Serves
from tests.bench.load.tiny_service import KEY
from zoo.measure.deadline import Deadline
from zoo.measure.workload import Serve


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file with a line a text, in a folder with a blank in its name."""
    path = tmp_path / "my data" / "texts.txt"
    path.parent.mkdir()
    path.write_text("good film\nbad film\n好 电影\n", encoding="utf-8")
    return path


def _load(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    try:
        code = cli.main(["load", *map(str, words)])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    found = capsys.readouterr()
    return code, found.out, found.err


def test_steps_of_a_service_that_runs(
    serves: Serves, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, url = tmp_path / "results.jsonl", serves().url
    common = ("--data", texts, "--seconds", 0.4, "--warm_s", 0.1, "--rounds", 2, "--out", out)
    code, said, error = _load(capsys, url, *common, "--rate", 40, 20, "--p99_ms", 9000)
    assert code == 0, error
    assert "40/s" in said and "20/s" in said and "2 of 2" in said
    assert "the client took" in said and "1 results added" in said
    (result,) = store.read(out)
    work = result.case.workload
    assert isinstance(work, Serve) and (work.server, work.p99_ms) == ("url", 9000)
    assert result.found.status == "ok" and "requests_per_s" not in result.found.values
    rounds = result.found.samples["rounds"]
    assert [[step["rate"] for step in each["steps"]] for each in rounds] == [[40, 20]] * 2
    # the same arrivals in the same round, whatever the run
    code, _, error = _load(capsys, url, *common, "--rate", 40, "--p99_ms", 9000)
    assert code == 0, error
    again = store.read(out)[-1].found.samples["rounds"]
    counts = [[each["steps"][0]["requests"] for each in one] for one in (rounds, again)]
    assert counts[0] == counts[1]


def test_the_knee_is_found_and_drawn(
    serves: Serves, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    words = (serves("ok", 0.02).url.removesuffix("/predict"), "--data", texts, "--out", out)
    code, said, error = _load(
        capsys, *words, "--minutes", 0.15, "--rounds", 1, "--resolution", 0.5, "--p99_ms", 400
    )
    assert code == 0, error
    assert "requests/s at a p99 of 400 ms" in said and "answered" in said
    (result,) = store.read(out)
    held = result.found.values["requests_per_s"]
    assert 0 < held.value < 60  # one at a time takes 20 ms or more
    report = write.read((out,))
    assert not report.rows and len(report.loads) == 1
    assert cli.main(["report", str(out), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Latency against load" in page and "What services hold" in page
    assert "bench load" in page


def test_a_closed_loop(
    serves: Serves, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    words = ("--clients", 3, "--seconds", 0.4, "--warm_s", 0, "--rounds", 1, "--out", out)
    code, said, error = _load(capsys, serves("refuse").url, "--data", texts, *words)
    assert code == 0, error
    assert "3 clients" in said and "x 429" in said


def test_a_service_that_never_answers_is_said(
    serves: Serves, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serves().url.replace("/predict", "/predict?deaf")
    nothing = url.rsplit(":", 1)[0] + ":1"
    code, _, error = _load(capsys, nothing, "--data", texts, "--out", tmp_path / "r.jsonl")
    assert code == 2 and "nobody answers" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://127.0.0.1:9/predict"], "give --data"),
        (["http://127.0.0.1:9", "--data", "none.csv"], "none.csv"),
        (["https://127.0.0.1:9", "--data", "{texts}"], "no TLS"),
        (["http://me:secret@127.0.0.1:9", "--data", "{texts}"], "--key_file"),
        (["ftp://x", "--data", "{texts}"], "http://HOST:PORT"),
        (["http://127.0.0.1:9", "--data", "{texts}", "--peers", "ray"], "give a checkpoint"),
        (["http://127.0.0.1:9", "--data", "{texts}", "--", "--workers", "2"], "zoo serve"),
        (["{tmp}", "--rate", "5", "--clients", "2"], "closed loop"),
        (["{tmp}", "--clients", "2", "--client_processes", "3"], "--client_processes 3"),
        (["{tmp}", "--rate", "0"], "above 0"),
        (["{tmp}", "--rounds", "0"], "at least 1"),
        (["{tmp}"], "zoo.json"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_mistakes_are_one_line(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    out = ["--out", str(tmp_path / "r.jsonl")]
    given = [each.format(texts=texts, tmp=tmp_path) for each in words]
    place = given.index("--") if "--" in given else len(given)
    code, _, error = _load(capsys, *given[:place], *out, *given[place:])
    assert code == 2 and said in error and error.count("\n") == 1, error
    assert "secret" not in error


def test_flags_of_the_service_that_the_load_sets() -> None:
    assert workers_of(("--quiet", "--workers", "3")) == workers_of(("--workers=3",)) == 3
    assert workers_of(()) == 1
    with pytest.raises(UserError, match="flags behind --"):
        arms_of(LoadArgs("http://x", data="y"), None, ["--workers", "2"])
    arm = LoadArm("zoo", "/a b", "onnx", 2, ("--workers", "2"))
    assert arm.words(99)[1:5] == ["-m", "zoo", "serve", "/a b=model"]
    assert arm.name == "zoo onnx --workers 2"


@pytest.mark.parametrize(
    "flag", ["--ssl-certfile=a.pem", "--ssl_keyfile", "--threads", "--port=80"]
)
def test_flags_that_the_load_can_not_do_with(flag: str) -> None:
    checkpoint: Any = SimpleNamespace(task=SimpleNamespace(name="text-classification"))
    with pytest.raises(UserError, match=flag[2:5]):
        arms_of(LoadArgs("runs/a"), checkpoint, ["--workers", "2", flag])


def test_peers_are_given_their_settings(tmp_path: Path) -> None:
    task = SimpleNamespace(name="text-classification", problem_type="single_label_classification")
    checkpoint: Any = SimpleNamespace(task=task, folder=tmp_path)
    args = LoadArgs(str(tmp_path), ("eager",), ("transformers",), peer_workers=2)
    ours, peer = arms_of(args, checkpoint, ["--workers=2"])
    assert peer.options == ("--workers", "2") and peer.threads == ours.threads
    task.problem_type = "multi_label_classification"
    with pytest.raises(UserError, match="by one label"):
        arms_of(args, checkpoint, [])


def test_peers_cut_texts_where_the_service_does(tmp_path: Path) -> None:
    manifest = {"config": {"task": {"args": {"max_length": 77}}}}
    (tmp_path / "zoo.json").write_text(json.dumps(manifest))
    assert pipeline.longest_of(str(tmp_path)) == 77


def test_a_service_is_sent_the_key_that_it_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"{KEY}\nanother-key-of-this-file\n")
    file.chmod(0o600)
    monkeypatch.delenv("ZOO_SERVE_KEYS", raising=False)
    assert LoadArm("zoo", "a", options=("--keys", str(file))).key() == KEY
    assert LoadArm("zoo", "a", options=(f"--keys={file}",)).key() == KEY
    assert LoadArm("zoo", "a").key() is None
    monkeypatch.setenv("ZOO_SERVE_KEYS", "a-key-of-the-environment")
    assert LoadArm("zoo", "a").key() == "a-key-of-the-environment"
    assert LoadArm("ray", "a").key() is None
    with pytest.raises(UserError, match="keys"):
        LoadArm("zoo", "a", options=("--keys", str(tmp_path / "none"))).key()


def test_a_service_with_a_key_gets_ready(serves: Serves, tmp_path: Path, texts: Path) -> None:
    url = serves("keyed", key=KEY).url
    path = tmp_path / "payloads.json"
    path.write_text(payloads.as_json([of_text("good")]))
    with clients.started(Target(url, str(path), KEY)) as client:
        assert client.run(Job(0.0, 0.0, keep_bodies=1)).statuses == {"200": 1}
    with pytest.raises(ServiceFailed, match=r"status 401; .*`key_file`"):  # at once
        serves("keyed")


def test_a_service_that_ends_under_load_is_told(serves: Serves, tmp_path: Path) -> None:
    path = tmp_path / "payloads.json"
    path.write_text(payloads.as_json([of_text("good")]))
    service = serves("mortal")
    assert service.ended() is None
    with (
        clients.started(Target(service.url, str(path))) as client,
        pytest.raises(ServiceFailed, match="under load it ended with exit code 3"),
    ):
        step_of(service, client, Job(0.5, 0.0, 100.0, timeout_s=1.0), Limits(1.0, 0.001))


class Refusing:
    """A client whose requests are refused so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def run(self, job: Job) -> Seen:
        """One request."""
        self.left -= 1
        return Seen(statuses={"429" if self.left >= 0 else "200": 1})


def test_the_rest_of_a_step_is_over_when_a_request_is_answered() -> None:
    """A refusal comes at once, while the queue is full."""
    client: Any = Refusing(2)
    session: Any = SimpleNamespace(args=LoadArgs("http://x", data="y"))
    Turn(session, LoadArm("url", "x"), client, client, Round(1), 0.0)._wait_for_rest()
    assert client.left == -1


def test_what_is_left_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    args = LoadArgs("http://x", data="y", rate=(5.0, 10.0, 20.0))
    nothing: Any = None
    over = Deadline(1.0, clock=itertools.count(0.0, 100.0).__next__)
    session = Session(args, [], [], Path(), over)
    turn = Turn(session, LoadArm("url", "x"), nothing, nothing, Round(1), 0.0)
    turn._step = lambda rate, count=None: nothing  # type: ignore[method-assign]
    turn.run(None)
    assert "left out, for lack of time: 10/s, 20/s" in capsys.readouterr().out
    one = ArmLoad(LoadArm("url", "x"), [Round(1, start_s=3.0)])
    session._round(one, 1, 1, None)
    assert "round 2: x is left out, for lack of time" in capsys.readouterr().out


class Answering:
    """A client whose answers are these."""

    def __init__(self, label: str) -> None:
        self.body = json.dumps({"predictions": [{"label": label}]})

    def run(self, job: Job) -> Seen:
        """All that is asked."""
        return Seen(statuses={"200": 9}, bodies=[self.body] * 9)


def test_answers_are_compared_with_those_of_the_service_that_gave_some() -> None:
    found = [ArmLoad(LoadArm("zoo", "a", name)) for name in ("eager", "onnx", "openvino")]
    session = Session(LoadArgs("runs/a"), found, [], Path(), Deadline())
    found[0].fault = "it ended"
    service, right, wrong = Service("http://x"), Answering("a"), Answering("b")
    session._must_answer(found[1], service, right)  # type: ignore[arg-type]
    with pytest.raises(ServiceFailed, match="9 of 9 answers are others than those of zoo onnx"):
        session._must_answer(found[2], service, wrong)  # type: ignore[arg-type]
    assert found[2].is_wrong


def test_a_url_that_has_gone_leaves_what_it_showed() -> None:
    arm = LoadArm("url", "http://127.0.0.1:1")
    session = Session(
        LoadArgs(arm.model, data="y"), [ArmLoad(arm)], [of_text("a")], Path(), Deadline()
    )
    with pytest.raises(UserError, match="nobody answers"):
        session.run()
    session.found[0].rounds.append(
        Round(1, [of_window(Seen(wall=1.0), Limits(1.0, 0.0), Cost(), 1.0)])
    )
    session.run()
    assert "nobody answers" in session.found[0].fault and session.found[0].steps()


def test_the_time_of_a_service_that_failed_goes_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [ArmLoad(LoadArm("url", name)) for name in "abc"]
    turns = []

    def made(self: Session, one: ArmLoad, number: int, left: int, key: str | None) -> None:
        turns.append(left)
        found[0].fault = "it ended"

    monkeypatch.setattr(Session, "_round", made)
    Session(LoadArgs("http://x", data="y", rounds=2), found, [], Path(), Deadline()).run()
    assert turns == [6, 4, 3, 2, 1]


def test_inputs(tmp_path: Path, texts: Path) -> None:
    assert {each.body.decode() for each in of_data(texts, 0)} == {
        '{"input": "good film"}',
        '{"input": "bad film"}',
        '{"input": "好 电影"}',
    }
    assert of_text("a", "b").body == b'{"input": ["a", "b"]}'
    assert of_media(b"\x89PNG....").content_type == "image/png"
    assert of_media(b"what").content_type == "application/octet-stream"
    assert of_row({"media": {"bytes": b"RIFF1", "path": None}}).content_type == "audio/wav"
    with pytest.raises(UserError, match=r"gone\.png: No such file"):
        of_row({"media": {"bytes": None, "path": str(tmp_path / "gone.png")}})
    with pytest.raises(UserError, match="the data has words"):
        of_row({"words": ["a"]})
    table = tmp_path / "t.csv"
    table.write_text("label,text\n1,one\n0,two\n")
    assert len(of_data(table, 0)) == 2
    table.write_text("label,text\n")
    with pytest.raises(UserError, match="no rows"):
        of_data(table, 0)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match="no inputs"):
        of_data(tmp_path / "empty.txt", 0)
    folder = tmp_path / "pictures" / "a"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"\x89PNG1")
    assert [each.content_type for each in of_data(folder.parent, 0)] == ["image/png"]
    assert payloads.as_json([of_text("a")]) == '[["application/json", "eyJpbnB1dCI6ICJhIn0="]]'


def test_numbers_are_compared_as_numbers() -> None:
    """Their label is the same, whatever they are."""

    def told(*numbers: float | list[float]) -> list[str]:
        each = [{"predictions": [{"label": "LABEL_0", "score": number}]} for number in numbers]
        return [json.dumps(one) for one in each]

    wanted, near = told(1.0, 2.0, 3.0), told(1.01, 2.0, 2.99)
    assert answers.differing(wanted, near, of_numbers=True) == (0, 3)
    assert answers.differing(wanted, told(1.5, 2.0, 30.0), of_numbers=True) == (2, 3)
    assert answers.differing(wanted, ["", "", "{}"], of_numbers=True) == (3, 3)
    assert answers.differing(told(2.0, 2.0), told(2.0000001, 2.1), of_numbers=True) == (1, 2)
    several = told([1.0, 10.0], [2.0, 20.0])
    assert answers.differing(several, told([1.0, 10.0], [2.0, 29.0]), of_numbers=True) == (1, 2)
    assert answers.differing(several, told([1.0], [2.0, 20.0]), of_numbers=True) == (1, 2)
    assert answers.differing([""], [""], of_numbers=True) == (0, 0)


def test_answers_are_compared_where_they_can_be() -> None:
    same = '{"predictions": [{"label": "a", "score": 0.9}]}'
    near = '{"predictions": [{"label": "a", "score": 0.8}]}'
    other = '{"predictions": [{"label": "b", "score": 0.9}]}'
    assert answers.differing([same, same, same], [same, near, other]) == (1, 3)
    assert answers.differing(["", "no json", '{"predictions": []}'], [other] * 3) == (0, 0)
    assert answers.differing([same], [""]) == (1, 1)
