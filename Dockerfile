# A node. `docker build -t breaking-ticker .`, then see docker-compose.yml; alone, with its lines in a volume:
#   docker run --read-only --tmpfs /tmp --memory 1g --pids-limit 256 -v ticker:/var/lib/ticker \
#     -p 127.0.0.1:8000:8000 -e TICKER_PUBLIC_URL=http://127.0.0.1:8000 breaking-ticker

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY ticker ticker
COPY web web
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist . \
 && python -m venv --without-pip /opt/ticker \
 && pip --python /opt/ticker/bin/python install --no-cache-dir /dist/*.whl

FROM python:3.11-slim
RUN groupadd --gid 10001 ticker \
 && useradd --uid 10001 --gid ticker --no-create-home --home-dir /var/lib/ticker --shell /usr/sbin/nologin ticker \
 && install --directory --owner ticker --group ticker /var/lib/ticker
COPY --from=build /opt/ticker /opt/ticker
ENV PATH=/opt/ticker/bin:$PATH \
    TICKER_HOST=0.0.0.0 \
    TICKER_PORT=8000 \
    TICKER_NEWSWIRE=sqlite:////var/lib/ticker/ticker.db
# A number, so that an orchestrator sees that it isn't root. A new volume at /var/lib/ticker takes this owner.
USER 10001:10001
WORKDIR /var/lib/ticker
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=2 \
    CMD ["python", "-Ic", "import os, sys, http.client as http; node = http.HTTPConnection('127.0.0.1', int(os.environ['TICKER_PORT']), timeout=3); node.request('GET', '/readyz'); sys.exit(node.getresponse().status != 200)"]
ENTRYPOINT ["ticker"]
CMD ["serve"]
