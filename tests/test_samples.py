"""The samples in docs/nightly say what is true of the command, and the image of the Dockerfile runs as they have it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import uuid
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from auditor.cli import _outputs, app
from auditor.config import Settings
from tests.conftest import MAJOR, RUN

pytestmark = [pytest.mark.once, pytest.mark.checkout]

ROOT = Path(__file__).parent.parent
NIGHTLY = ROOT / "docs/nightly"
README = ROOT / "README.md"


# --- what stands in them -----------------------------------------------------------------------------------------------


def sections(name: str) -> dict[str, list[tuple[str, str]]]:
    """A unit file of systemd: its sections, with keys that may repeat."""
    text = re.sub(r"\\\n\s*", "", (NIGHTLY / name).read_text(encoding="utf-8"))
    found: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            entries = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            entries.append((key, value))
    return found


def job() -> dict[str, Any]:
    """The CronJob of the sample."""
    parts = yaml.safe_load_all((NIGHTLY / "cronjob.yaml").read_text(encoding="utf-8"))
    (found,) = [part for part in parts if part["kind"] == "CronJob"]
    made: dict[str, Any] = found["spec"]
    return made


def pod() -> dict[str, Any]:
    made: dict[str, Any] = job()["jobTemplate"]["spec"]["template"]["spec"]
    return made


def crontab() -> str:
    """The one line of the crontab that runs something."""
    lines = (NIGHTLY / "crontab").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line and not re.match(r"#|\w+=", line)]
    return line


def commands() -> dict[str, list[str]]:
    """The arguments that each sample gives to the command."""
    ((_, systemd),) = [entry for entry in sections("auditor.service")["Service"] if entry[0] == "ExecStart"]
    cron = re.search(r"\$\((.*)\)", crontab())
    assert cron
    readme = re.findall(r"^    (auditor (?:audit|history) .*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    made = {"service": systemd, "crontab": cron[1], **{f"README {number}": text for number, text in enumerate(readme)}}
    split = {name: shlex.split(text, comments=True)[1:] for name, text in made.items()}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["auditor"][
        "command"
    ]
    return {**split, "cronjob": pod()["containers"][0]["args"], "compose": compose}


def test_commands_are_such_as_the_command_line_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    group: Any = typer.main.get_command(app)
    for name, arguments in commands().items():
        given, *rest = arguments
        command = group.commands[given]
        made = command.make_context(given, list(rest), resilient_parsing=False)  # raises for what it does not know
        for text in made.params.get("format") or ():
            _outputs([text])
        if name in ("service", "crontab", "cronjob"):
            assert {"quiet", "history", "lock_file", "time_budget"} <= {k for k, v in made.params.items() if v}, name


def test_configurations_in_readme_are_valid() -> None:
    shown = re.findall(r"^```toml\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    settings = [Settings.model_validate(tomllib.loads(text)) for text in shown]
    (notified,) = [made for made in settings if made.notify.urls]
    assert notified.history.url
    assert "mail.example" not in repr(notified)


def test_units_are_well_formed_and_run_as_nobody_special(tmp_path: Path) -> None:
    service, timer = sections("auditor.service"), sections("auditor.timer")
    settings = dict(service["Service"])
    assert settings["User"] == "auditor"
    assert settings["CapabilityBoundingSet"] == ""
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictNamespaces"):
        assert settings[key] == "yes"
    assert settings["ProtectSystem"] == "strict"
    credentials = {value.partition(":")[0] for key, value in service["Service"] if key == "LoadCredential"}
    used = {name for _, value in service["Service"] for name in re.findall(r"%d/([\w.]+)", value)}
    assert credentials == used == {"pg_service.conf", "auditor.toml"}
    assert timer["Install"] == [("WantedBy", "timers.target")]
    assert dict(timer["Timer"])["Persistent"] == "true"
    for name in ("auditor.service", "auditor.timer"):
        text = (NIGHTLY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/auditor/bin/auditor", shutil.which("true") or "/bin/true"))
    if shutil.which("systemd-analyze"):  # what is said above holds without it too
        units = [str(tmp_path / name) for name in ("auditor.service", "auditor.timer")]
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_crontab_has_five_fields_a_user_and_no_percent_sign() -> None:
    found = re.fullmatch(r"(\S+ ){4}\S+ +(?P<user>\w+) +(?P<command>.*)", crontab())
    assert found
    fields = crontab().split()[:5]
    for field, (least, most) in zip(fields, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)), strict=True):
        assert field == "*" or least <= int(field) <= most
    assert found["user"] == "auditor"
    assert "%" not in found["command"]  # cron would make a line break of it
    subprocess.run(["sh", "-n", "-c", found["command"]], check=True)


def test_cron_job_has_no_privileges_and_no_secret_in_it() -> None:
    assert job()["concurrencyPolicy"] == "Forbid"
    assert job()["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 3 * 3600  # what --time-budget has
    assert job()["jobTemplate"]["spec"]["backoffLimit"] == 0
    (container,) = pod()["containers"]
    assert pod()["restartPolicy"] == "Never"
    assert pod()["automountServiceAccountToken"] is False
    context = pod()["securityContext"]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert context["runAsNonRoot"] is True
    own = container["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod()["volumes"]}
    assert not [entry for entry in container["env"] if "PASSWORD" in entry["name"]]


# --- the image ---------------------------------------------------------------------------------------------------------


def docker(*arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["docker", *arguments], text=True, capture_output=True, timeout=900, check=False, **{"input": None, **options}
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def copy_with_libraries(file: Path, root: Path) -> None:
    """A program or a module at the same place below `root`, with all the shared libraries that it loads."""
    listed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
    for name in {str(file), *re.findall(r"(/\S+\.so\S*)", listed)}:
        target = root / name.lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.realpath(name), target)


def base_image(root: Path, tag: str) -> None:
    """Stands in for `python:3`: this Python, a shell and what the Dockerfile calls, from this machine."""
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib", vars={"base": str(base), "installed_base": str(base)}))
    left_out = shutil.ignore_patterns(
        "site-packages", "dist-packages", "__pycache__", "test", "tests", "config-*", "*.a"
    )
    shutil.copytree(library, root / str(library).lstrip("/"), ignore=left_out, symlinks=True)
    python = Path(os.path.realpath(sys.executable))
    for file in (python, *(library / "lib-dynload").glob("*.so")):
        copy_with_libraries(file, root)
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    # Wheels rely on these (PEP 600), and images of Python have them.
    for name in ("libgcc_s.so.1", "libstdc++.so.6", "librt.so.1", "libpthread.so.0", "libdl.so.2", "libresolv.so.2"):
        found = re.search(rf"^\s*{re.escape(name)} .*=> (\S+)$", known, re.MULTILINE)
        assert found, name
        copy_with_libraries(Path(found[1]), root)
    (root / "bin").mkdir(exist_ok=True)
    for program in ("sh", "mkdir", "chown"):
        executable = Path(os.path.realpath(shutil.which(program) or program))
        copy_with_libraries(executable, root)
        if not (root / "bin" / program).exists():
            (root / "bin" / program).symlink_to(executable)
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/python").symlink_to(python)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    for folder, _, _ in os.walk(root):
        if folder != str(root / "tmp"):
            Path(folder).chmod(0o755)
    with subprocess.Popen(["tar", "-C", str(root), "-c", "--owner=0", "--group=0", "."], stdout=subprocess.PIPE) as tar:
        docker("import", "-c", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-", tag, stdin=tar.stdout)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Dockerfile's image, built from this checkout without a package index."""
    place = tmp_path_factory.mktemp("image")
    name = uuid.uuid4().hex[:12]
    base, tag = f"auditor-test-base:{name}", f"auditor-test:{name}"
    context = place / "context"
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    context.mkdir()
    for entry in ["Dockerfile", ".dockerignore", *(line[1:] for line in ignored if line.startswith("!"))]:
        source = ROOT / entry
        if source.is_dir() and entry != "wheels":
            shutil.copytree(source, context / entry, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy2(source, context / entry)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*needed["dependencies"], *needed["optional-dependencies"]["notify"], "hatchling"]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(context / "wheels"), *wanted]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    try:
        base_image(place / "root", base)
        offline = ("--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/source", "--network", "none")
        build = ("build", "--quiet", "--force-rm", "--build-arg", f"BASE={base}", *offline)
        # The first stage by a name of its own, so that nothing nameless stays behind.
        for target in (("--target", "build", "--tag", f"{tag}-build"), ("--tag", tag)):
            docker(*build, *target, str(context))
        yield tag
    finally:
        docker("image", "rm", "--force", tag, f"{tag}-build", base, check=False)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A container with the demo's application and the role of docs/role.sql, by its id; it listens on its port 5432."""
    started = docker(
        "run", "--detach", "--rm", "--label", f"auditor-test-run={RUN}", "--env", "POSTGRES_PASSWORD=postgres",
        "--env", "POSTGRES_DB=quayside",
        "--volume", f"{ROOT}/auditor/demo/app.sql:/docker-entrypoint-initdb.d/1-app.sql:ro",
        "--volume", f"{ROOT}/docs/role.sql:/docker-entrypoint-initdb.d/2-role.sql:ro",
        f"postgres:{MAJOR or 18}",
    )  # fmt: skip
    container = started.stdout.strip()
    try:
        for _ in range(240):
            ready = docker("exec", container, "pg_isready", "--quiet", "--host=127.0.0.1", check=False)
            if ready.returncode == 0:
                break
            time.sleep(0.25)
        password = "ALTER ROLE auditor PASSWORD '5ecret'"
        docker("exec", container, "psql", "-U", "postgres", "-d", "quayside", "-c", password)
        yield container
    finally:
        docker("rm", "--force", "--volumes", container, check=False)


@pytest.mark.docker
def test_the_cron_job_runs_in_the_image_as_nobody_special(image: str, postgres: str, tmp_path: Path) -> None:
    """The sample's own arguments, environment, user and mounts, by docker instead of Kubernetes."""
    (container,) = pod()["containers"]
    user = f"{pod()['securityContext']['runAsUser']}:{pod()['securityContext']['runAsGroup']}"
    files, reports = tmp_path / "files", tmp_path / "reports"
    files.mkdir()
    reports.mkdir()
    service = ConfigParser()
    service["prod"] = {"host": "127.0.0.1", "dbname": "quayside", "user": "auditor", "password": "5ecret"}
    with (files / "pg_service.conf").open("w") as file:
        service.write(file, space_around_delimiters=False)
    shutil.copy(ROOT / "auditor/demo/auditor.toml", files / "auditor.toml")
    volumes = {"files": f"{files}:/etc/auditor:ro", "reports": f"{reports}:/reports"}
    assert {m["mountPath"] for m in container["volumeMounts"]} == {"/etc/auditor", "/reports", "/tmp"}
    mode = next(v["secret"]["defaultMode"] for v in pod()["volumes"] if "secret" in v)
    for path in (*files.iterdir(), reports):  # as fsGroup does: root's, and the group's
        os.chown(path, 0, int(user.split(":")[1]))
        path.chmod(0o2770 if path == reports else mode)
    run = [
        "run", "--rm", "--label", f"auditor-test-run={RUN}", "--network", f"container:{postgres}", "--user", user,
        "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp",
        *(word for volume in volumes.values() for word in ("--volume", volume)),
        *(word for entry in container["env"] for word in ("--env", f"{entry['name']}={entry['value']}")),
    ]  # fmt: skip
    done = docker(*run, image, *container["args"], check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.fullmatch(r"\d+ findings \(.*\), 0 suppressed, \d+ probes, 0 not checked\n", done.stdout)
    report = json.loads((reports / "report.json").read_text())
    assert report["database"]["user"] == "auditor"
    assert report["run"]["status"] == "complete"
    checks = {finding["check"] for finding in report["findings"]}
    assert {"references/orphaned-memberships", "uniqueness/soft-delete-blocks-reuse"} <= checks
    assert {path.name: path.stat().st_uid for path in reports.iterdir()} == dict.fromkeys(
        ("history.db", "lock", "report.html", "report.json"), int(user.split(":")[0])
    )
    assert "5ecret" not in (reports / "report.json").read_text() + (reports / "report.html").read_text()
    # The second night knows the first, and the lock of the first does not keep it from starting.
    assert docker(*run, image, *container["args"], check=False).returncode == 1
    assert len(json.loads((reports / "report.json").read_text())["past"]) == 1
    # By default, too, it is nobody special, and apprise is there.
    assert docker("image", "inspect", "--format", "{{.Config.User}}", image).stdout.strip() == user
    code = "import apprise, os; print(os.getuid(), os.access('/', os.W_OK), os.access('/opt/auditor', os.W_OK))"
    said = docker("run", "--rm", "--entrypoint", "/opt/auditor/bin/python", image, "-c", code).stdout
    assert said == f"{user.split(':')[0]} False False\n"


# Run in the image: what the auditor says and leaves where there is little space, and where there is none.
FULL = """
import json, subprocess
from pathlib import Path
reports, history = Path("/reports"), Path("/history")
def audit(*options):
    done = subprocess.run(["/opt/auditor/bin/auditor", "audit", "-q", *options], capture_output=True, text=True)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}
def fill(path):
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
said = {}
(reports / "report.html").write_text("the last one")
said["reports"] = audit("-f", "html:report.html", "-f", "csv:report.csv")
said["left"] = {path.name: path.read_text()[:20] for path in reports.iterdir()}
said["first"] = audit("--history", "/history/history.db")
fill(history / "filler")
for name in ("history", "other"):
    said[name] = audit("--history", f"/history/{name}.db", "-f", f"csv:{name}.csv")
said["written"] = sorted(path.name for path in reports.iterdir())
(history / "filler").unlink()
said["again"] = audit("--history", "/history/history.db", "-f", "csv:again.csv")
runs = ["/opt/auditor/bin/auditor", "history", "/history/history.db"]
said["runs"] = subprocess.run(runs, capture_output=True, text=True).stdout
print(json.dumps(said))
"""


@pytest.mark.docker
def test_a_full_disk_is_told_in_one_line_and_costs_nothing_else(image: str, postgres: str) -> None:
    space = "uid=10001,gid=10001,mode=0770"
    done = docker(
        "run", "--rm", "--label", f"auditor-test-run={RUN}", "--network", f"container:{postgres}", "--read-only",
        "--tmpfs", "/tmp", "--tmpfs", f"/reports:size=64k,{space}", "--tmpfs", f"/history:size=512k,{space}",
        "--env", "PGHOST=127.0.0.1", "--env", "PGDATABASE=quayside", "--env", "PGUSER=auditor",
        "--env", "PGPASSWORD=5ecret", "--entrypoint", "/opt/auditor/bin/python", image, "-c", FULL,
    )  # fmt: skip
    said = json.loads(done.stdout)
    last = re.compile(r"\d+ findings \(.*\), 0 suppressed, \d+ probes, 0 not checked\n")
    assert all(last.fullmatch(said[name]["out"]) for name in ("reports", "first", "history", "again"))
    assert said["reports"]["code"] == 2
    assert said["reports"]["err"] == "auditor: cannot write the report to report.html: No space left on device\n"
    assert said["left"] == {"report.html": "the last one", "report.csv": "status,severity,conf"}
    # Nothing of a run that cannot be kept whole is kept, and the next one can be.
    assert (said["first"]["code"], said["first"]["err"]) == (1, "")
    for name in ("history", "other"):
        assert said[name]["code"] == 2
        why = f"auditor: the history in sqlite:////history/{name}.db cannot be used: database or disk is full\n"
        assert said[name]["err"] == why
    assert said["other"]["out"] == ""  # a history that cannot even be begun is told before anything is read
    assert said["written"] == ["history.csv", "report.csv", "report.html"]
    assert (said["again"]["code"], said["again"]["err"]) == (1, "")
    assert " 2 runs" in said["runs"]
