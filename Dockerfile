# The auditor as the nightly example of docker-compose.yml runs it: reports go to /reports, nothing runs as root.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md ./
COPY auditor auditor
COPY checks checks
COPY templates templates
RUN python -m venv /opt/auditor && /opt/auditor/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/auditor /opt/auditor
RUN useradd --system --no-create-home auditor && install -d -o auditor -g auditor /reports
USER auditor
WORKDIR /reports
ENTRYPOINT ["/opt/auditor/bin/auditor"]
