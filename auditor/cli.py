"""The commands; the only place that turns an error into an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from auditor.errors import AuditorError, ConfigError, UsageError

if TYPE_CHECKING:
    from auditor.audit import Audit
    from auditor.config import Settings
    from auditor.connection import Target
    from auditor.history import History


class _InterruptedError(AuditorError):
    """Stopped by a signal before a report could be written."""

    exit_code = 4


class _DiedError(AuditorError):
    """Ended by something that should not happen."""


class _Commands(TyperGroup):
    """Exit codes are the contract's. Typer's own would call an interruption, a closed pipe or a crash what 1 is for: findings."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _InterruptedError("interrupted before a report could be written") from None
        except BrokenPipeError:
            # Whoever read the output has gone; nothing is left to say, not even by the interpreter when it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_DiedError.exit_code)
        except (AuditorError, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if type(error).__module__.startswith(("click", "typer")) or os.environ.get("AUDITOR_TRACEBACK"):
                raise
            raise _DiedError(_place(error)) from None


def _place(error: Exception) -> str:
    """Where an unforeseen error came from. Its own words are not repeated: they may carry values of rows."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    file = "/".join(Path(last.filename).parts[-2:])
    state = getattr(error, "sqlstate", None)
    said = f"SQLSTATE {state}" if state else type(error).__name__
    return f"internal error: {said} in {file}, line {last.lineno}; please report it (AUDITOR_TRACEBACK=1 shows more)"


app = typer.Typer(
    name="auditor",
    cls=_Commands,
    help="Proves what is broken in a live PostgreSQL database: reads its catalog and its rows, writes nothing.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help"]},
)

Dsn = Annotated[
    str,
    typer.Argument(
        help="URI or keyword string; empty: the PG* variables, service files and .pgpass decide, as for psql."
    ),
]
Host = Annotated[str | None, typer.Option("-h", "--host", help="Host or socket directory.")]
Port = Annotated[str | None, typer.Option("-p", "--port", help="Port.")]
User = Annotated[str | None, typer.Option("-U", "--username", help="Role to log in as.")]
Name = Annotated[str | None, typer.Option("-d", "--dbname", help="Database name, or a DSN.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file.  [default: ./auditor.toml, if there]")
]
Deep = Annotated[
    str | None,
    typer.Option(
        "--depth",
        help="catalog: no user table is read; data: all that the server does not vouch for; full: that too.  [default: data]",
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="CHECK,...", help="Run only these checks or families.  [default: all]"),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="CHECK,...", help="Leave these out; wins over --select.  [default: none]"),
]
Schemas = Annotated[
    list[str] | None,
    typer.Option("-n", "--schema", metavar="PATTERN", help="Only schemas that match, as in psql.  [default: all]"),
]
NotSchemas = Annotated[
    list[str] | None,
    typer.Option("-N", "--exclude-schema", metavar="PATTERN", help="Schemas to leave out.  [default: none]"),
]
Tables = Annotated[
    list[str] | None,
    typer.Option("-t", "--table", metavar="PATTERN", help="Only tables that match.  [default: all]"),
]
NotTables = Annotated[
    list[str] | None,
    typer.Option("-T", "--exclude-table", metavar="PATTERN", help="Tables to leave out.  [default: none]"),
]
Pace = Annotated[
    str | None,
    typer.Option(
        "--pace",
        help="gentle: one connection that rests as long as it reads; normal: two, no parallel workers; fast: with the"
        " server's own parallel workers.  [default: normal]",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Connections that read at the same time; one more watches that nobody waits for them.  [default: 2, gentle: 1]"
    ),
]
StatementTimeout = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Longest time one query may take: 90s, 5min.  [default: 10min]"),
]
LockTimeout = Annotated[
    str | None, typer.Option("--lock-timeout", metavar="DURATION", help="Longest wait for a lock.  [default: 2s]")
]
TimeBudget = Annotated[
    str | None,
    typer.Option(
        "--time-budget",
        metavar="DURATION",
        help="Longest time the audit may take; what is not asked by then is not checked.  [default: none]",
    ),
]
Settle = Annotated[
    str | None,
    typer.Option(
        "--settle",
        metavar="DURATION",
        help="How long rows are looked at again before they are reported; those that are fine by then were in flight, written"
        " in several transactions.  [default: 500ms]",
    ),
]
HistoryPlace = Annotated[
    str | None,
    typer.Option(
        "--history",
        metavar="FILE|URL",
        help="Keep the audit there and tell what has changed since the last one: a file (SQLite), or postgresql://..."
        "  [default: none]",
    ),
]
SampleValues = Annotated[
    str | None, typer.Option(help="Values of offending rows to show: none, keys, full.  [default: keys]")
]
SqlFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--sql",
        metavar="FILE",
        help="SQL of the application whose ON CONFLICT is judged; of a directory, its *.sql.  [default: none]",
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--format",
        metavar="FORMAT[:FILE]",
        help="terminal, html, markdown, json, sarif, junit, github, gitlab, csv or prometheus; may be repeated."
        "  [default: terminal]",
    ),
]
TrustOwner = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-owner",
        metavar="ROLE",
        help="Let functions of this role run under a superuser's login, as planning its tables does; may be repeated.",
    ),
]
AllowRole = Annotated[
    bool, typer.Option("--allow-role", help="Accept a login whose role is preset (ALTER ROLE ... SET role).")
]


def _settings(config: Path | None, **given: Any) -> Settings:
    """The configuration, with the options that were given on the command line."""
    from auditor.config import load

    return load(
        config,
        {name: value for name, value in given.items() if value is not None and value is not False and value != []},
    )


def _history(settings: Settings, place: str | None) -> History | None:
    """Where audits are kept, opened before any work is done; None where nobody asked for it."""
    url = place or settings.history.url
    if not url:
        return None
    from auditor.history import History

    return History(url)


def _split(words: list[str] | None) -> list[str]:
    return [word for text in words or [] for word in text.split(",") if word]


def _target(
    settings: Settings, dsn: str, host: str | None, port: str | None, user: str | None, name: str | None, role: bool
) -> Target:
    from auditor.connection import Target

    given = {"host": host, "port": port, "user": user}
    if name is not None and ("=" in name or "://" in name):
        if dsn:
            raise UsageError("two DSNs are given: one as the argument, one with -d")
        dsn, name = name, None
    if not dsn and settings.database.url:
        dsn = settings.database.url
        if "password" in Target(dsn).parameters():
            raise ConfigError("[database] url holds a password; keep it in PGPASSWORD, .pgpass or a service file")
    overrides = {key: value for key, value in {**given, "dbname": name}.items() if value is not None}
    return Target(
        dsn,
        overrides,
        settings.audit.statement_timeout,
        settings.audit.lock_timeout,
        role,
        settings.audit.pace,
    )


def _outputs(formats: list[str] | None) -> list[tuple[str, Path | None]]:
    """`html:report.html` as format and path; before anything runs, so that no report is lost to a typo."""
    from auditor.output import check_writable
    from auditor.report import known_format

    wanted: list[tuple[str, Path | None]] = []
    for text in formats or ["terminal"]:
        name, colon, file = text.partition(":")
        known_format(name)
        path = Path(file) if file else None
        if colon and path is None:
            raise UsageError(f"-f {text}: a file name is missing after the colon")
        if path is not None:
            check_writable(path)
        wanted.append((name, path))
    if sum(path is None for _, path in wanted) > 1:
        raise UsageError("two reports cannot both go to standard output; give one a file: -f FORMAT:FILE")
    return wanted


def _progress(quiet: bool) -> Callable[[Any], None]:
    """A line on standard error that rewrites itself, when a person is there to see it."""
    if quiet or not sys.stderr.isatty():
        return lambda _: None
    from auditor.text import one_line

    def show(state: Any) -> None:
        left = ""
        if state.cost_done and state.done < state.total:
            rest = state.seconds * (state.cost_total - state.cost_done) / state.cost_done
            left = f", about {max(rest, 1):.0f} s yet"
        reading = f", reading {', '.join(state.reading)}" if state.reading else ""
        if state.waiting:
            reading += f", giving way to others on {', '.join(state.waiting)}"
        text = f"{state.done} of {state.total} questions asked, {state.seconds:.0f} s{left}{one_line(reading)}"
        sys.stderr.write("\r\x1b[K" + text[:79] + ("\r\x1b[K" if state.done == state.total else ""))
        sys.stderr.flush()

    return show


def _known_color(choice: str) -> None:
    if choice not in ("auto", "always", "never"):
        raise UsageError(f"--color {choice}: expected auto, always or never")


def _color(choice: str, path: Path | None) -> bool:
    if path is not None or choice == "never":
        return False
    if choice == "always":
        return True
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _statements(files: list[Path] | None) -> Any:
    if not files:
        return ()
    from auditor.statements import read_files

    return read_files(files)


@app.command()
def audit(
    dsn: Dsn = "",
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    depth: Deep = None,
    select: Select = None,
    ignore: Ignored = None,
    schema: Schemas = None,
    exclude_schema: NotSchemas = None,
    table: Tables = None,
    exclude_table: NotTables = None,
    format: Formats = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="SEVERITY", help="Exit with 1 from this severity on: error, warning, info, never.  [default: error]"
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A JSON report whose findings are known.  [default: none]")
    ] = None,
    history: HistoryPlace = None,
    config: Config = None,
    pace: Pace = None,
    jobs: Jobs = None,
    statement_timeout: StatementTimeout = None,
    lock_timeout: LockTimeout = None,
    time_budget: TimeBudget = None,
    settle: Settle = None,
    samples: SampleValues = None,
    sql: SqlFiles = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Exit with 0 although something was not checked.")
    ] = False,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
    color: Annotated[str, typer.Option(help="auto, always or never.")] = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the last line only, and no progress.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print samples and fixes too.")] = False,
) -> None:
    """Audit a database: introspect, check, report.

    Exit codes: 0 clean; 1 findings at or above --fail-on; 2 usage or configuration; 3 could not connect;
    4 incomplete, something asked for was not checked.
    """
    from auditor.audit import Auditor

    _known_color(color)
    settings = _settings(
        config,
        depth=depth,
        select=_split(select),
        ignore=_split(ignore),
        schemas=schema,
        exclude_schemas=exclude_schema,
        tables=table,
        trust_owner=trust_owner,
        exclude_tables=exclude_table,
        pace=pace,
        jobs=jobs,
        statement_timeout=statement_timeout,
        lock_timeout=lock_timeout,
        time_budget=time_budget,
        settle=settle,
        samples=samples,
        fail_on=fail_on,
        allow_incomplete=allow_incomplete,
    )
    outputs = _outputs(format)
    past = _history(settings, history)
    target = _target(settings, dsn, host, port, username, dbname, allow_role)
    auditor = Auditor(settings, target, _statements(sql), _progress(quiet), _known(baseline))
    result = auditor.run() if past is None else past.told(auditor.run())
    if auditor.interrupted:
        print("auditor: interrupted: what had not been asked by then is listed as not checked", file=sys.stderr)
    _write(result, outputs, color, quiet=quiet, verbose=verbose)
    if past is not None:
        past.record(result)
    raise typer.Exit(result.exit_code(settings.audit.fail_on, allow_incomplete=settings.audit.allow_incomplete))


def _known(baseline: Path | None) -> frozenset[str]:
    return frozenset(finding.fingerprint for finding in _report(baseline).findings) if baseline else frozenset()


def _report(path: Path) -> Audit:
    from auditor.audit import from_json

    try:
        return from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _write(result: Audit, outputs: list[tuple[str, Path | None]], color: str, *, quiet: bool, verbose: bool) -> None:
    """Every report that can be written is; the first that cannot is told at the end."""
    import shutil

    from auditor.output import write
    from auditor.report import Options, render

    failed: UsageError | None = None
    for name, path in outputs:
        if quiet and path is None and name == "terminal":
            continue
        options = Options(min(shutil.get_terminal_size().columns, 100), _color(color, path), verbose)
        try:
            write(render(result, name, options), path)
        except UsageError as error:
            failed = failed or error
    # The terminal report ends with this line itself; a document on standard output must not be spoilt by it.
    document = any(path is None and name != "terminal" for name, path in outputs)
    if document:
        print(result.summary.line, file=sys.stderr)
    elif quiet or all(path is not None for _, path in outputs):
        print(result.summary.line)
    if failed:
        raise failed


@app.command()
def plan(
    dsn: Dsn = "",
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    depth: Deep = None,
    select: Select = None,
    ignore: Ignored = None,
    schema: Schemas = None,
    exclude_schema: NotSchemas = None,
    table: Tables = None,
    exclude_table: NotTables = None,
    config: Config = None,
    pace: Pace = None,
    lock_timeout: LockTimeout = None,
    sql: SqlFiles = None,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
) -> None:
    """Dry run: what an audit would read, how, about how much, and what it could not read. No row of a table is read."""
    import shutil

    from auditor.audit import Auditor
    from auditor.report.dry_run import render

    settings = _settings(
        config,
        depth=depth,
        select=_split(select),
        ignore=_split(ignore),
        schemas=schema,
        exclude_schemas=exclude_schema,
        tables=table,
        trust_owner=trust_owner,
        exclude_tables=exclude_table,
        pace=pace,
        lock_timeout=lock_timeout,
    )
    target = _target(settings, dsn, host, port, username, dbname, allow_role)
    made = Auditor(settings, target, _statements(sql)).plan()
    print(render(made, min(shutil.get_terminal_size().columns, 80)), end="")


@app.command()
def history(
    place: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="Where audits are kept.  [default: that of auditor.toml]")
    ] = "",
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many runs of each database.")] = 10,
    config: Config = None,
) -> None:
    """Past audits, as `audit --history` kept them: counts over time, and of each finding how many rows it counted."""
    import shutil

    from auditor.report.past import render

    kept = _history(_settings(config), place)
    if kept is None:
        raise UsageError("no history is given: auditor history FILE, or [history] url in auditor.toml")
    print(render(kept.trends(last), min(shutil.get_terminal_size().columns, 100)), end="")


@app.command()
def checks(
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table, the one in README.")] = False,
) -> None:
    """List the checks: id, worst severity, depths, what they find."""
    from auditor.registry import load

    if markdown:
        print("| check | finds | worst | depth |\n|---|---|---|---|")
    for check in load():
        depths = ", ".join(depth.value for depth in check.depths)
        if markdown:
            print(f"| `{check.id}` | {check.title.rstrip('.')} | {check.severity.value} | {depths} |")
        else:
            print(f"{check.id:<40} {check.severity.value:<8} {depths}\n    {check.title}")


@app.command()
def explain(check: Annotated[str, typer.Argument(help="Id of a check, as `auditor checks` lists it.")]) -> None:
    """Explain one check: why it hurts, what it does not flag, how to fix it."""
    from auditor.registry import load, matching
    from auditor.report import explain as page

    wanted = matching([check])
    print("\n".join(page.render(entry) for entry in load() if entry.id in wanted), end="")


@app.command()
def schema(what: Annotated[str, typer.Argument(help="report or config.")]) -> None:
    """Print the JSON Schema of the report or of auditor.toml."""
    import json

    if what == "report":
        from auditor.audit import schema as made
    elif what == "config":
        from auditor.config import schema as made
    else:
        raise UsageError(f"there is no schema {what!r}; known are report and config")
    print(json.dumps(made(), indent=2))


@app.command()
def doctor(
    dsn: Dsn = "",
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    grants: Annotated[
        bool, typer.Option("--grants", help="Print the SQL that makes a role with what an audit needs.")
    ] = False,
    role: Annotated[str, typer.Option(metavar="ROLE", help="With --grants: the name of that role.")] = "auditor",
    config: Config = None,
    pace: Pace = None,
    jobs: Jobs = None,
    lock_timeout: LockTimeout = None,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
) -> None:
    """What an audit would meet: the connection, privileges, the server's settings, a standby, a pooler, unsafe tables.

    Exit codes: 0 an audit would leave nothing out; 4 it would, and what; 3 could not connect.
    """
    import shutil

    from auditor.doctor import examine
    from auditor.doctor import grants as grant_statements
    from auditor.report.layout import line, wrap

    settings = _settings(config, pace=pace, jobs=jobs, lock_timeout=lock_timeout, trust_owner=trust_owner)
    target = _target(settings, dsn, host, port, username, dbname, allow_role)
    if grants:
        print(grant_statements(settings, target, role), end="")
        return
    found = examine(settings, target)
    width = min(shutil.get_terminal_size().columns, 100)
    for advice in found:
        print("\n".join(wrap(line(advice.text), width, f"{advice.level:<8} ", " " * 9)))
        if advice.remedy:
            print(f"{' ' * 9}{line(advice.remedy)}")
    raise typer.Exit(4 if any(advice.level == "problem" for advice in found) else 0)


@app.command()
def init(
    dsn: Dsn = "",
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output.")
    ] = Path("auditor.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    schema: Schemas = None,
    exclude_schema: NotSchemas = None,
    table: Tables = None,
    exclude_table: NotTables = None,
    config: Config = None,
    pace: Pace = None,
    jobs: Jobs = None,
    statement_timeout: StatementTimeout = None,
    lock_timeout: LockTimeout = None,
    samples: SampleValues = None,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
) -> None:
    """Write an auditor.toml with what nobody declared: references, companions, soft deletes, as the rows bear them out.

    Of a configuration that is there the connection and the options count; what it declares of the data is found anew.
    """
    from auditor import init as first
    from auditor.output import check_writable, write

    path = None if str(output) == "-" else output
    if path is not None:
        check_writable(path)
        if path.is_file() and not force:
            raise UsageError(f"{path} is there already; --force replaces it, -o - prints what would be written")
    settings = _settings(
        config,
        schemas=schema,
        exclude_schemas=exclude_schema,
        tables=table,
        trust_owner=trust_owner,
        exclude_tables=exclude_table,
        pace=pace,
        jobs=jobs,
        statement_timeout=statement_timeout,
        lock_timeout=lock_timeout,
        samples=samples,
    )
    target = _target(settings, dsn, host, port, username, dbname, allow_role)
    catalog, made = first.draft(settings, target, _progress(False))
    write(first.render(catalog, made), path)
    print(made.line(str(path) if path else ""), file=sys.stderr if path is None else sys.stdout)
    raise typer.Exit(4 if made.unread else 0)


@app.command()
def whatif(
    statement: Annotated[
        str, typer.Argument(help="CREATE UNIQUE INDEX, or ALTER TABLE with one constraint; - reads standard input.")
    ],
    dsn: Dsn = "",
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    format: Formats = None,
    config: Config = None,
    pace: Pace = None,
    statement_timeout: StatementTimeout = None,
    lock_timeout: LockTimeout = None,
    samples: SampleValues = None,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
    color: Annotated[str, typer.Option(help="auto, always or never.")] = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the last line only, and no progress.")] = False,
) -> None:
    """Whether a unique index or a constraint would hold today, and which rows stand in the way. It is not created.

    Exit codes: 0 it holds; 1 it would fail; 2 not one supported statement; 3 could not connect; 4 could not be read.
    """
    from auditor.definition import parse
    from auditor.whatif import Trial

    _known_color(color)
    definition = parse(sys.stdin.read() if statement == "-" else statement)
    settings = _settings(
        config,
        pace=pace,
        statement_timeout=statement_timeout,
        lock_timeout=lock_timeout,
        samples=samples,
        trust_owner=trust_owner,
    )
    outputs = _outputs(format)
    target = _target(settings, dsn, host, port, username, dbname, allow_role)
    result = Trial(settings, target, report=_progress(quiet), definition=definition).run()
    _write(result, outputs, color, quiet=quiet, verbose=True)
    raise typer.Exit(result.exit_code("error", allow_incomplete=False))


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A JSON report, or a DSN to audit now.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A JSON report, or a DSN to audit now.")],
    config: Config = None,
) -> None:
    """Compare two reports, or two databases: new, fixed, worse and better findings. Exit code 1 when B is worse."""
    from auditor.audit import Auditor
    from auditor.diff import compare

    def taken(source: str) -> Audit:
        if "://" not in source and ("=" not in source or Path(source).exists()):
            return _report(Path(source))
        settings = _settings(config)
        return Auditor(
            settings, _target(settings, source, None, None, None, None, False), report=_progress(False)
        ).run()

    result = compare(taken(before), taken(after))
    print(result.text, end="")
    raise typer.Exit(1 if result.worse else 0)


@app.command()
def explain_delete(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table, as psql takes it: name, or schema.name.")],
    key: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY]...", help="Values of its primary key, or COLUMN=VALUE.  [default: any row, none is read]"
        ),
    ] = None,
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    format: Annotated[str, typer.Option("-f", "--format", help="terminal or json.")] = "terminal",
    config: Config = None,
    pace: Pace = None,
    statement_timeout: StatementTimeout = None,
    lock_timeout: LockTimeout = None,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
) -> None:
    """What deleting a row would delete, change and be refused by. Nothing is deleted: the rows are read in one snapshot.

    Exit codes: 0 it can be deleted; 1 it would be refused; 2 usage, no such table or row; 3 could not connect;
    4 it cannot be told.
    """
    import shutil

    from auditor.audit import open_catalog
    from auditor.catalog.infer import complete
    from auditor.config import Settings
    from auditor.connection import Session
    from auditor.deletion import condition, explain, find
    from auditor.output import write
    from auditor.report import deletion as page

    if format not in ("terminal", "json"):
        raise UsageError(f"-f {format}: expected terminal or json")
    settings = _settings(
        config, pace=pace, statement_timeout=statement_timeout, lock_timeout=lock_timeout, trust_owner=trust_owner
    )
    with Session(_target(settings, "", host, port, username, dbname, allow_role)) as session:
        catalog = complete(open_catalog(session, statistics=False), Settings(audit=settings.audit), suspect=False)
        found = find(session, catalog, table)
        where, said = condition(catalog, found, key) if key else ("", "")
        made = explain(session, catalog, found, where, said)
    if format == "json":
        write(page.to_json(made, catalog), None)
    else:
        write(page.render(made, catalog, min(shutil.get_terminal_size().columns, 80)), None)
    raise typer.Exit(made.exit_code)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running and print its DSN.")] = False,
    output: Annotated[Path, typer.Option(help="Directory for the reports.")] = Path("demo-report"),
    color: Annotated[str, typer.Option(help="auto, always or never.")] = "auto",
) -> None:
    """Audit a small application with five real incidents in it, on an embedded PostgreSQL."""
    from auditor.demo import run

    run(output, keep=keep, show=lambda result, outputs: _write(result, outputs, color, quiet=False, verbose=False))


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from auditor import __version__

        print(f"auditor {__version__}")
        raise typer.Exit()


def _leave(code: int) -> NoReturn:
    """Ends with this code at once. An interrupt that met the exec() of a source, as dataclasses are made with, would else
    be the interpreter's own exit status, handled or not (source: pythonrun.c, unhandled_keyboard_interrupt)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """The command `auditor`: every expected error is one line on standard error, with its exit code."""
    import gc
    import signal

    # A catalog is many objects that all stay: going through them again finds nothing.
    gc.set_threshold(1_000_000, 20, 100)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except AuditorError as error:
        from auditor.text import one_line

        print(f"auditor: {one_line(str(error))}", file=sys.stderr)
        if isinstance(error, _InterruptedError):
            _leave(error.exit_code)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("auditor: interrupted before anything was checked", file=sys.stderr)
        _leave(_InterruptedError.exit_code)
    finally:
        gc.freeze()  # or the interpreter would go through them all once more at its exit
