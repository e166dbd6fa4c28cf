# docker build -t gradls . && docker run --rm -v "$PWD:/src:ro" gradls
FROM python:3.13-slim AS build
WORKDIR /gradls
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY gradls gradls
RUN python -m venv /opt/gradls && /opt/gradls/bin/pip install --no-cache-dir --quiet .

FROM python:3.13-slim
COPY --from=build /opt/gradls /opt/gradls
ENV PATH=/opt/gradls/bin:$PATH GRADLS_CACHE_DIR=/tmp/gradls
RUN useradd --create-home --uid 1000 gradls
USER 1000
WORKDIR /src
ENTRYPOINT ["gradls"]
CMD ["check", "."]
