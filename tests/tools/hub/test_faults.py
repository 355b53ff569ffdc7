"""Whatever goes wrong, a repo is complete or as it was, and the message says what to do."""

import dataclasses
from pathlib import Path

import pytest

from tests.cli import run_process
from tests.tools.hub.conftest import point_to
from tests.tools.hub.running import hub_cli, push
from tests.tools.hub.tiny_hub import TOKEN, Fault, TinyHub
from tests.tools.hub.tiny_hub.storage import File
from tools.hub import retries

REPO = "user/reviews"
ALWAYS = 1000
MANY = 40
"""More calls than a push needs with a few that are tried again."""

PASSING = [
    Fault("info", 429, headers={"Retry-After": "7"}),
    Fault("info", 500),
    Fault("create", 503, times=2),
    Fault("create", "lost"),
    Fault("preupload", 500),
    Fault("batch", 503, times=2),
    Fault("upload", 429, headers={"Retry-After": "3"}),
    Fault("upload", 500, times=3),
    Fault("upload", "cut", times=2),
    Fault("upload", "slow"),
    Fault("confirm", "lost"),
    Fault("validate", 503),
    Fault("commit", 429, headers={"Retry-After": "5"}),
    Fault("commit", 500),
    Fault("commit", 503, times=3),
    Fault("commit", 409),
    Fault("commit", 412),
    Fault("commit", "lost"),
]
LASTING = [
    (Fault("info", 401, ALWAYS), "hf auth login"),
    (Fault("create", 401, ALWAYS), "hf auth login"),
    (Fault("create", 403, ALWAYS), "a repo of your own"),
    (Fault("preupload", 403, ALWAYS), "write access"),
    (Fault("commit", 403, ALWAYS), "write access"),
    (Fault("commit", 409, ALWAYS), "push again later"),
    (Fault("upload", 413, ALWAYS), "smaller shards"),
    (Fault("commit", 413, ALWAYS), "smaller shards"),
    (Fault("info", 429, ALWAYS, {"Retry-After": "9999"}), "wait some minutes"),
    (Fault("commit", 429, ALWAYS), "wait some minutes"),
    (Fault("upload", 500, ALWAYS), "same command again"),
    (Fault("commit", 500, ALWAYS), "same command again"),
    (Fault("commit", 503, ALWAYS), "same command again"),
    (Fault("upload", "cut", ALWAYS), "same command again"),
    (Fault("validate", 400, ALWAYS), "the card's metadata"),
]


def _name(fault: Fault) -> str:
    return f"{fault.call}-{fault.kind}-{'lasting' if fault.times == ALWAYS else fault.times}"


@pytest.mark.parametrize("fault", PASSING, ids=_name)
def test_what_passes_is_waited_for(
    hub: TinyHub, trained: Path, pauses: list[float], fault: Fault
) -> None:
    fault.seen = 0
    hub.fault(fault)
    push(trained, REPO)
    assert fault.seen == fault.times
    assert "model.safetensors" in hub.repos[REPO].files()
    assert len(list(hub.repos[REPO].history())) == 2  # once, also where the answer was lost
    asked = float(fault.headers.get("Retry-After", 0))
    assert not asked or asked <= max(pauses) <= asked + 1
    assert len(hub.asked) < MANY


@pytest.mark.parametrize(
    ("fault", "said"), LASTING, ids=lambda one: _name(one) if isinstance(one, Fault) else ""
)
def test_what_lasts_leaves_the_repo_as_it_was(
    hub: TinyHub, trained: Path, pauses: list[float], fault: Fault, said: str
) -> None:
    fault.seen = 0
    hub.fault(fault)
    done = hub_cli("push", trained, REPO)
    assert done.code == 2, done.out + done.err
    *notices, sentence = done.err.splitlines()
    assert said in sentence and "nothing in the repo was changed" in sentence
    assert all("trying again" in one for one in notices if one.startswith("the "))
    assert TOKEN not in done.err and "presigned" not in done.err
    assert all(set(repo.files()) == {".gitattributes"} for repo in hub.repos.values())
    assert len(hub.asked) < MANY and max(pauses, default=0) <= retries.LONGEST_PAUSE_S
    if fault.kind in (401, 403, 413):
        # asked again it would be the same; large files are uploaded side by side
        large = [path for path in trained.rglob("*") if path.suffix in (".safetensors", ".png")]
        assert fault.seen <= (len(large) if fault.call == "upload" else 1)


def test_an_answer_that_stays_lost_is_not_taken_for_nothing(hub: TinyHub, trained: Path) -> None:
    class Gone(Fault):
        """Once the commit is made, the Hub tells nobody."""

        def strikes(self, call: str, path: str) -> bool:
            self.seen += call == "commit"
            return call == "commit" or (call == "info" and self.seen > 0)

    hub.fault(Gone("", "lost"))
    done = hub_cli("push", trained, REPO)
    assert done.code == 2 and "the repo is complete or as it was" in done.err
    hub.fault()
    assert "nothing to send" in push(trained, REPO).out


def test_after_a_failure_the_same_command_goes_on(hub: TinyHub, trained: Path) -> None:
    hub.fault(Fault("commit", 403))
    assert hub_cli("push", trained, REPO).code == 2
    sent = hub.bytes_in
    push(trained, REPO)
    assert hub.bytes_in == sent > 0  # the large files had arrived already


def test_a_commit_whose_every_answer_is_an_error_is_found(hub: TinyHub, trained: Path) -> None:
    """A gateway that gives up while the Hub goes on: the last answer is one of 5xx."""

    class Late(Fault):
        """Once it was tried so often as it is, the commit has been made by the first attempt."""

        def strikes(self, call: str, path: str) -> bool:
            self.seen += call == "commit"
            self.kind = "lost" if self.seen == retries.ATTEMPTS else 504
            return call == "commit"

    hub.fault(Late("", 504))
    push(trained, REPO)
    assert len(list(hub.repos[REPO].history())) == 2


def test_a_hub_that_says_nothing_is_not_waited_for(
    hub: TinyHub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import close_session

    from tools.hub import connection

    monkeypatch.setattr(connection, "TIMEOUTS_S", (5.0, 0.02, 5.0, 5.0))
    close_session()
    hub.fault(Fault("info", "slow", ALWAYS))
    done = hub_cli("push", trained, REPO)
    close_session()
    assert done.code == 2 and "the connection to the Hub broke off" in done.err


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_arrived_is_compared_with_what_was_sent(
    hub: TinyHub, trained: Path, is_lost: bool
) -> None:
    class Spoils(Fault):
        """The Hub keeps something else than what it was given."""

        def strikes(self, call: str, path: str) -> bool:
            head = hub.repos[REPO].branches["main"] if REPO in hub.repos else ""
            commit = hub.repos[REPO].commits[head] if head else None
            if call == "info" and commit and "README.md" in commit.files:
                files = {**commit.files, "README.md": File(b"something else", False)}
                if is_lost:
                    del files["README.md"]
                hub.repos[REPO].commits[head] = dataclasses.replace(commit, files=files)
            return False

    hub.fault(Spoils("", 500))
    done = hub_cli("push", trained, REPO)
    said = "README.md is missing" if is_lost else "README.md has 14 bytes that are not the"
    assert done.code == 1 and said in done.err


def test_others_may_push_meanwhile(hub: TinyHub, trained: Path) -> None:
    push(trained, REPO, "--message", "first")

    class Meanwhile(Fault):
        """Somebody edits the card on the Hub's page, right before our commit."""

        def strikes(self, call: str, path: str) -> bool:
            if call == "preupload" and not self.seen:
                self.seen = 1
                hub.repos[REPO].put("README.md", b"mine")
                hub.repos[REPO].put("notes.txt", b"theirs")
            return False

    hub.repos[REPO].put("config.json", b"{}")
    hub.fault(Meanwhile("", 500))
    done = push(trained, REPO)
    assert "comparing anew" in done.out
    files = hub.repos[REPO].files()
    assert files["notes.txt"].content == b"theirs"
    assert files["config.json"].content == (trained / "config.json").read_bytes()
    assert files["README.md"].content.startswith(b"---\n")


@pytest.mark.parametrize("kind", ["corrupt", "short", "cut"])
def test_a_download_that_goes_wrong_is_repeated(
    hub: TinyHub, trained: Path, tmp_path: Path, kind: str
) -> None:
    push(trained, REPO)
    hub.fault(Fault("content", kind, times=2, path="model.safetensors"))
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    if kind != "cut":  # twice the same file
        assert done.code == 2 and "model.safetensors of user/reviews arrived damaged" in done.err
        assert not (tmp_path / "pulled").exists()
        done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err
    weights = (trained / "model.safetensors").read_bytes()
    assert (tmp_path / "pulled" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("kind", [503, 429, "lost"])
@pytest.mark.parametrize("call", ["info", "header", "content"])
def test_a_pull_waits_too(
    hub: TinyHub, trained: Path, tmp_path: Path, call: str, kind: int
) -> None:
    push(trained, REPO)
    hub.fault(Fault(call, kind, times=2))
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err
    assert [path.name for path in tmp_path.glob(".incoming-*")] == []


def test_no_token_is_one_sentence(
    hub: TinyHub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    done = hub_cli("push", trained, REPO)
    assert done.code == 2 and "hf auth login" in done.err and len(done.err.splitlines()) == 1
    assert hub.repos == {}


def test_a_process_of_its_own_says_the_same() -> None:
    done = run_process("tools.hub", "pull", REPO, env={"HF_HUB_OFFLINE": "1"}, timeout=60)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "HF_HUB_OFFLINE is set" in done.err


@pytest.mark.parametrize("verb", ["push", "pull", "verify", "diff"])
@pytest.mark.parametrize("is_offline", [True, False])
def test_without_a_network_nothing_hangs(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verb: str,
    is_offline: bool,
) -> None:
    from huggingface_hub import constants

    point_to("http://127.0.0.1:9", monkeypatch, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", is_offline)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    words = {"push": (trained, REPO), "diff": (REPO, "a", "b")}.get(verb, (REPO,))
    done = hub_cli(verb, *words)
    assert done.code == 2 and "the Hub can't be reached" in done.err
    assert ("HF_HUB_OFFLINE" in done.err) == is_offline
    assert len(done.err.splitlines()) == 1
