# One image: `python -m archive_site.run` runs everything on embedded defaults; `manage.py archive_worker` only a worker.
FROM python:3.12-slim AS packages
COPY requirements.txt /tmp/
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt

FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home reelkeep && mkdir /data && chown reelkeep /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
USER reelkeep
ENV PATH=/opt/venv/bin:$PATH REELKEEP_DATA=/data PYTHONUNBUFFERED=1 PORT=7860
VOLUME /data
EXPOSE 7860
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=5)"]
# PostgreSQL needs an init above it that reaps processes.
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "archive_site.run"]
