"""Companions: their fixes do what they say and can be taken back; what the configuration declares, and what is inferred."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from auditor.audit import Audit
from auditor.catalog.model import Statement
from auditor.check import Confidence, Finding, Fix, Severity
from auditor.companion_remedies import REPLACE
from auditor.errors import ConfigError
from tests.conftest import Make
from tests.helpers import audit, login, titles

CASES = sorted((Path(__file__).parent / "checks" / "companions").glob("*.sql"))
FAMILY = ("companions",)

# Incidents 1 and 3: a vault without key of its own on credential_id, states that have to agree, a trigger for all events.
INCIDENT = """
CREATE TABLE project_credentials (
    id int PRIMARY KEY, is_active boolean NOT NULL DEFAULT true, revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now() - interval '1 day');
CREATE TABLE credential_vault_storage (
    id serial PRIMARY KEY, credential_id int NOT NULL REFERENCES project_credentials, vault_id text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz);
CREATE FUNCTION sync_vault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO credential_vault_storage (credential_id, vault_id) VALUES (NEW.id, 'vault-' || NEW.id);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE credential_vault_storage SET deleted_at = NEW.revoked_at WHERE credential_id = NEW.id;
    ELSE
        DELETE FROM credential_vault_storage WHERE credential_id = OLD.id;
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER trigger_sync_credential_vault_storage AFTER INSERT OR UPDATE ON project_credentials
    FOR EACH ROW EXECUTE FUNCTION sync_vault();
CREATE TRIGGER trigger_remove_credential_vault_storage BEFORE DELETE ON project_credentials
    FOR EACH ROW EXECUTE FUNCTION sync_vault();
INSERT INTO project_credentials (id) SELECT generate_series(1, 100);
"""
CONFIG = """
[[companion]]
of = "project_credentials"
where = "is_active AND revoked_at IS NULL"
in = "credential_vault_storage(credential_id)"
exactly_one = true
grace = "10 minutes"
created_at = "created_at"
same_state = ["revoked_at IS NULL = deleted_at IS NULL"]
trigger = "trigger_sync_credential_vault_storage"
"""


def by_check(result: Audit) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in result.findings:
        found.setdefault(finding.check.partition("/")[2], []).append(finding)
    return found


def run(dsn: str, statements: tuple[str, ...]) -> None:
    """Runs a fix as a reader would paste it: statement by statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def config_of(text: str) -> str:
    return "\n".join(re.findall(r"^-- config: ?(.*)", text, re.MULTILINE))


@pytest.mark.fixes
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_fix_ends_its_finding_and_its_rollback_brings_it_back(path: Path, database: Make, version: int) -> None:
    since = int(path.stem.partition(".")[2] or 0)
    if version < since:
        pytest.skip(f"for PostgreSQL {since} and later")
    text = path.read_text(encoding="utf-8")
    dsn, config = database(text), config_of(text)

    def found() -> dict[str, str]:
        result = audit(dsn, config, select=FAMILY)
        return {finding.fingerprint: finding.title for finding in result.findings}

    result = audit(dsn, config, select=FAMILY)
    before = found()
    tried = 0
    for finding in result.findings:
        assert [fix.recommended for fix in finding.fixes] == [True] + [False] * (len(finding.fixes) - 1), finding.title
        for fix in finding.fixes:
            assert all(statement.endswith(";") and "\n" not in statement for statement in (*fix.sql, *fix.rollback))
            assert fix.locks
            if wants_a_human(finding, fix):
                continue
            try:
                run(dsn, fix.sql)
            except psycopg.errors.ForeignKeyViolation:  # what the caveat says
                assert "follow their own ON DELETE action" in fix.caveats[0]
                run(dsn, fix.rollback[-1:])
                continue
            after = found()
            if "missing-companion" not in finding.check or "trigger" not in fix.title:
                assert finding.fingerprint not in after, (fix.title, fix.sql)
            run(dsn, fix.rollback)
            tried += 1
            if not fix.rollback or re.search("INSERT fires|nothing to roll back by", " ".join(fix.caveats)):
                assert fix.caveats
                dsn = database(text)
            assert found() == before, (fix.title, fix.rollback)
    assert tried


def wants_a_human(finding: Finding, fix: Fix) -> bool:
    """Whether the fix has something to fill in first, and says so."""
    return any(REPLACE in statement for statement in fix.sql) or "Fill the column in first" in " ".join(fix.caveats)


def test_the_pair_of_the_incident_is_clean_as_long_as_its_trigger_works(database: Make) -> None:
    assert titles(audit(database(INCIDENT), CONFIG, select=FAMILY)) == []


def test_incident_one_says_which_are_missing_doubled_contradicting_and_whether_the_trigger_fires(
    database: Make,
) -> None:
    dsn = database(
        INCIDENT,
        """
        ALTER TABLE project_credentials DISABLE TRIGGER trigger_sync_credential_vault_storage;
        INSERT INTO project_credentials (id) SELECT generate_series(101, 107);
        UPDATE project_credentials SET revoked_at = now() WHERE id <= 3;
        UPDATE credential_vault_storage SET deleted_at = now() WHERE credential_id IN (10, 11);
        INSERT INTO credential_vault_storage (credential_id, vault_id) VALUES (20, 'again'), (21, 'again 21');
        """,
    )
    found = by_check(audit(dsn, CONFIG, select=FAMILY))
    assert {name: [finding.title for finding in findings] for name, findings in found.items()} == {
        "missing-companion": [
            "7 of 104 rows of public.project_credentials that need a row in public.credential_vault_storage have none"
        ],
        "companion-state-drift": [
            "3 rows of public.project_credentials contradict their rows in public.credential_vault_storage:"
            " not (revoked_at IS NULL) here, (deleted_at IS NULL) there",
            "2 rows of public.project_credentials contradict their rows in public.credential_vault_storage:"
            " (revoked_at IS NULL) here, not (deleted_at IS NULL) there",
        ],
        "duplicate-companion": [
            "public.credential_vault_storage holds 4 live rows for 2 values of credential_id, where one each is due"
        ],
        "sync-trigger-missing": [
            "The trigger trigger_sync_credential_vault_storage of public.project_credentials, which keeps"
            " public.credential_vault_storage in step, is disabled"
        ],
    }
    every = [finding for findings in found.values() for finding in findings]
    assert {(finding.severity, finding.confidence) for finding in every} == {(Severity.ERROR, Confidence.PROVEN)}
    assert len({finding.fingerprint for finding in every}) == 5
    sample = found["missing-companion"][0].evidence
    assert sample is not None
    assert [row["id"] for row in sample.sample] == [str(n) for n in range(101, 108)]


def test_the_backfill_changes_nothing_until_a_human_filled_in_what_cannot_be_guessed(database: Make) -> None:
    dsn = database(INCIDENT, "DELETE FROM credential_vault_storage WHERE credential_id > 95")
    (finding,) = audit(dsn, CONFIG, select=FAMILY).findings
    fix = finding.fixes[0]
    assert fix.recommended
    assert f"NULL /* {REPLACE} with vault_id: text, not null */" in fix.sql[1]
    assert "vault_id" in fix.caveats[0]
    with pytest.raises(psycopg.errors.NotNullViolation):
        run(dsn, fix.sql)
    run(dsn, fix.rollback)
    filled = tuple(re.sub(r"NULL /\* REPLACE.*?\*/", "'restored-' || project_credentials.id", s) for s in fix.sql)
    run(dsn, filled)
    assert titles(audit(dsn, CONFIG, select=FAMILY)) == []
    run(dsn, fix.rollback)
    assert titles(audit(dsn, CONFIG, select=FAMILY)) == [finding.title]


def test_rows_are_judged_when_the_grace_period_is_over(database: Make) -> None:
    dsn = database(
        INCIDENT,
        "INSERT INTO project_credentials (id, created_at) VALUES (200, now() - interval '9 minutes');"
        "DELETE FROM credential_vault_storage WHERE credential_id = 200",
    )
    assert titles(audit(dsn, CONFIG, select=FAMILY)) == []
    assert titles(audit(dsn, CONFIG.replace("10 minutes", "8 minutes"), select=FAMILY)) == [
        "1 of 101 rows of public.project_credentials that need a row in public.credential_vault_storage has none"
    ]


def test_the_created_trigger_keeps_the_pair_together(database: Make) -> None:
    schema = """
        CREATE TABLE users (id int PRIMARY KEY, is_active boolean NOT NULL DEFAULT true, deleted_at timestamptz);
        CREATE TABLE logins (found int NOT NULL REFERENCES users, deleted_at timestamptz, "$sync$" int);
        """
    config = """
        [[companion]]
        of = "users"
        where = "is_active"
        in = "logins(found)"
        same_state = ["deleted_at IS NULL = deleted_at IS NULL"]
        trigger = "keep"
        """
    dsn = database(schema)
    (finding,) = audit(dsn, config, select=FAMILY).findings
    assert finding.title == "public.users has no trigger keep, which should keep public.logins in step"
    run(dsn, finding.fixes[0].sql)
    assert titles(audit(dsn, config, select=FAMILY)) == []
    with psycopg.connect(dsn, autocommit=True) as connection:

        def logins() -> list[tuple[object, ...]]:
            return connection.execute("SELECT found, deleted_at IS NULL FROM logins ORDER BY found").fetchall()

        connection.execute("INSERT INTO users VALUES (1, true), (2, true), (3, false)")
        assert logins() == [(1, True), (2, True)]
        connection.execute("UPDATE users SET deleted_at = now() WHERE id = 1")
        assert logins() == [(1, False), (2, True)]
        connection.execute("UPDATE users SET deleted_at = NULL")
        assert logins() == [(1, True), (2, True)]
        connection.execute("DELETE FROM users WHERE id = 1")
        assert logins() == [(2, True)]
    assert titles(audit(dsn, config, select=FAMILY)) == []


def test_inferred_companions_are_suspected_and_the_message_says_how_many_have_theirs(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users);
        INSERT INTO users SELECT generate_series(1, 5000);
        INSERT INTO profiles SELECT generate_series(20, 5000);
        """
    )
    (finding,) = audit(dsn, select=FAMILY).findings
    assert (finding.severity, finding.confidence) == (Severity.WARNING, Confidence.SUSPECTED)
    assert finding.title == "19 rows of public.users have no row in public.profiles, while 4,981 have theirs"
    assert "4,981 of 5,000 rows of public.users have their row in public.profiles (user_id); these 19 have none." in (
        finding.message
    )
    declared = '[[companion]]\nof = "users"\nin = "profiles(user_id)"'
    (finding,) = audit(dsn, declared, select=FAMILY).findings
    assert (finding.severity, finding.confidence) == (Severity.ERROR, Confidence.PROVEN)


@pytest.mark.parametrize(
    ("users", "profiles", "reported"), [(20, 19, True), (19, 18, False), (100, 95, True), (100, 94, False)]
)
def test_a_relation_is_a_rule_when_95_percent_of_at_least_20_rows_follow_it(
    database: Make, users: int, profiles: int, reported: bool
) -> None:
    dsn = database(
        f"""
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users);
        INSERT INTO users SELECT generate_series(1, {users});
        INSERT INTO profiles SELECT generate_series(1, {profiles});
        """
    )
    assert bool(audit(dsn, select=FAMILY).findings) is reported


def test_sql_handed_over_tells_a_companion_too(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE quotas (id serial PRIMARY KEY, user_id int REFERENCES users, n int);
        INSERT INTO users SELECT generate_series(1, 40);
        INSERT INTO quotas (user_id) SELECT generate_series(2, 40);
        """
    )
    assert titles(audit(dsn, select=FAMILY)) == []
    upsert = "INSERT INTO quotas (user_id, n) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET n = excluded.n;"
    (finding,) = audit(dsn, "", (Statement("app.sql", 7, upsert),), select=FAMILY).findings
    assert finding.title == "1 row of public.users has no row in public.quotas, while 39 have theirs"
    assert "app.sql:7 writes it with ON CONFLICT (user_id)" in finding.message


def test_two_large_tables_over_one_key_are_companions_and_not_subtypes(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users);
        CREATE TABLE settings (user_id int PRIMARY KEY REFERENCES users);
        INSERT INTO users SELECT generate_series(1, 100);
        INSERT INTO profiles SELECT generate_series(3, 100);
        INSERT INTO settings SELECT generate_series(1, 100);
        """,
        "ANALYZE",
    )
    assert titles(audit(dsn, select=FAMILY)) == [
        "2 rows of public.users have no row in public.profiles, while 98 have theirs"
    ]


ORPHANED = """
    CREATE TABLE credentials (id int PRIMARY KEY);
    CREATE TABLE vault (id int PRIMARY KEY, credential_id int);
    INSERT INTO credentials SELECT generate_series(1, 5);
    INSERT INTO vault SELECT n, n FROM generate_series(1, 7) AS n;
    """
PAIR = '[[companion]]\nof = "credentials"\nin = "vault(credential_id)"'


def test_companion_rows_without_their_row_are_orphans_of_the_relation_once(database: Make) -> None:
    dsn = database(ORPHANED)
    orphans = "2 rows of public.vault point to 2 rows of public.credentials that do not exist"
    assert titles(audit(dsn, PAIR, select=("companions", "references"))) == [orphans]
    declared = PAIR + '\n[[reference]]\nfrom = "vault(credential_id)"\nto = "credentials(id)"'
    assert titles(audit(dsn, declared, select=("companions", "references/orphan-rows"))) == [orphans]
    run(dsn, ("ALTER TABLE vault ADD FOREIGN KEY (credential_id) REFERENCES credentials NOT VALID",))
    assert titles(audit(dsn, PAIR, select=("companions", "references/orphan-rows"))) == [orphans]


def test_companion_rows_that_the_configuration_calls_deleted_are_no_orphans(database: Make) -> None:
    dsn = database(ORPHANED, "ALTER TABLE vault ADD gone boolean; UPDATE vault SET gone = true WHERE id = 7")
    configured = '[soft_delete]\ncolumns = { gone = "IS TRUE" }\n' + PAIR
    assert titles(audit(dsn, configured, select=("companions", "references/orphan-rows"))) == [
        "1 row of public.vault points to 1 row of public.credentials that does not exist"
    ]


def test_a_row_that_names_a_missing_companion_is_reported_once(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE secrets (id int PRIMARY KEY);
        CREATE TABLE keys (id int PRIMARY KEY, secret_id int NOT NULL);
        INSERT INTO keys VALUES (1, 1);
        ALTER TABLE keys ADD FOREIGN KEY (secret_id) REFERENCES secrets NOT VALID;
        """
    )
    config = '[[companion]]\nof = "keys(secret_id)"\nin = "secrets(id)"'
    (finding,) = audit(dsn, config, select=("companions", "references/orphan-rows")).findings
    assert finding.check == "companions/missing-companion"


def test_a_companion_that_nothing_names_is_an_orphan_and_no_missing_companion_of_its_own(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE secrets (id int PRIMARY KEY);
        CREATE TABLE keys (id int PRIMARY KEY, secret_id int NOT NULL UNIQUE REFERENCES secrets);
        INSERT INTO secrets SELECT generate_series(1, 100);
        INSERT INTO keys SELECT n, n FROM generate_series(1, 99) AS n;
        """
    )
    config = '[[companion]]\nof = "keys(secret_id)"\nin = "secrets(id)"'
    (finding,) = audit(dsn, config, select=("companions", "references/orphan-rows")).findings
    assert finding.check == "references/orphan-rows"


def test_of_several_ended_companions_only_the_newest_comes_back(database: Make) -> None:
    dsn = database(
        INCIDENT,
        """
        UPDATE credential_vault_storage SET deleted_at = now() WHERE credential_id = 7;
        INSERT INTO credential_vault_storage (credential_id, vault_id, created_at, deleted_at)
        VALUES (7, 'newest', now() + interval '1 day', now()), (7, 'oldest', now() - interval '1 day', now());
        """,
    )
    (finding,) = audit(dsn, CONFIG, select=FAMILY).findings
    assert finding.fixes[0].title == "Let public.credential_vault_storage follow public.project_credentials"
    run(dsn, finding.fixes[0].sql)
    assert titles(audit(dsn, CONFIG, select=FAMILY)) == []
    with psycopg.connect(dsn) as connection:
        live = "SELECT vault_id FROM credential_vault_storage WHERE credential_id = 7 AND deleted_at IS NULL"
        assert connection.execute(live).fetchall() == [("newest",)]


def test_a_companion_that_an_index_keeps_single_is_not_read(database: Make) -> None:
    dsn = database(INCIDENT, "ALTER TABLE credential_vault_storage ADD UNIQUE (credential_id)")
    result = audit(dsn, CONFIG, select=("companions/duplicate-companion",))
    assert [(entry.outcome, entry.strategy) for entry in result.coverage] == [("passed", None)]


def test_the_key_of_a_companion_is_what_its_foreign_key_references(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE users (id int PRIMARY KEY, code text NOT NULL UNIQUE);
        CREATE TABLE cards (id int PRIMARY KEY, user_code text REFERENCES users (code));
        INSERT INTO users VALUES (1, 'a'), (2, 'b');
        INSERT INTO cards VALUES (1, 'b');
        """
    )
    result = audit(dsn, '[[companion]]\nof = "users"\nin = "cards(user_code)"', select=FAMILY)
    assert titles(result) == ["1 of 2 rows of public.users that need a row in public.cards has none"]


def test_a_login_that_may_not_read_the_vault_hears_that_it_was_not_checked(database: Make) -> None:
    dsn = database(INCIDENT)
    reader = login(dsn, "GRANT SELECT ON project_credentials TO {role}")
    result = audit(reader, CONFIG, select=("companions/missing-companion",))
    assert result.findings == ()
    assert {(entry.outcome, entry.reason) for entry in result.coverage} == {("not_checked", "permission")}


def test_a_clean_pair_is_in_the_coverage_of_every_check(database: Make) -> None:
    result = audit(database(INCIDENT), CONFIG, select=FAMILY)
    assert {entry.check.partition("/")[2] for entry in result.coverage if entry.outcome == "passed"} == {
        "missing-companion",
        "duplicate-companion",
        "companion-state-drift",
        "sync-trigger-missing",
    }


def test_hostile_names_stay_names_in_titles_and_fixes(database: Make) -> None:
    own, key, text = 'a*/b"; DROP TABLE x; --\n\x1b[31m%s', "/* {} $sync$ 'k", "v*/ \u202eleft"

    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    dsn = database(
        f"""
        CREATE TABLE {quoted(own)} ({quoted(key)} int PRIMARY KEY, deleted_at timestamptz);
        CREATE TABLE {quoted(text)} (
            id serial PRIMARY KEY, {quoted(key)} int UNIQUE REFERENCES {quoted(own)}, {quoted(text)} text NOT NULL,
            deleted_at timestamptz);
        INSERT INTO {quoted(own)} SELECT n, CASE WHEN n = 3 THEN now() END FROM generate_series(1, 40) AS n;
        INSERT INTO {quoted(text)} ({quoted(key)}, {quoted(text)}, deleted_at)
            SELECT n, 'x', CASE WHEN n = 5 THEN now() END FROM generate_series(2, 40) AS n;
        """
    )
    findings = audit(dsn, select=FAMILY).findings
    assert len(findings) == 3
    for finding in findings:
        assert finding.title.isprintable()
        for fix in finding.fixes:
            assert all("\n" not in statement and "\x1b" not in statement for statement in fix.sql)
            filled = tuple(re.sub(r"NULL /\* REPLACE.*? not null \*/", "'x'", statement) for statement in fix.sql)
            run(dsn, filled)
            if "trigger" not in fix.title:
                left = {other.fingerprint for other in audit(dsn, select=FAMILY).findings}
                assert finding.fingerprint not in left
            run(dsn, fix.rollback)
            assert len(audit(dsn, select=FAMILY).findings) == 3


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('of = "users"\nin = "cards(user_id)"\nsame_state = ["a = b = c"]', "joined by one ="),
        ('of = "users"\nin = "cards(user_id)"\nsame_state = ["id > 0"]', "joined by one ="),
        (
            'of = "users"\nin = "cards(user_id)"\nsame_state = ["id > 0 = nothing > 0"]',
            "is no condition over public.cards",
        ),
        ('of = "bare"\nin = "cards(user_id)"', "public.bare has no key and in names (user_id); write of = "),
        ('of = "users"\nin = "cards(label)"', "values of these types are never equal"),
        ('of = "users"\nin = "cards(user_id)"\ngrace = "1 day"', "grace needs created_at"),
        (
            'of = "users"\nin = "cards(user_id)"\ngrace = "soon"\ncreated_at = "born"',
            "is no condition over public.users",
        ),
        ('of = "users"\nin = "cards(user_idd)"', "did you mean user_id?"),
    ],
)
def test_an_entry_that_does_not_fit_the_database_is_refused_in_one_line(database: Make, entry: str, said: str) -> None:
    dsn = database(
        "CREATE TABLE users (id int PRIMARY KEY, born timestamptz); CREATE TABLE bare (id int);"
        "CREATE TABLE cards (user_id int, label text)"
    )
    with pytest.raises(ConfigError) as refused:
        audit(dsn, f"[[companion]]\n{entry}", select=FAMILY)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_which_rows_are_eligible_is_shown_and_so_is_how_many_of_the_others_have_one(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE credentials (id int PRIMARY KEY, is_active boolean NOT NULL, revoked_at timestamptz);
        CREATE TABLE vault (id int PRIMARY KEY, credential_id int NOT NULL UNIQUE REFERENCES credentials);
        INSERT INTO credentials SELECT n, n % 50 > 0, CASE WHEN n > 5100 THEN now() END FROM generate_series(1, 5200) AS n;
        INSERT INTO vault SELECT n, n FROM generate_series(20, 5050) AS n;
        """
    )
    (finding,) = audit(dsn, select=FAMILY).findings
    assert finding.message.startswith(
        "4,930 of 4,998 eligible rows of public.credentials (revoked_at IS NULL AND is_active IS TRUE) have their row in"
        " public.vault (credential_id); these 68 have none. Of 202 rows that are not 101 have one. Nobody declared"
    )
    assert finding.evidence is not None
    assert finding.evidence.violations == 68
    run(dsn, ("DELETE FROM credentials WHERE id > 5050 AND is_active AND revoked_at IS NULL",))
    assert titles(audit(dsn, select=FAMILY)) == [
        "19 rows of public.credentials have no row in public.vault, while 4,930 have theirs"
    ]


def test_which_rows_need_a_companion_is_learned_from_those_that_have_one(database: Make) -> None:
    dsn = database(
        """
        CREATE TABLE carts (id int PRIMARY KEY, status text NOT NULL);
        CREATE TABLE invoices (id serial PRIMARY KEY, cart_id int NOT NULL UNIQUE REFERENCES carts);
        INSERT INTO carts SELECT n, CASE WHEN n <= 40 THEN 'paid' WHEN n <= 80 THEN 'sent' ELSE 'draft' END FROM generate_series(1, 200) AS n;
        INSERT INTO invoices (cart_id) SELECT generate_series(2, 100);
        """
    )
    (finding,) = audit(dsn, select=FAMILY).findings
    assert (finding.severity, finding.confidence) == (Severity.WARNING, Confidence.SUSPECTED)
    assert finding.message.startswith(
        "79 of 80 eligible rows of public.carts (status = 'paid' OR status = 'sent') have their row in public.invoices"
        " (cart_id); this one has none. Of 120 rows that are not 20 have one. Which rows need one was learned from that."
    )
    assert [fix.title for fix in finding.fixes] == [
        "Create the missing rows of public.invoices",
        "Delete the incomplete rows of public.carts, keeping a copy",
    ]
    assert finding.evidence is not None
    with psycopg.connect(dsn) as connection:
        found = connection.execute(f"SELECT id FROM public.carts WHERE {finding.evidence.where}".encode()).fetchall()
    assert found == [(1,)]
    run(dsn, finding.fixes[0].sql)
    assert titles(audit(dsn, select=FAMILY)) == []
    run(dsn, finding.fixes[0].rollback)
    assert titles(audit(dsn, select=FAMILY)) == [finding.title]
    # More words than that are no states.
    run(dsn, ("UPDATE carts SET status = id::text WHERE id > 190",))
    assert titles(audit(dsn, select=FAMILY)) == []
