"""The ledger's pages without a browser: filters in the address, an entry in words, cases, and who may see them."""

import base64
import hashlib
import re
from uuid import UUID

from firmware_protocol import events
from firmware_protocol.purposes import Purpose
from server.ledger import browsing, merkle, proof
from server.ledger import service as ledger
from server.ledger.admission import Reason
from server.ledger.browsing import Wanted
from server.ledger.checkpoint import VerifierKey
from server.ledger.entry_types import EntryType
from server.ledger.schemas import INSTALLATION, EntryRead, LeafKind
from tests.dashboard.screens.conftest import Visitor
from tests.server.office import Office


def entries_on(page: str) -> list[str]:
    return re.findall(r'<li><a href="/ledger/([0-9a-f]{64})">', page)


def newest(office: Office, kind: EntryType) -> EntryRead:
    with office.run.db.read() as db:
        wanted = Wanted(kind=LeafKind.ENTRY, entry_type=kind)
        return browsing.page(db, office.company.everywhere, wanted).entries[0]


def lose_and_contradict(office: Office) -> tuple[str, str]:
    """Two reports go missing and one number is signed twice; the gap's place and the twin's digest."""
    pen = office.pen
    twin_seq, twin_previous = pen.seq, events.peek(pen.write(events.Sensor(sensor="light", value=1))).header.previous
    pen.write(events.Sensor(sensor="light", value=2))
    lost = [pen.written.pop(), pen.written.pop()]
    pen.write(events.Sensor(sensor="light", value=3))
    office.deliver()
    pen.seq, pen.previous = twin_seq + 2, twin_previous
    twin = pen.write(events.Sensor(sensor="light", value=99))
    office.deliver()
    office.deliver()  # the ledger's own entry about it
    assert len(lost) == 2
    with office.run.db.read() as db:
        (gap,) = browsing.gaps(db, office.company.everywhere)
    return f"{gap.device_id}/{gap.generation}/{gap.first_seq}", hashlib.sha256(twin).hexdigest()


def test_the_address_is_the_view(visitor: Visitor, office: Office) -> None:
    company = office.company
    company.submitted()
    office.deliver()
    visitor.sign_in("auditor")
    everything = entries_on(visitor.get("/ledger").text)
    about_seal = entries_on(visitor.get(f"/ledger?seal={company.seal.id}").text)
    by_clerk = entries_on(visitor.get(f"/ledger?person={company.clerk.id}").text)
    asked = entries_on(visitor.get("/ledger?type=entry.request_submitted").text)
    device = entries_on(visitor.get("/ledger?device=MAD-0001&type=event.paired").text)
    assert asked[0] in set(about_seal) & set(by_clerk) & set(everything)
    assert len(device) == 1
    assert device[0] not in about_seal
    day = office.run.now().date()
    assert entries_on(visitor.get(f"/ledger?since={day}&until={day}").text)
    assert entries_on(visitor.get("/ledger?until=2001-01-01").text) == []
    page = visitor.get(f"/ledger?seal={company.seal.id}").text
    assert f'<option value="{company.seal.id}" selected>' in page
    assert f'hx-get="/ledger?seal={company.seal.id}"' in page


def test_pages_follow_each_other_without_a_hole(visitor: Visitor, office: Office) -> None:
    for _ in range(60):
        office.pen.write(events.Sensor(sensor="light", value=1))
    office.deliver()
    visitor.sign_in("auditor")
    address, found, pages = "/ledger", [], 0
    while address:
        page = visitor.get(address).text
        found += entries_on(page)
        pages += 1
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert pages > 1
    assert len(found) == len(set(found))
    with office.run.db.read() as db:
        scope = office.company.everywhere
        everything = ledger.find(db, scope, limit=500)
    assert found == [entry.leaf_hash.hex() for entry in everything]


def test_a_filter_that_cannot_be_read_is_refused_in_words(visitor: Visitor, office: Office) -> None:
    visitor.sign_in("auditor")
    for broken in ("since=yesterday", "person=me", "type=nothing", "about=a%00b"):
        answer = visitor.get(f"/ledger?{broken}")
        assert answer.status_code == 400, broken
        assert "This filter cannot be read" in answer.text
    assert office.pen.device_id


def test_an_entry_says_in_words_who_did_what_and_who_signed(visitor: Visitor, office: Office) -> None:
    company = office.company
    company.submitted()
    office.deliver()
    asked = newest(office, EntryType.REQUEST_SUBMITTED).leaf_hash.hex()
    visitor.sign_in("auditor")
    page = visitor.get(f"/ledger/{asked}").text
    assert "Supply contract" in page
    assert company.clerk.name in page
    assert "Contract seal 02" in page
    assert "the offline root, in the trust bundle" in page
    visitor.cookies.clear()
    visitor.sign_in("clerk")
    page = visitor.get(f"/ledger/{asked}").text
    assert "Supply contract" not in page
    assert "only its fingerprint is in the ledger" in page
    visitor.cookies.clear()
    visitor.sign_in("stranger")
    for part in ("", ".cose", ".tlog-proof"):
        assert visitor.get(f"/ledger/{asked}{part}").status_code == 404


def test_how_the_installation_began_is_told_key_by_key(visitor: Visitor, office: Office) -> None:
    run = office.run
    with run.db.write() as db:
        began = ledger.record(
            db,
            key=run.keys.signer(Purpose.ENTRY),
            entry_type=EntryType.INSTALLATION,
            refs={"installation": UUID(int=3)},
            public={"demo": True, "keys": {"token": b"t" * 32, "entry": b"e" * 32}},
            private={"name": "Example Group"},
            tenant_id=INSTALLATION,
            branch_path="/",
            now=run.now(),
            rng=run.rng,
            clock=run.clock,
        )
    office.deliver()
    visitor.sign_in("auditor")
    assert began.leaf_hash.hex() in entries_on(visitor.get("/ledger?type=entry.installation").text)
    text = visitor.get(f"/ledger/{began.leaf_hash.hex()}").text
    assert re.search(r"Keys: token</dt><dd><code>(74){32}</code>", text)
    assert re.search(r"Keys: entry</dt><dd><code>(65){32}</code>", text)
    assert "For demonstration only" in text
    assert "Example Group" not in text, "the name stays a commitment"
    nothing = visitor.get("/ledger?about=request:none").text
    assert "No entry fits what you look for." in nothing


def test_a_report_names_the_key_and_the_entry_that_registered_it(visitor: Visitor, office: Office) -> None:
    office.deliver()
    visitor.sign_in("auditor")
    (paired,) = entries_on(visitor.get("/ledger?device=MAD-0001&type=event.paired").text)
    page = visitor.get(f"/ledger/{paired}").text
    enrolled = newest(office, EntryType.DEVICE_ENROLLED).leaf_hash.hex()
    assert f'href="/ledger/{enrolled}"' in page
    assert f'data-author="{office.pen.key.public_key.hex()}"' in page
    assert office.company.admin.name in page
    assert "<dd>The device accepted the pairing</dd>" in page


def test_the_downloads_are_what_other_tools_check(visitor: Visitor, office: Office) -> None:
    visitor.sign_in("auditor")
    (name,) = entries_on(visitor.get("/ledger?type=event.paired").text)
    page = visitor.get(f"/ledger/{name}").text
    leaf = visitor.get(f"/ledger/{name}.cose").content
    text = visitor.get(f"/ledger/{name}.tlog-proof").text
    vkey = re.search(r'data-vkey="([^"]+)"', page)
    assert vkey
    assert merkle.leaf_hash(leaf).hex() == name
    assert proof.verify(text, leaf=leaf, key=VerifierKey.parse(vkey[1])).index >= 0
    assert visitor.get("/ledger/checkpoint").text in text
    assert vkey[1] in visitor.get("/ledger/public").text
    assert base64.b64decode(vkey[1].split("+", 2)[2])[0] == 1
    assert office.pen.device_id in page


def test_growth_is_a_picture_and_a_table(visitor: Visitor, office: Office) -> None:
    visitor.sign_in("auditor")
    page = visitor.get("/ledger/growth").text
    with office.run.db.read() as db:
        size = ledger.head(db)[0]
    assert page.count('class="plot-bar"') == 30
    assert f"the ledger grew from 0 to {size} entries" in page
    assert f'<td class="number">{size}</td>' in page


def test_cases_say_what_happened_whether_evidence_is_safe_and_what_to_do(visitor: Visitor, office: Office) -> None:
    gap, twin = lose_and_contradict(office)
    visitor.sign_in("auditor")
    page = visitor.get("/ledger/cases").text
    assert f"/ledger/cases/gaps/{gap}" in page
    assert f"/ledger/cases/aside/{twin}" in page
    assert "Devices that contradicted themselves" in page
    for address in (f"/ledger/cases/gaps/{gap}", f"/ledger/cases/aside/{twin}"):
        case = visitor.get(address).text
        for part in ("What happened", "Is the evidence safe?", "What to do", "/devices/MAD-0001"):
            assert part in case, address
    case = visitor.get(f"/ledger/cases/aside/{twin}").text
    assert "Both reports" in case
    record = newest(office, EntryType.EQUIVOCATION)
    assert f'href="/ledger/{record.leaf_hash.hex()}"' in case
    assert hashlib.sha256(visitor.get(f"/ledger/cases/aside/{twin}.bin").content).hexdigest() == twin
    visitor.cookies.clear()
    visitor.sign_in("stranger")
    for address in (
        f"gaps/{gap}",
        f"aside/{twin}",
        f"aside/{twin}.bin",
        "gaps/0",
        "gaps/99999999999999999999",
        "aside/x",
    ):
        assert visitor.get(f"/ledger/cases/{address}").status_code == 404, address
    assert "/ledger/cases/gaps/" not in visitor.get("/ledger/cases").text


def test_a_case_is_told_in_the_readers_language(visitor: Visitor, office: Office) -> None:
    visitor.sign_in("auditor")
    _gap, twin = lose_and_contradict(office)
    seen = set()
    for language in ("en", "es", "zh"):
        visitor.cookies.pop("language", None)
        visitor.get(f"/language/{language}")
        title = re.search(r"<h1>([^<]+)</h1>", visitor.get(f"/ledger/cases/aside/{twin}").text)
        assert title
        seen.add(title[1])
    assert len(seen) == 3
    assert Reason.EQUIVOCATION.value not in seen


def test_the_list_of_cases_refuses_a_broken_place(visitor: Visitor, office: Office) -> None:
    visitor.sign_in("auditor")
    assert office.pen
    for broken in ("x", "1-é", f"{10**40}-AAAA"):
        assert visitor.get(f"/ledger/cases?aside_before={broken}").status_code == 404
