# The auditor as the nightly examples run it (docker-compose.yml, docs/nightly/cronjob.yaml): nothing runs as root, nothing has to be
# written but /reports and /tmp.
#
#   docker build --tag auditor .
#
# Without the package index: put the wheels that are needed into wheels/ and tell pip to look there, and nowhere else:
#
#   pip wheel --wheel-dir wheels '.[notify]' hatchling
#   docker build --tag auditor --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/source .
#
# BASE is an image with Python 3.11 or later as `python`, and a shell.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# Read by pip from its environment.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG PIP_INDEX_URL
WORKDIR /source
# The pattern may match nothing: wheels/ is there only if somebody made it.
COPY pyproject.toml README.md wheel[s] ./
COPY auditor auditor
COPY checks checks
COPY templates templates
RUN python -m venv /opt/auditor && /opt/auditor/bin/pip install --no-cache-dir '.[notify]'

FROM ${BASE}
COPY --from=build /opt/auditor /opt/auditor
RUN echo 'auditor:x:10001:10001::/nonexistent:/sbin/nologin' >> /etc/passwd && echo 'auditor:x:10001:' >> /etc/group \
    && mkdir /reports && chown 10001:10001 /reports
# By number: Kubernetes cannot tell from a name that it is not root (runAsNonRoot).
USER 10001:10001
WORKDIR /reports
ENTRYPOINT ["/opt/auditor/bin/auditor"]
