"""Files by the SHA-256 of their plain bytes; each encrypted under its own key, so that erasing the key erases the file.

Order of writing: object (durable), then row (in the caller's transaction). A crash between the two leaves an object
without a row, which `sweep` removes; never a row without its object.

A digest is not a permission: a slice asks for one only after its own row, filtered by `Scope`, has named it; here the
filter is the tenant.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlmodel import Session, col, select

from server.blobs import envelope
from server.blobs.envelope import EnvelopeBroken
from server.blobs.errors import BlobDamaged, BlobErased, BlobMissing, BlobTooLarge, DigestMismatch, WrongOffset
from server.blobs.models import Blob, BlobUpload
from server.blobs.objects import ObjectExists, ObjectMissing, Objects
from server.core.clock import Clock
from server.core.db import after_commit
from server.core.ids import new_id
from server.core.keyfile import KeyUnreadable
from server.core.keystore import KeyStore
from server.core.rng import Rng
from server.core.scope import Scope

MAX_BLOB_BYTES: Final = 64 * 1024 * 1024
"""Largest file: a long scanned contract is about 30 MB; whole files are held in memory while they are encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A file that is durable on disk but has no row yet."""

    digest: bytes
    size: int
    media_type: str
    location: str
    wrapped_key: bytes


class Blobs:
    """The `BlobStore` of `server.core.runtime`. Thread-safe."""

    def __init__(self, objects: Objects, *, keys: KeyStore, rng: Rng, clock: Clock) -> None:
        self._objects = objects
        self._keys = keys
        self._rng = rng
        self._clock = clock

    def stage(self, data: bytes, media_type: str) -> Staged:
        """The slow half of `put`: encrypt and write. Call it before a write session where the file is large.

        Raises: BlobTooLarge.
        """
        _check_size(len(data))
        location = new_id(self._clock, self._rng).hex
        key = self._rng.token_bytes(32)
        self._objects.create(_object_name(location), envelope.encrypt(data, key))
        return Staged(
            digest=hashlib.sha256(data).digest(),
            size=len(data),
            media_type=media_type,
            location=location,
            wrapped_key=self._keys.wrap(key, context=location.encode(), rng=self._rng),
        )

    def record(self, db: Session, staged: Staged, *, scope: Scope) -> bytes:
        """The quick half of `put`: the row. Returns the digest."""
        existing = self._row(db, staged.digest, scope)
        if existing is None:
            db.add(
                Blob(
                    id=new_id(self._clock, self._rng),
                    created_at=self._clock.now(),
                    tenant_id=scope.tenant_id,
                    digest=staged.digest,
                    size=staged.size,
                    media_type=staged.media_type,
                    location=staged.location,
                    wrapped_key=staged.wrapped_key,
                )
            )
            db.flush()
        elif existing.wrapped_key is None:  # erased once, brought back by someone who has the file
            existing.location, existing.wrapped_key = staged.location, staged.wrapped_key
            existing.media_type, existing.erased_at = staged.media_type, None
            db.add(existing)
            db.flush()
        return staged.digest

    def put(self, db: Session, data: bytes, media_type: str, *, scope: Scope) -> bytes:
        """Store `data`; returns its 32-byte digest. The same bytes again in a tenant change nothing.

        Raises: BlobTooLarge.
        """
        existing = self._row(db, hashlib.sha256(data).digest(), scope)
        if existing is not None and existing.wrapped_key is not None:
            return existing.digest
        return self.record(db, self.stage(data, media_type), scope=scope)

    def get(self, db: Session, digest: bytes, *, scope: Scope) -> bytes:
        """The plain bytes, checked against the digest.

        Raises: BlobMissing, BlobErased, BlobDamaged.
        """
        row = self._existing(db, digest, scope)
        if row.wrapped_key is None:
            raise BlobErased
        try:
            key = self._keys.unwrap(row.wrapped_key, context=row.location.encode())
            plain = envelope.decrypt(self._objects.read(_object_name(row.location)), key)
        except (ObjectMissing, EnvelopeBroken, KeyUnreadable) as error:
            raise BlobDamaged(digest=digest.hex()) from error
        if hashlib.sha256(plain).digest() != digest:
            raise BlobDamaged(digest=digest.hex())
        return plain

    def exists(self, db: Session, digest: bytes, *, scope: Scope) -> bool:
        """Whether the bytes are here and readable (not erased)."""
        row = self._row(db, digest, scope)
        return row is not None and row.wrapped_key is not None

    def media_type(self, db: Session, digest: bytes, *, scope: Scope) -> str:
        """Raises: BlobMissing."""
        return self._existing(db, digest, scope).media_type

    def erase(self, db: Session, digest: bytes, *, scope: Scope) -> None:
        """Destroy the record key; the object itself goes after the commit. Erasing twice changes nothing.

        Raises: BlobMissing.
        """
        row = self._existing(db, digest, scope)
        if row.wrapped_key is None:
            return
        location = row.location
        row.wrapped_key, row.erased_at = None, self._clock.now()
        db.add(row)
        db.flush()
        after_commit(db, lambda: self._objects.delete([_object_name(location)]))

    def begin(self, db: Session, digest: bytes, size: int, media_type: str, *, scope: Scope) -> int:
        """Start or resume an upload; returns the offset to send from, `size` when the file is here already.

        The caller decides first that it wants this digest (announced by a verified event, named by a request).
        An upload that began with another size starts again: one of the two sizes is wrong, and it must not stand in the
        way of the true file for ever. Raises: BlobTooLarge.
        """
        _check_size(size)
        if self.exists(db, digest, scope=scope):
            return size
        upload = self._upload(db, digest, scope)
        if upload is None:
            location = new_id(self._clock, self._rng).hex
            wrapped = self._keys.wrap(self._rng.token_bytes(32), context=location.encode(), rng=self._rng)
            upload = BlobUpload(
                id=new_id(self._clock, self._rng),
                created_at=self._clock.now(),
                tenant_id=scope.tenant_id,
                digest=digest,
                size=size,
                media_type=media_type,
                location=location,
                wrapped_key=wrapped,
            )
            db.add(upload)
            db.flush()
        elif upload.size != size:
            self._objects.delete([name for _offset, _length, name in self._parts(upload)])
            upload.size, upload.media_type = size, media_type
            db.add(upload)
            db.flush()
        return self._offset(upload)

    def append(self, db: Session, digest: bytes, offset: int, chunk: bytes, *, scope: Scope) -> int:
        """Add a chunk at exactly the current offset; returns the new one. Writes no row: a read session will do.

        Raises: BlobMissing (not begun), WrongOffset, BlobTooLarge (beyond the announced size).
        """
        upload = self._begun(db, digest, scope)
        here = self._offset(upload)
        if offset != here:
            raise WrongOffset(offset=here)
        if not chunk or here + len(chunk) > upload.size:
            raise BlobTooLarge(size=here + len(chunk), limit=upload.size)
        name = f"{_parts_prefix(upload.location)}/{offset:012d}"
        try:
            self._objects.create(name, envelope.encrypt(chunk, self._part_key(upload, name)))
        except ObjectExists as error:  # two senders at once; the other was faster
            raise WrongOffset(offset=self._offset(upload)) from error
        return self._offset(upload)

    def finish(self, db: Session, digest: bytes, *, scope: Scope) -> bytes:
        """Join the parts, check size and digest, store. Finishing a stored file again changes nothing.

        Raises: BlobMissing, WrongOffset (parts are missing), DigestMismatch (the parts are dropped).
        """
        if self.exists(db, digest, scope=scope):
            return digest
        upload = self._begun(db, digest, scope)
        parts = self._parts(upload)
        here = self._offset(upload)
        if here != upload.size:
            raise WrongOffset(offset=here)
        names = [name for _offset, _length, name in parts]
        try:
            pieces = [envelope.decrypt(self._objects.read(name), self._part_key(upload, name)) for name in names]
        except (ObjectMissing, EnvelopeBroken) as error:
            raise BlobDamaged(digest=digest.hex()) from error
        data = b"".join(pieces)
        if hashlib.sha256(data).digest() != digest:
            self._objects.delete(names)  # not in the transaction: an upload that cannot succeed starts again
            raise DigestMismatch
        self.record(db, self.stage(data, upload.media_type), scope=scope)
        db.delete(upload)
        db.flush()
        after_commit(db, lambda: self._objects.delete(names))
        return digest

    def sweep(self, db: Session, *, older_than: timedelta) -> int:
        """Remove objects that no row names, left by a crash or a rolled back transaction; returns how many."""
        limit = self._clock.now() - older_than
        known = set(db.exec(select(Blob.location))) | set(db.exec(select(BlobUpload.location)))
        orphans = [
            name
            for folder in ("objects", "parts")
            for name, _size, changed in self._objects.list(folder)
            if changed < limit and not known.intersection(name.split("/"))
        ]
        self._objects.delete(orphans)
        return len(orphans)

    def _row(self, db: Session, digest: bytes, scope: Scope) -> Blob | None:
        return db.exec(select(Blob).where(Blob.tenant_id == scope.tenant_id, Blob.digest == digest)).one_or_none()

    def _existing(self, db: Session, digest: bytes, scope: Scope) -> Blob:
        row = self._row(db, digest, scope)
        if row is None:
            raise BlobMissing
        return row

    def _upload(self, db: Session, digest: bytes, scope: Scope) -> BlobUpload | None:
        query = select(BlobUpload).where(col(BlobUpload.tenant_id) == scope.tenant_id, col(BlobUpload.digest) == digest)
        return db.exec(query).one_or_none()

    def _begun(self, db: Session, digest: bytes, scope: Scope) -> BlobUpload:
        upload = self._upload(db, digest, scope)
        if upload is None:
            raise BlobMissing
        return upload

    def _parts(self, upload: BlobUpload) -> list[tuple[int, int, str]]:
        """(offset, length, name) of the stored parts, in order."""
        return sorted(
            (int(name.rsplit("/", 1)[1]), envelope.plain_size(size), name)
            for name, size, _changed in self._objects.list(_parts_prefix(upload.location))
        )

    def _offset(self, upload: BlobUpload) -> int:
        end = 0
        for offset, length, _name in self._parts(upload):
            if offset != end:
                break
            end += length
        return end

    def _part_key(self, upload: BlobUpload, name: str) -> bytes:
        """A key of its own for each part, since the envelope's nonces start at 0."""
        key = self._keys.unwrap(upload.wrapped_key, context=upload.location.encode())
        return hashlib.blake2b(name.encode(), key=key, digest_size=32).digest()


def open_blobs(url: str, *, keys: KeyStore, rng: Rng, clock: Clock) -> Blobs:
    """The store at `url`: file:///FOLDER or s3://BUCKET/PREFIX."""
    return Blobs(Objects(url), keys=keys, rng=rng, clock=clock)


def _object_name(location: str) -> str:
    return f"objects/{location[-2:]}/{location}"


def _parts_prefix(location: str) -> str:
    return f"parts/{location}"


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_BLOB_BYTES:
        raise BlobTooLarge(size=size, limit=MAX_BLOB_BYTES)
