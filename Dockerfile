# One image for web, gateway, worker, beat, sealer and the one-shot commands. No compiler and no cache in it.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/fusebox
COPY requirements/base.txt /tmp/base.txt
RUN /opt/fusebox/bin/pip install --require-hashes --only-binary :all: -r /tmp/base.txt

FROM python:3.12-slim
ENV PATH=/opt/fusebox/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=console.settings \
    FUSEBOX_DATA=/data \
    FUSEBOX_STATIC_ROOT=/srv/static
RUN groupadd --system --gid 10001 fusebox \
    && useradd --system --uid 10001 --gid fusebox --home-dir /data --shell /usr/sbin/nologin fusebox \
    && install --directory --owner fusebox --group fusebox /data /data/sealer /data/certificate /data/content-keys
COPY --from=build /opt/fusebox /opt/fusebox
WORKDIR /app
COPY manage.py ./
COPY audit audit
COPY access access
COPY deployments deployments
COPY gateway gateway
COPY console console
COPY templates templates
COPY static static
RUN python manage.py messages --compile \
    && python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q access audit console deployments gateway
USER fusebox
EXPOSE 8000
# Both faces answer /healthz; worker and beat have checks of their own in docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["uvicorn", "console.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", "35"]
