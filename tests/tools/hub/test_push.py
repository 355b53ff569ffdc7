"""push: one commit with everything, nothing twice, and nothing that should stay here."""

import json
import shutil
from pathlib import Path

import pytest

from tests.tools.hub.conftest import point_to
from tests.tools.hub.running import hub_cli, push
from tests.tools.hub.tiny_hub import TOKEN, TinyHub
from tests.tools.hub.tiny_hub.storage import Repo
from tools.cards import check
from zoo.runtimes import artifacts
from zoo.store import evidence

REPO = "user/reviews"


def test_there_and_back_gives_the_same_bytes(
    hub: TinyHub, checkpoint: Path, tmp_path: Path
) -> None:
    push(checkpoint, REPO)
    assert [one.message for one in hub.repos[REPO].history()][1:] == ["initial"]  # one commit
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err
    pulled = tmp_path / "pulled"
    for name in (*json.loads((checkpoint / "zoo.json").read_text())["files"], evidence.FILE):
        assert (pulled / name).read_bytes() == (checkpoint / name).read_bytes(), name
    assert evidence.subject_digest(pulled) == evidence.subject_digest(checkpoint)
    assert check.faults(pulled) == []
    there = {".gitattributes", *(p.relative_to(pulled).as_posix() for p in pulled.rglob("*.*"))}
    assert there - {".eval_results"} == set(hub.repos[REPO].files())
    assert not {"state", "logs", "plots"} & {path.partition("/")[0] for path in there}


def test_what_is_there_is_not_sent_again(hub: TinyHub, checkpoint: Path) -> None:
    push(checkpoint, REPO)
    sent, head = hub.bytes_in, hub.repos[REPO].branches["main"]
    hub.asked.clear()
    done = push(checkpoint, REPO)
    assert "nothing to send" in done.out and "unchanged" in done.out
    assert not {"commit", "preupload", "upload", "batch"} & set(hub.asked)
    assert (hub.bytes_in, hub.repos[REPO].branches["main"]) == (sent, head)


def test_only_what_changed_is_sent(hub: TinyHub, checkpoint: Path) -> None:
    push(checkpoint, REPO)
    sent = hub.bytes_in
    (checkpoint / "card.md").write_text("Ask before you build on it.\n")
    shutil.copy(checkpoint / "README.md", checkpoint / "notes.md")
    (checkpoint / "README.md").unlink()
    done = push(checkpoint, REPO)
    changed = {line.split()[0] for line in done.lines if line.endswith(("changed", "new"))}
    changed -= {line.split()[0] for line in done.lines if line.endswith("unchanged")}
    assert changed == {"README.md", "card.md", "zoo.json"}
    assert hub.bytes_in == sent
    assert "Ask before you build on it." in hub.repos[REPO].files()["README.md"].content.decode()
    assert "notes.md" not in hub.repos[REPO].files()


@pytest.mark.parametrize("path", ["README.md", "model.safetensors"])
def test_another_byte_is_seen_where_the_size_is_the_same(
    hub: TinyHub, checkpoint: Path, path: str
) -> None:
    push(checkpoint, REPO)
    before = hub.repos[REPO].files()[path].content
    hub.repos[REPO].put(path, before[:-1] + bytes([before[-1] ^ 1]))
    push(checkpoint, REPO)
    assert hub.repos[REPO].files()[path].content == before


def test_files_of_others_stay_and_our_own_go(hub: TinyHub, with_onnx: Path) -> None:
    push(with_onnx, REPO)
    hub.repos[REPO].put("onnx/model_q4.onnx", b"somebody else's")
    hub.repos[REPO].put("vocab.txt", b"of nobody")
    done = push(with_onnx, REPO, "--artifacts", "onnx")
    removed = {line.split()[0] for line in done.lines if line.endswith("removed")}
    assert removed == {"onnx/model_int8.onnx", "onnx/model_int8.export.json"}
    there = hub.repos[REPO].files()
    assert {"onnx/model_q4.onnx", "vocab.txt", "onnx/model.onnx"} <= set(there)
    assert not removed & set(there)


def test_a_dry_run_needs_neither_network_nor_token(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    point_to("http://127.0.0.1:9", monkeypatch, tmp_path)  # nobody listens there
    (checkpoint / "README.md").unlink()
    done = push(checkpoint, REPO, "--dry_run")
    assert "not compared with the repo" in done.out and "nothing was sent" in done.out
    rows = {line.split()[0]: line for line in done.lines}
    assert {"README.md", "config.json", "model.safetensors", "zoo.json"} <= set(rows)
    assert "kB" in rows["config.json"] or "bytes" in rows["config.json"]
    assert (checkpoint / "README.md").exists()  # the card comes before the network


def test_a_dry_run_compares_where_it_can(hub: TinyHub, checkpoint: Path) -> None:
    push(checkpoint, REPO)
    head = hub.repos[REPO].branches["main"]
    hub.asked.clear()
    done = push(checkpoint, REPO, "--dry-run")
    assert "unchanged" in done.out and "not compared" not in done.out
    assert hub.repos[REPO].branches["main"] == head
    assert set(hub.asked) <= {"alive", "info", "header", "content"}


def test_a_branch_and_a_private_repo(hub: TinyHub, checkpoint: Path) -> None:
    push(checkpoint, REPO, "--revision", "v2", "--private", "--message", "second try")
    repo = hub.repos[REPO]
    assert repo.private
    assert next(repo.history("v2")).message == "second try"
    assert set(repo.files("main")) == {".gitattributes"}
    assert "model.safetensors" in repo.files("v2")


def test_a_public_repo_does_not_become_private(hub: TinyHub, checkpoint: Path) -> None:
    hub.repos[REPO] = Repo()
    done = hub_cli("push", checkpoint, REPO, "--private")
    assert done.code == 2 and "is public" in done.err
    assert set(hub.repos[REPO].files()) == {".gitattributes"}


@pytest.mark.parametrize(
    "prose",
    ["", "Some words.\n", "---\nlanguage: en\n---\nMore.\n", "---\nrepo: user/old\n---\n"],
)
def test_the_card_names_the_repo(hub: TinyHub, checkpoint: Path, prose: str) -> None:
    from tools.cards.card_text import read

    (checkpoint / "README.md").unlink()
    (checkpoint / "card.md").write_text(prose)
    push(checkpoint, REPO)
    files = hub.repos[REPO].files()
    assert 'model="user/reviews"' in files["README.md"].content.decode()
    assert "user/old" not in files["README.md"].content.decode()
    before = read(checkpoint)
    (checkpoint / "card.md").write_bytes(files["card.md"].content)
    after = read(checkpoint)
    assert after.text == before.text and after.front == {**before.front, "repo": REPO}


def test_no_path_of_this_machine_goes_along(hub: TinyHub, checkpoint: Path) -> None:
    before = json.loads((checkpoint / "zoo.json").read_text())
    assert before["config"]["data"]["data"].startswith("/")
    push(checkpoint, REPO)
    for path, file in hub.repos[REPO].files().items():
        if path != "tokenizer.json":
            assert str(checkpoint.parent).encode() not in file.content, path
            assert b"/tmp/" not in file.content, path
    there = json.loads(hub.repos[REPO].files()["zoo.json"].content)
    assert there["config"]["data"]["data"] == Path(before["config"]["data"]["data"]).name
    assert there["config"]["task"]["labels"] == before["config"]["task"]["labels"]
    assert json.loads((checkpoint / "zoo.json").read_text()) == before


def test_a_card_that_lies_is_refused(hub: TinyHub, checkpoint: Path) -> None:
    card = (checkpoint / "README.md").read_text()
    (checkpoint / "README.md").write_text(card.replace("0.", "0.9", 1))
    done = hub_cli("push", checkpoint, REPO)
    assert done.code == 1 and "README.md:" in done.err
    assert hub.asked == []


def test_secrets_in_prose_are_refused(hub: TinyHub, checkpoint: Path) -> None:
    (checkpoint / "README.md").unlink()
    (checkpoint / "card.md").write_text(f"Trained in /home/me/runs.\nlog in with {TOKEN}\n")
    done = hub_cli("push", checkpoint, REPO)
    assert done.code == 1 and hub.asked == []
    assert "card.md, line 4, holds an absolute path (/home/me/runs.)" in done.err
    assert "line 5, holds what looks like a token" in done.err and TOKEN not in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "user/x"), "there is no such folder"),
        (("{checkpoint}", "no-owner"), "write user/name"),
        (("{checkpoint}", "user/a--b"), "can't be a repo"),
        (("{checkpoint}", "user/x", "--artifacts", "onnx"), "has no such artifact"),
        (("{checkpoint}", "user/x", "--artifacts", "onx"), "did you mean onnx?"),
        (("{checkpoint}", "user/x", "--artifacts", "aoti"), "only ONNX is published"),
        (("{checkpoint}", "user/x", "--variant_repo", "user/y"), "no ONNX artifacts"),
        (("{checkpoint}", "user/x", "--fail_if", "accuracy"), "accuracy<-0.005"),
        (("{checkpoint}", "other/x"), "may not write to other/x"),
    ],
)
def test_mistakes_are_one_sentence(
    hub: TinyHub, checkpoint: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = _contents(checkpoint)
    done = hub_cli("push", *(word.format(checkpoint=checkpoint) for word in arguments))
    assert done.code == 2 and said in done.err, done.err
    assert len(done.err.splitlines()) == 1
    assert _contents(checkpoint) == before
    assert hub.repos == {}


def test_no_evidence_is_one_sentence(hub: TinyHub, checkpoint: Path) -> None:
    (checkpoint / evidence.FILE).unlink()
    done = hub_cli("push", checkpoint, REPO)
    assert done.code == 2 and "evaluate" in done.err and len(done.err.splitlines()) == 1


def test_a_link_is_not_followed(hub: TinyHub, checkpoint: Path, tmp_path: Path) -> None:
    shutil.move(checkpoint / "config.json", tmp_path / "elsewhere.json")
    (checkpoint / "config.json").symlink_to(tmp_path / "elsewhere.json")
    done = hub_cli("push", checkpoint, REPO)
    assert done.code == 2 and "config.json is a link" in done.err


def test_variants_go_to_a_repo_of_their_own(hub: TinyHub, with_onnx: Path, tmp_path: Path) -> None:
    push(with_onnx, REPO, "--variant_repo", "user/reviews-onnx")
    assert not any(path.startswith("onnx/") for path in hub.repos[REPO].files())
    there = hub.repos["user/reviews-onnx"].files()
    assert "model.safetensors" not in there and "onnx/model_int8.onnx" in there
    card = there["README.md"].content.decode()
    assert "base_model: user/reviews\n" in card and "base_model_relation: quantized" in card
    done = hub_cli("verify", "user/reviews-onnx")
    assert done.code == 0, done.out + done.err
    rows = {line.split("  ")[0]: line for line in done.lines}
    assert " ok " in rows["parity of onnx+int8-dynamic"] and " ok " in rows["card"]
    done = hub_cli("pull", "user/reviews-onnx", "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err
    assert len(artifacts.all_of(tmp_path / "pulled")) == 2


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_old_evidence_that_names_somebody_stays_here(hub: TinyHub, checkpoint: Path) -> None:
    import dataclasses

    from zoo.store import evidence

    fact = evidence.read(checkpoint)[0]
    told = "python -m zoo.nlp.bert_cls finetune --data ../../home/anna/reviews.csv"
    evidence.append(checkpoint, [dataclasses.replace(fact, command=told)])
    (checkpoint / "README.md").unlink()
    done = hub_cli("push", checkpoint, REPO)
    assert done.code == 1 and hub.repos == {}
    lines = done.err.splitlines()
    assert lines[-1] == "this would leave your machine: nothing was sent"
    assert all("evidence.jsonl, line" in line and "../../home/anna" in line for line in lines[:-1])
    assert "anna" not in (checkpoint / "README.md").read_text(encoding="utf-8")
