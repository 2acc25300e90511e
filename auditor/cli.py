"""The commands; the only place that turns an error into an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from auditor.errors import AuditorError, UsageError, nearest

if TYPE_CHECKING:
    from auditor.audit import Audit
    from auditor.config import Settings
    from auditor.connection import Target
    from auditor.history import History
    from auditor.notify import Notifier


class _InterruptedError(AuditorError):
    """Stopped by a signal before a report could be written."""


class _DiedError(AuditorError):
    """Ended by something that should not happen."""


class _Commands(TyperGroup):
    """Exit codes are the contract's. Typer's own would call an interruption, a closed pipe or a crash what 1 is for: findings.

    What is wrong on the command line is one line, like every other mistake."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            code = super().main(*arguments, **{**options, "standalone_mode": False})
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
                sys.exit(UsageError.exit_code)
            raise UsageError(self._misused(error)) from None
        sys.exit(code if isinstance(code, int) else 0)

    def _misused(self, error: Any) -> str:
        """What is wrong on the command line, and where it is explained. A word in the wrong place may be a DSN: it is not repeated."""
        said = error.format_message().rstrip(".")
        path = error.ctx.command_path if error.ctx is not None else "auditor"
        if found := re.match(r"No such command '(.*?)'", said, re.DOTALL):
            known = re.fullmatch(r"[a-z-]+", found[1])
            word, near = (f" {found[1]}", nearest(found[1], list(self.commands))) if known else ("", "")
            said = f"there is no such command{word}{near}"
        elif said.startswith("Got unexpected extra argument"):
            said = "more arguments are given than it takes"
        return f"{said}; {path} --help tells what it takes"

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


def _offer(*words: str) -> Callable[[str], list[str]]:
    """What a shell offers to complete a value with."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _offer_checks(incomplete: str) -> list[str]:
    """Ids and families of checks, after a comma too."""
    from auditor.registry import identities

    begun, comma, last = incomplete.rpartition(",")
    ids = identities()
    known = (*dict.fromkeys(identity.partition("/")[0] for identity in ids), *ids)
    return [f"{begun}{comma}{name}" for name in known if name.startswith(last)]


def _examples(*lines: str) -> str:
    """The end of a command's help; each line stays one (documentation of click: Preventing Rewrapping)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


_FORMATS = ("terminal", "html", "markdown", "json", "sarif", "junit", "github", "gitlab", "csv", "prometheus")
_COLORS = ("auto", "always", "never")

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
Host = Annotated[
    str | None, typer.Option("-h", "--host", help="Host or socket directory.  [default: PGHOST, or the local socket]")
]
Port = Annotated[str | None, typer.Option("-p", "--port", help="Port.  [default: PGPORT, or 5432]")]
User = Annotated[
    str | None, typer.Option("-U", "--username", help="Role to log in as.  [default: PGUSER, or who you are]")
]
Name = Annotated[
    str | None,
    typer.Option("-d", "--dbname", help="Database name, or a DSN.  [default: PGDATABASE, or the role's name]"),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file.  [default: ./auditor.toml, if there]")
]
Deep = Annotated[
    str | None,
    typer.Option(
        "--depth",
        autocompletion=_offer("catalog", "data", "full"),
        help="catalog: no user table is read; data: all that the server does not vouch for; full: that too.  [default: data]",
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        metavar="CHECK,...",
        autocompletion=_offer_checks,
        help="Run only these checks or families.  [default: all]",
    ),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="CHECK,...",
        autocompletion=_offer_checks,
        help="Leave these out; wins over --select.  [default: none]",
    ),
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
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="[TABLE:] CONDITION",
        help="Judge only rows for which it holds, of TABLE, or of each table that has its columns; what is asked of other"
        " rows is skipped. May be repeated.  [default: all rows]",
    ),
]
Pace = Annotated[
    str | None,
    typer.Option(
        "--pace",
        autocompletion=_offer("gentle", "normal", "fast"),
        help="gentle: one connection that rests as long as it reads, and nineteen times as long while others are active; normal:"
        " two, no parallel workers; fast: with the server's own parallel workers.  [default: normal]",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Connections that read at the same time, a tenth of those the server has left at most; one more watches that nobody"
        " waits for them.  [default: 2, gentle: 1]"
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
MaxSnapshot = Annotated[
    str | None,
    typer.Option(
        "--max-snapshot",
        metavar="DURATION",
        help="Greatest age of a snapshot, which holds VACUUM back: a table that takes longer is read in slices, each in a"
        " transaction of its own; 0: any.  [default: 60s]",
    ),
]
Consistent = Annotated[
    bool,
    typer.Option(
        "--consistent",
        help="Read all in one snapshot, which takes a connection of its own; what is not asked by the time that it is as old as"
        " --max-snapshot allows is not checked.  [default: off]",
    ),
]
MaxLoad = Annotated[
    int | None,
    typer.Option(
        "--max-load",
        metavar="N",
        help="Begin nothing new while more than N backends of others are active.  [default: none]",
    ),
]
CriticalLoad = Annotated[
    int | None,
    typer.Option(
        "--critical-load",
        metavar="N",
        help="End the audit when more than N backends of others are active; what is not asked by then is not checked."
        "  [default: none]",
    ),
]
MaxLag = Annotated[
    str | None,
    typer.Option(
        "--max-lag",
        metavar="DURATION",
        help="Begin nothing new while a standby of this server, or this standby, is further behind.  [default: none]",
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
NotifyUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        metavar="URL",
        help="Tell this address, as apprise has them, what has changed since the last run; needs --history; may be"
        " repeated. Others see it in the list of processes: [notify] urls in auditor.toml keeps it.  [default: none]",
    ),
]
LockFile = Annotated[
    str | None,
    typer.Option(
        "--lock-file", metavar="FILE", help="Do not start while another audit holds this file.  [default: none]"
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Go on with a run that was not complete: its JSON report, or with --history its id, the beginning of it, or last."
        "  [default: none]",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Do not read what is proven to be unchanged since that run, named as for --resume.  [default: read all]",
    ),
]
SampleValues = Annotated[
    str | None,
    typer.Option(
        autocompletion=_offer("none", "keys", "full"),
        help="Values of offending rows to show: none, keys, full.  [default: keys]",
    ),
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
        autocompletion=_offer(*_FORMATS),
        help="terminal, html, markdown, json, sarif, junit, github, gitlab, csv or prometheus; may be repeated."
        "  [default: terminal]",
    ),
]
TrustOwner = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-owner",
        metavar="ROLE",
        help="Let functions of this role run under a superuser's login, as planning its tables does; may be repeated."
        "  [default: none]",
    ),
]
AllowRole = Annotated[
    bool,
    typer.Option("--allow-role", help="Accept a login whose role is preset (ALTER ROLE ... SET role).  [default: off]"),
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


def _notifier(settings: Settings, urls: list[str] | None, past: History | None) -> Notifier | None:
    """Who is told of changes, known before any work is done; None where nobody is."""
    told = urls or [url.get_secret_value() for url in settings.notify.urls]
    if not told:
        return None
    if past is None:
        raise UsageError("--notify tells what has changed since the last run, and needs --history, or [history] url")
    from auditor.notify import Notifier

    return Notifier(told)


def _split(words: list[str] | None) -> list[str]:
    return [word for text in words or [] for word in text.split(",") if word]


def _target(
    settings: Settings, dsn: str, host: str | None, port: str | None, user: str | None, name: str | None, role: bool
) -> Target:
    from auditor.connection import configured

    given = {"host": host, "port": port, "user": user}
    if name is not None and ("=" in name or "://" in name):
        if dsn:
            raise UsageError("two DSNs are given: one as the argument, one with -d")
        dsn, name = name, None
    overrides = {key: value for key, value in {**given, "dbname": name}.items() if value is not None}
    return configured(settings, dsn, overrides, allow_role=role)


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
        if state.held:
            left, reading = "", f", waiting: {state.held}{reading}"
        text = f"{state.done} of {state.total} questions asked, {state.seconds:.0f} s{left}{one_line(reading)}"
        sys.stderr.write("\r\x1b[K" + text[:79] + ("\r\x1b[K" if state.done == state.total else ""))
        sys.stderr.flush()

    return show


def _known_color(choice: str) -> None:
    if choice not in _COLORS:
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


@app.command(
    epilog=_examples(
        "auditor audit service=prod -f terminal -f html:report.html",
        "auditor audit service=prod -t 'app.member*' --where \"workspace_id = 7\" -v",
        "auditor audit service=staging --baseline known.json --fail-on warning",
    )
)
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
    where: Where = None,
    format: Formats = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="SEVERITY",
            autocompletion=_offer("error", "warning", "info", "never"),
            help="Exit with 1 from this severity on: error, warning, info, never.  [default: error]",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A JSON report whose findings are known; one that has grown since counts as new.  [default: none]",
        ),
    ] = None,
    history: HistoryPlace = None,
    notify: NotifyUrls = None,
    lock_file: LockFile = None,
    resume: Resume = None,
    since: Since = None,
    config: Config = None,
    pace: Pace = None,
    jobs: Jobs = None,
    statement_timeout: StatementTimeout = None,
    lock_timeout: LockTimeout = None,
    time_budget: TimeBudget = None,
    max_snapshot: MaxSnapshot = None,
    consistent: Consistent = False,
    max_load: MaxLoad = None,
    critical_load: CriticalLoad = None,
    max_lag: MaxLag = None,
    settle: Settle = None,
    samples: SampleValues = None,
    sql: SqlFiles = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Exit with 0 although something was not checked.  [default: off]")
    ] = False,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
    color: Annotated[str, typer.Option(autocompletion=_offer(*_COLORS), help="auto, always or never.")] = "auto",
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print the last line only, and no progress.  [default: off]")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Print samples and fixes too.  [default: off]")
    ] = False,
) -> None:
    """Audit a database: introspect, check, report.

    Exit codes: 0 clean; 1 findings at or above --fail-on; 2 usage or configuration; 3 no report: could not connect,
    interrupted too early, or another audit holds --lock-file; 4 incomplete, something asked for was not checked.
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
        where=where,
        pace=pace,
        jobs=jobs,
        statement_timeout=statement_timeout,
        lock_timeout=lock_timeout,
        time_budget=time_budget,
        since=since,
        max_snapshot=max_snapshot,
        consistent=consistent,
        max_load=max_load,
        critical_load=critical_load,
        max_lag=max_lag,
        settle=settle,
        samples=samples,
        fail_on=fail_on,
        allow_incomplete=allow_incomplete,
        lock_file=lock_file,
    )
    outputs = _outputs(format)
    past = _history(settings, history)
    notifier = _notifier(settings, notify, past)
    target = _target(settings, dsn, host, port, username, dbname, allow_role)
    auditor = Auditor(settings, target, _statements(sql), _progress(quiet), _baseline(baseline))
    if resume is not None and since is not None:
        raise UsageError("--resume and --since exclude each other: one goes on with a run, the other begins anew")
    if resume is not None and settings.audit.consistent:
        raise UsageError("--resume and --consistent exclude each other: what that run has read is of another snapshot")
    if resume is not None or settings.audit.since:
        from auditor.runs import finder

        if resume is not None:
            auditor.resume = finder(resume, past, "--resume")
        else:
            auditor.since = finder(settings.audit.since or "", past, "--since")
    if settings.audit.lock_file:
        from auditor.lock import hold

        hold(Path(settings.audit.lock_file))
    result = auditor.run()
    troubles: list[UsageError | BrokenPipeError] = []  # each ends what it is about, and nothing else
    if past is not None:
        try:
            result = past.told(result)
        except UsageError as error:
            troubles.append(error)
            past = notifier = None  # it would take all for new
    if auditor.interrupted:
        print("auditor: interrupted: what had not been asked by then is listed as not checked", file=sys.stderr)
    try:
        _write(result, outputs, color, quiet=quiet, verbose=verbose)
    except (UsageError, BrokenPipeError) as error:
        troubles.append(error)
    if past is not None:
        try:
            past.record(result, settings.history.keep)
        except UsageError as error:
            troubles.append(error)
    if notifier and (failed := notifier.tell(result)):
        print(f"auditor: {failed}", file=sys.stderr)
    told = [trouble for trouble in troubles if isinstance(trouble, UsageError)]
    for trouble in told[:-1]:
        print(f"auditor: {trouble}", file=sys.stderr)
    if troubles:
        raise (told or troubles)[-1]
    raise typer.Exit(result.exit_code(settings.audit.fail_on, allow_incomplete=settings.audit.allow_incomplete))


def _baseline(path: Path | None) -> Audit | None:
    return _report(path) if path else None


def _report(path: Path) -> Audit:
    from auditor.runs import report

    return report(path)


def _write(result: Audit, outputs: list[tuple[str, Path | None]], color: str, *, quiet: bool, verbose: bool) -> None:
    """Every report that can be written is; the first that cannot is told at the end."""
    import shutil

    from auditor.output import write
    from auditor.report import Options, render

    failed: list[UsageError | BrokenPipeError] = []
    for name, path in outputs:
        if quiet and path is None and name == "terminal":
            continue
        options = Options(min(shutil.get_terminal_size().columns, 100), _color(color, path), verbose)
        try:
            # Metrics are there for another process to collect.
            write(render(result, name, options), path, shared=name == "prometheus")
        except (UsageError, BrokenPipeError) as error:
            failed.append(error)
    # The terminal report ends with this line itself; a document on standard output must not be spoilt by it.
    document = any(path is None and name != "terminal" for name, path in outputs)
    if document:
        print(result.summary.line, file=sys.stderr)
    elif quiet or all(path is not None for _, path in outputs):
        try:
            write(result.summary.line + "\n", None)
        except (UsageError, BrokenPipeError) as error:
            failed.append(error)
    if failed:  # that nobody reads the output counts where there is nothing else
        raise min(failed, key=lambda error: isinstance(error, BrokenPipeError))


@app.command(
    epilog=_examples(
        "auditor plan service=prod",
        "auditor plan service=prod -n app --depth full",
    )
)
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
    where: Where = None,
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
        where=where,
        pace=pace,
        lock_timeout=lock_timeout,
    )
    target = _target(settings, dsn, host, port, username, dbname, allow_role)
    made = Auditor(settings, target, _statements(sql)).plan()
    print(render(made, min(shutil.get_terminal_size().columns, 80)), end="")


@app.command(
    epilog=_examples(
        "auditor history /var/lib/auditor/history.db --last 30",
    )
)
def history(
    place: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="Where audits are kept.  [default: that of auditor.toml]")
    ] = "",
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many runs of each database.")] = 10,
    keep: Annotated[
        int | None,
        typer.Option(
            min=1, help="First remove all but so many runs of each database.  [default: none is removed]", metavar="N"
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Past audits, as `audit --history` kept them: counts over time, and of each finding how many rows it counted."""
    import shutil

    from auditor.report.past import render

    kept = _history(_settings(config), place)
    if kept is None:
        raise UsageError("no history is given: auditor history FILE, or [history] url in auditor.toml")
    if keep is not None:
        kept.prune(keep)
    print(render(kept.trends(last), min(shutil.get_terminal_size().columns, 100)), end="")


@app.command()
def checks(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As a Markdown table, the one in README.  [default: off]")
    ] = False,
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
def explain(
    check: Annotated[
        str, typer.Argument(autocompletion=_offer_checks, help="Id of a check, as `auditor checks` lists it.")
    ],
) -> None:
    """Explain one check: why it hurts, what it does not flag, how to fix it."""
    from auditor.registry import load, matching
    from auditor.report import explain as page

    wanted = matching([check])
    print("\n".join(page.render(entry) for entry in load() if entry.id in wanted), end="")


@app.command()
def schema(
    what: Annotated[str, typer.Argument(autocompletion=_offer("report", "config"), help="report or config.")],
) -> None:
    """Print the JSON Schema of the report or of auditor.toml."""
    import json

    if what == "report":
        from auditor.audit import schema as made
    elif what == "config":
        from auditor.config import schema as made
    else:
        raise UsageError(f"there is no schema {what!r}; known are report and config")
    print(json.dumps(made(), indent=2))


@app.command(
    epilog=_examples(
        "auditor doctor service=prod",
        "auditor doctor service=prod --grants --role auditor | psql service=prod",
    )
)
def doctor(
    dsn: Dsn = "",
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    grants: Annotated[
        bool, typer.Option("--grants", help="Print the SQL that makes a role with what an audit needs.  [default: off]")
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
        # A byte of no encoding in a name is sent on to psql as it is.
        sys.stdout.flush()
        sys.stdout.buffer.write(grant_statements(settings, target, role).encode("utf-8", "surrogateescape"))
        return
    found = examine(settings, target)
    width = min(shutil.get_terminal_size().columns, 100)
    for advice in found:
        print("\n".join(wrap(line(advice.text), width, f"{advice.level:<8} ", " " * 9)))
        if advice.remedy:
            print(f"{' ' * 9}{line(advice.remedy)}")
    raise typer.Exit(4 if any(advice.level == "problem" for advice in found) else 0)


@app.command(
    epilog=_examples(
        "auditor init service=prod -n app -o auditor.toml",
    )
)
def init(
    dsn: Dsn = "",
    host: Host = None,
    port: Port = None,
    username: User = None,
    dbname: Name = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output.")
    ] = Path("auditor.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.  [default: off]")] = False,
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


@app.command(
    epilog=_examples(
        'auditor whatif "ALTER TABLE app.users ADD UNIQUE (email)" service=prod',
        "auditor whatif - service=prod < constraint.sql",
    )
)
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
    color: Annotated[str, typer.Option(autocompletion=_offer(*_COLORS), help="auto, always or never.")] = "auto",
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print the last line only, and no progress.  [default: off]")
    ] = False,
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


@app.command(
    epilog=_examples(
        "auditor diff monday.json tuesday.json",
        "auditor diff service=staging service=production --depth catalog",
    )
)
def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A JSON report, or a DSN or a service's name to audit now.")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="The same, to be compared with A.")],
    depth: Deep = None,
    select: Select = None,
    ignore: Ignored = None,
    schema: Schemas = None,
    exclude_schema: NotSchemas = None,
    table: Tables = None,
    exclude_table: NotTables = None,
    where: Where = None,
    config: Config = None,
    pace: Pace = None,
    jobs: Jobs = None,
    statement_timeout: StatementTimeout = None,
    lock_timeout: LockTimeout = None,
    trust_owner: TrustOwner = None,
    allow_role: AllowRole = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print the last line only, and no progress.  [default: off]")
    ] = False,
) -> None:
    """Compare two reports, or two databases: new, fixed, worse and better findings. Options are for databases to audit.

    Exit codes: 0 B is not worse; 1 it is; 2 usage or configuration; 3 could not connect, or interrupted.
    """
    from auditor.audit import Auditor
    from auditor.diff import compare

    sources = [_source(name, text) for name, text in (("A", before), ("B", after))]
    if before == after:
        raise UsageError(
            f"A and B are the same: {before}" if Path(before).is_file() else "A and B are the same database"
        )
    given: dict[str, Any] = {
        "depth": depth,
        "select": _split(select),
        "ignore": _split(ignore),
        "schemas": schema,
        "exclude_schemas": exclude_schema,
        "tables": table,
        "exclude_tables": exclude_table,
        "where": where,
        "pace": pace,
        "jobs": jobs,
        "statement_timeout": statement_timeout,
        "lock_timeout": lock_timeout,
        "trust_owner": trust_owner,
    }
    said = [name for name, value in given.items() if value]
    if said and all(isinstance(source, Path) for source in sources):
        names = {
            "schemas": "schema",
            "exclude_schemas": "exclude-schema",
            "tables": "table",
            "exclude_tables": "exclude-table",
        }
        option = f"--{names.get(said[0], said[0]).replace('_', '-')}"
        raise UsageError(f"{option} is for a database that is audited now; A and B are both reports")
    settings = _settings(config, **given)
    # A file that is no report is told before a database is audited for nothing.
    reports = {source: _report(source) for source in sources if isinstance(source, Path)}
    targets = {
        source: _target(settings, source, None, None, None, None, allow_role)
        for source in sources
        if not isinstance(source, Path)
    }
    for target in targets.values():
        target.parameters()  # a DSN that does not parse is told before the other database is read
    audits = {source: Auditor(settings, target, report=_progress(quiet)) for source, target in targets.items()}
    taken = []
    for source in sources:
        taken.append(reports[source] if isinstance(source, Path) else audits[source].run())
        if source in audits and audits[source].interrupted:  # half an audit compares with nothing
            raise _InterruptedError("interrupted before there was anything to compare")
    result = compare(*taken)
    print(result.line + "\n" if quiet else result.text, end="")
    raise typer.Exit(1 if result.worse else 0)


def _source(name: str, text: str) -> Path | str:
    """A report's path, or the DSN of a database; the name of a service is one. Raises UsageError for what may be either."""
    from auditor.connection import services

    path = Path(text)
    try:
        there = path.exists()
    except OSError as error:
        raise UsageError(f"{name}: {text}: {error.strerror}") from None
    if not text.strip():
        raise UsageError(f"{name} is empty: expected a JSON report, a DSN, or the name of a service")
    if "://" in text or (("=" in text or "@" in text) and not there):
        return text  # and if it does not parse, it is not repeated: it may hold a password
    known = services()
    if text in known and there:
        raise UsageError(f"{name}: {text} is a file and a service; write ./{text} or service={text}")
    if text in known:
        return f"service={text}"
    if path.is_dir():
        raise UsageError(f"{name}: {text} is a directory; expected a JSON report, a DSN, or the name of a service")
    if not there:
        from auditor.errors import nearest

        hint = nearest(text, sorted(known))
        raise UsageError(f"{name}: there is neither a file nor a service called {text}{hint}")
    return path


@app.command(
    epilog=_examples(
        "auditor baseline report.json -o known.json",
        "auditor baseline report.json -o known.json --update",
    )
)
def baseline(
    report: Annotated[Path, typer.Argument(metavar="REPORT.json", help="A JSON report of an audit.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The baseline.")] = Path(
        "baseline.json"
    ),
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Only take out of FILE what is fixed, and lower its counts; nothing is added.  [default: off]",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE if it is there: accept more than before.  [default: off]")
    ] = False,
) -> None:
    """Accept a report's findings as known, for `audit --baseline FILE`: names and counts, no value of a row.

    What an [[ignore]] entry suppresses is left to that entry.
    """
    from auditor.baseline import accepted, shrunk
    from auditor.output import check_writable, write
    from auditor.report import Options, render

    if update and force:
        raise UsageError("--update takes out of the baseline, --force makes it anew: give one of them")
    check_writable(output)
    today = _report(report)
    if update:
        known = _report(output)
        made = shrunk(known, today)
        counts = [
            {f.fingerprint: f.evidence and f.evidence.violations for f in each.findings} for each in (known, made)
        ]
        lower = sum(counts[0][name] != count for name, count in counts[1].items())
        said = f"{len(known.findings) - len(made.findings):,} taken out, {lower:,} lowered, {len(made.findings):,} left"
    else:
        if output.is_file() and not force:
            raise UsageError(f"{output} is there already; --update shrinks it, --force accepts what is new too")
        made = accepted(today)
        said = f"{len(made.findings):,} accepted as known"
    if today.run.status == "incomplete":
        said += f"; the report is incomplete, {today.summary.not_checked:,} not checked"
    write(render(made, "json", Options()), output)
    print(f"{output}: {said}")


@app.command(
    epilog=_examples(
        "auditor explain-delete app.workspaces 42 -d service=prod",
    )
)
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
    format: Annotated[
        str, typer.Option("-f", "--format", autocompletion=_offer("terminal", "json"), help="terminal or json.")
    ] = "terminal",
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
        catalog = complete(open_catalog(session, statistics=None), Settings(audit=settings.audit), suspect=False)
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
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server running and print its DSN.  [default: off]")
    ] = False,
    output: Annotated[Path, typer.Option(help="Directory for the reports.")] = Path("demo-report"),
    color: Annotated[str, typer.Option(autocompletion=_offer(*_COLORS), help="auto, always or never.")] = "auto",
) -> None:
    """Audit a small application with five real incidents in it, on an embedded PostgreSQL."""
    from auditor.demo import run

    run(output, keep=keep, show=lambda result, outputs: _write(result, outputs, color, quiet=False, verbose=False))


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.  [default: off]")] = False,
) -> None:
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
    import io
    import signal

    # A catalog is many objects that all stay: going through them again finds nothing.
    gc.set_threshold(1_000_000, 20, 100)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no sign for a name gets its number
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
