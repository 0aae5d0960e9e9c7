"""The page of checkpoints: who counts as a witness, what troubles them, and files that other tools take."""

import dataclasses
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dashboard.app import create_app
from server.core.settings import WitnessSetting
from server.ledger import cosignature, witness_store
from server.ledger import service as ledger
from server.ledger.cosignature import WitnessKey
from server.ledger.publishing import FOLDER, Publisher
from server.ledger.schemas import AnchorRead, Trouble
from server.ledger.witness.home import LocalKey
from server.ledger.witnessing import witnesses_of
from tests.dashboard.screens.conftest import Visitor
from tests.server.office import Office
from tests.server.world import Company


class Outside:
    """Two witnesses in the settings, one of them our own; `sign` puts their lines under the newest checkpoint."""

    def __init__(self, office: Office, company: Company) -> None:
        self.keys = {name: LocalKey(Ed25519PrivateKey.generate()) for name in ("theirs.example", "mine.example")}
        settings = tuple(
            WitnessSetting(
                vkey=WitnessKey(name=name, public_key=key.public_key).text(),
                url=f"https://{name}",
                own=name.startswith("mine"),
            )
            for name, key in self.keys.items()
        )
        changed = office.run.settings.model_copy(update={"witnesses": settings, "witness_quorum": 1})
        self.run = dataclasses.replace(office.run, settings=changed)
        self.company = dataclasses.replace(company, run=self.run)
        office.sequencer.commit([])

    def sign(self, names: Sequence[str]) -> None:
        with self.run.db.write() as db:
            head = ledger.checkpoint(db)
            lines = [cosignature.sign(head.note, name=one, time=1_800_000_000, key=self.keys[one]) for one in names]
            witness_store.cosigned(db, head, lines, now=self.run.now())
        witnesses = witnesses_of(self.run.settings)
        folder = self.run.settings.home / FOLDER
        Publisher(self.run.db, folder=folder, witnesses=witnesses, quorum=1, clock=self.run.clock).round()

    def page(self) -> str:
        visitor = Visitor(self.company)
        visitor.app = create_app(self.run)
        visitor.sign_in("auditor")
        answer = visitor.get("/ledger/checkpoints")
        assert answer.status_code == 200
        return answer.text


@pytest.fixture
def outside(office: Office, company: Company) -> Outside:
    return Outside(office, company)


def test_only_witnesses_of_others_count(outside: Outside) -> None:
    outside.sign(["mine.example"])
    text = outside.page()
    assert "still lacks 1 outside witness" in text
    assert "own, counts for nothing" in text
    outside.sign(["theirs.example"])
    assert "1 outside witness signed the newest checkpoint" in outside.page()


def test_trouble_is_told_in_words(outside: Outside) -> None:
    with outside.run.db.write() as db:
        witness_store.in_trouble(db, "theirs.example", Trouble.REFUSED, "<b>fork</b>", now=outside.run.now())
    text = outside.page()
    assert "this ledger does not follow from what it saw" in text
    assert "&lt;b&gt;fork" in text


def test_stamps_are_files_for_other_tools(outside: Outside) -> None:
    outside.sign(["theirs.example"])
    now = outside.run.now()
    with outside.run.db.write() as db:
        size = ledger.published_size(db)
        kept = AnchorRead(size=size, authority="own", own=True, stamped_at=now, answer=b"DER of a stamp")
        ledger.keep_anchor(db, kept, now=now)
    text = outside.page()
    assert f"/ledger/checkpoints/{kept.size}/own.tsr" in text
    assert "only our own word says when" in text
    visitor = Visitor(outside.company)
    visitor.sign_in("auditor")
    assert visitor.get(f"/ledger/checkpoints/{kept.size}/own.tsr").content == kept.answer
    note = visitor.get(f"/ledger/checkpoints/{kept.size}.note").text
    assert note.count("— ") == 1
    assert visitor.get(f"/ledger/checkpoints/{kept.size}/other.tsr").status_code == 404
    with outside.run.db.write() as db:
        ledger.keep_anchor(db, dataclasses.replace(kept, authority="tsa.example", own=False), now=now)
    assert "only our own word says when" not in outside.page()
    assert visitor.get("/ledger/checkpoints/999999.note").status_code == 404
