"""Notes, verifier keys and proofs as C2SP writes them; damaged ones are refused with the right error only."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from server.core.signer import Ed25519Signer, Purpose
from server.ledger import checkpoint, merkle, notes, proof
from server.ledger.checkpoint import BadCheckpoint, VerifierKey
from server.ledger.proof import BadProof, InclusionProof

# golang.org/x/mod/sumdb/note, package documentation: the verifier key and the note of its example.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# c2sp.org/tlog-checkpoint: the body of its example.
C2SP_BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

KEY = Ed25519Signer(Purpose.CHECKPOINT, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VKEY = VerifierKey(name="seal.example/log", public_key=KEY.public_key)
LEAVES = [bytes([number]) for number in range(9)]


def signed_tree() -> tuple[checkpoint.Checkpoint, dict[tuple[int, int], bytes]]:
    tree = merkle.Tree()
    tiles = {(tile.level, tile.index): tile.data for tile in tree.append(merkle.leaf_hash(leaf) for leaf in LEAVES)}
    return checkpoint.sign(VKEY.name, tree.size, tree.root(), key=KEY), tiles


def proof_text(index: int) -> str:
    head, tiles = signed_tree()
    path = merkle.inclusion_proof(index, head.size, lambda level, at: tiles[level, at])
    return InclusionProof(index=index, path=tuple(path), checkpoint=head).text()


def test_verifier_key_of_the_go_example_is_read_and_written_the_same() -> None:
    key = VerifierKey.parse(GO_VKEY)
    assert key.name == "PeterNeumann"
    assert key.text() == GO_VKEY
    assert VerifierKey.parse(VKEY.text()) == VKEY


def test_signature_of_the_go_example_verifies_under_our_reading_of_notes() -> None:
    """Its text is no checkpoint, so the parts are checked one by one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text, _, line = GO_NOTE.rpartition("\n\n")
    signature = notes.parse_line(line.rstrip("\n"))
    key = VerifierKey.parse(GO_VKEY)
    assert (signature.name, signature.key_id) == (key.name, key.key_id)
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature.signature, (text + "\n").encode())


def test_body_is_that_of_the_specification() -> None:
    parsed, signatures = checkpoint.parse(C2SP_BODY + "\n— example.com/behind-the-sofa Az3grlgtzPICa5OS\n")
    assert (parsed.origin, parsed.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.body(parsed.origin, parsed.size, parsed.root) == C2SP_BODY
    assert len(signatures) == 1


def test_signed_checkpoint_verifies_and_other_signatures_are_ignored() -> None:
    head, _ = signed_tree()
    assert checkpoint.verify(head.note, key=VKEY) == head
    cosigned = head.note + "— witness.example " + "A" * 96 + "\n"
    assert checkpoint.verify(cosigned, key=VKEY).root == head.root


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n9\n", "\n8\n"),
        ("\n9\n", "\n09\n"),
        ("seal.example/log\n9", "other.example/log\n9"),
        ("\n9\n", "\n9\n\t"),
        ("\n\n", "\n"),
        ("— seal.example/log ", "— seal.example/log  "),
        ("— seal", "- seal"),
        ("=\n\n", "\n\n"),
    ],
)
def test_changed_checkpoint_is_refused(old: str, new: str) -> None:
    head, _ = signed_tree()
    assert old in head.note
    with pytest.raises(BadCheckpoint):
        checkpoint.verify(head.note.replace(old, new, 1), key=VKEY)


def test_checkpoint_of_another_key_or_log_is_refused() -> None:
    head, _ = signed_tree()
    for key in (VerifierKey(name=VKEY.name, public_key=bytes(32)), VerifierKey(name="x", public_key=KEY.public_key)):
        with pytest.raises(BadCheckpoint):
            checkpoint.verify(head.note, key=key)


@pytest.mark.parametrize("name", ["", "two words", "plus+sign", "line\nbreak"])
def test_name_that_a_note_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(BadCheckpoint):
        checkpoint.sign(name, 1, bytes(32), key=KEY)


def test_origin_is_the_public_address_without_scheme() -> None:
    assert checkpoint.origin_of("https://seal.example:8444") == "seal.example:8444/log"


@pytest.mark.parametrize("index", range(9))
def test_every_leaf_has_a_proof_text_that_verifies(index: int) -> None:
    found = proof.verify(proof_text(index), leaf=LEAVES[index], key=VKEY)
    assert (found.index, found.checkpoint.size) == (index, 9)
    assert found.text() == proof_text(index)


def test_extra_line_is_skipped() -> None:
    text = proof_text(3).replace("index 3", "extra YWdl\nindex 3")
    assert proof.verify(text, leaf=LEAVES[3], key=VKEY).index == 3


def test_proof_text_with_any_byte_changed_proves_nothing(rng: random.Random) -> None:
    text = proof_text(5)
    for _ in range(300):
        at = rng.randrange(len(text))
        changed = text[:at] + rng.choice("0A+/=\n x—") + text[at + 1 :]
        if changed == text:
            continue
        with pytest.raises(BadProof):
            proof.verify(changed, leaf=LEAVES[5], key=VKEY)


@given(st.text(max_size=300))
def test_any_text_is_refused_with_our_own_error(text: str) -> None:
    for candidate in (text, f"{proof.FIRST_LINE}\n{text}", f"{proof.FIRST_LINE}\nindex 0\n\n{text}"):
        with pytest.raises(BadProof):
            proof.verify(candidate, leaf=b"x", key=VKEY)
    with pytest.raises(BadCheckpoint):
        checkpoint.verify(text, key=VKEY)
    with pytest.raises(BadCheckpoint):
        VerifierKey.parse(text)
