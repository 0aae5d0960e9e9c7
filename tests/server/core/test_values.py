"""Ids, clocks, scope, settings, languages."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import Column, MetaData, String, Table, Uuid, create_engine, insert, select

from server.core import i18n
from server.core.clock import FixedClock, SystemClock
from server.core.ids import new_id
from server.core.rng import SeededRng, SystemRng
from server.core.scope import MalformedBranchPath, Role, Scope
from server.core.settings import Settings

TENANT, OTHER = UUID(int=1), UUID(int=2)


def test_ids_are_version_7_unique_and_in_the_order_of_time(seed: int) -> None:
    clock, rng = FixedClock(datetime(2026, 11, 21, 22, 0, tzinfo=UTC)), SeededRng(seed)
    ids = []
    for _step in range(500):
        ids.append(new_id(clock, rng))
        clock.advance(timedelta(microseconds=250))
    assert ids == sorted(set(ids))
    assert {(value.version, value.variant) for value in ids} == {(7, "specified in RFC 4122")}
    assert ids[0].int >> 80 == int(datetime(2026, 11, 21, 22, 0, tzinfo=UTC).timestamp() * 1000)


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock()
    start = clock.now()
    clock.advance(90)
    assert (clock.now() - start, clock.monotonic()) == (timedelta(seconds=90), 90.0)
    clock.set(start - timedelta(days=3))
    assert (clock.now(), clock.monotonic()) == (start - timedelta(days=3), 90.0)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_the_system_clock_is_aware_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_seeded_bytes_repeat_and_system_bytes_do_not() -> None:
    assert SeededRng(5).token_bytes(100) == SeededRng(5).token_bytes(100)
    assert SeededRng(5).token_bytes(40) != SeededRng(6).token_bytes(40)
    assert SystemRng().token_bytes(16) != SystemRng().token_bytes(16)


def scope(path: str, *roles: Role) -> Scope:
    return Scope(tenant_id=TENANT, branch_path=path, person_id=UUID(int=9), roles=frozenset(roles))


def test_scope_filters_by_tenant_and_exact_subtree() -> None:
    table = Table("thing", MetaData(), Column("tenant_id", Uuid), Column("branch_path", String))
    rows = ["/", "/spain/", "/spain/madrid/", "/SPAIN/", "/spain2/", "/sp%in/", "/españa/"]
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table), [{"tenant_id": TENANT, "branch_path": path} for path in rows])
        connection.execute(insert(table), {"tenant_id": OTHER, "branch_path": "/spain/"})

        def seen(who: Scope) -> list[str]:
            return list(connection.scalars(select(table.c.branch_path).where(who.owns(table.c))))

        assert seen(Scope.system(TENANT)) == rows
        assert seen(scope("/spain/")) == ["/spain/", "/spain/madrid/"]
        assert seen(scope("/sp%in/")) == ["/sp%in/"]
        assert seen(Scope.system(OTHER)) == ["/spain/"]
        for path in ("/spain/", "/españa/"):
            assert seen(scope(path)) == [row for row in rows if scope(path).covers(row)]
    engine.dispose()


@pytest.mark.parametrize("path", ["", "spain/", "/spain", "//", "/a//b/", "/a\n/"])
def test_a_malformed_branch_path_is_refused(path: str) -> None:
    with pytest.raises(MalformedBranchPath):
        scope(path)


def test_roles_are_asked_by_name() -> None:
    clerk = scope("/", Role.REQUESTER)
    assert clerk.has(Role.REQUESTER, Role.AUDITOR)
    assert not clerk.has(Role.APPROVER)
    assert Scope.system(TENANT).is_system


def test_settings_come_from_environment_then_file_then_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.env").write_text('CINNABAR_HOST="seal.example"\nCINNABAR_WEB_PORT=1111\n')
    monkeypatch.setenv("CINNABAR_WEB_PORT", "2222")
    settings = Settings.load(tmp_path)
    assert (settings.host, settings.web_port, settings.home) == ("seal.example", 2222, tmp_path)
    assert settings.public_url == "https://seal.example:8444"
    assert settings.database_url == f"sqlite:///{tmp_path / 'data.db'}"
    assert settings.broker_address == ("127.0.0.1", 18883)


@pytest.mark.parametrize("wrong", [{"public_url": "http://x"}, {"database_url": "sqlite://"}, {"language": "fr"}])
def test_settings_that_cannot_work_are_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(home=tmp_path, **wrong)


def test_a_passphrase_does_not_show_when_settings_are_printed(tmp_path: Path) -> None:
    assert "canary" not in repr(Settings(home=tmp_path, key_passphrase="canary"))


@pytest.mark.parametrize(
    ("cookie", "header", "chosen"),
    [
        ("zh", "es", "zh"),
        ("xx", "es-ES,en;q=0.5", "es"),
        (None, "fr, en;q=0.2, zh;q=0.9", "zh"),
        (None, "es;q=0", "en"),
        (None, "es;q=nonsense", "en"),
        (None, None, "en"),
    ],
)
def test_language_is_cookie_then_browser_then_default(cookie: str | None, header: str | None, chosen: str) -> None:
    assert i18n.choose_language(cookie=cookie, accept_language=header, default="en") == chosen


def test_a_catalogue_is_compiled_when_it_is_newer_than_its_translation(tmp_path: Path) -> None:
    folder = tmp_path / "es" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: es\\n"\n'
        '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
        'msgid "Approve"\nmsgstr "Aprobar"\n\n'
        'msgid "one copy"\nmsgid_plural "%(n)s copies"\nmsgstr[0] "una copia"\nmsgstr[1] "%(n)s copias"\n'
    )
    found = i18n.translations("es", tmp_path)
    assert found.gettext("Approve") == "Aprobar"
    assert found.ngettext("one copy", "%(n)s copies", 2) == "%(n)s copias"
    assert found.gettext("Not in the catalogue") == "Not in the catalogue"
    assert (folder / "messages.mo").is_file()
    i18n.translations.cache_clear()
    assert i18n.translations("es", tmp_path).gettext("Approve") == "Aprobar"


def test_a_language_lasts_for_its_block() -> None:
    label = i18n.lazy("Approve")
    with i18n.in_language("zh"):
        assert i18n.language() == "zh"
        with i18n.in_language("fr"):
            assert i18n.language() == "en"
    assert (i18n.language(), str(label)) == ("en", "Approve")
