# The image of all four services: the packages of requirements.lock that a server needs, and Perdure.
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/perdure \
 && /opt/perdure/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml ./
COPY scripts/unneeded.py scripts/
COPY services services
RUN /opt/perdure/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
 && /opt/perdure/bin/python scripts/unneeded.py | xargs /opt/perdure/bin/pip uninstall --yes --quiet

FROM ${PYTHON}
COPY --from=build /opt/perdure /opt/perdure
ENV PATH=/opt/perdure/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 7233 7234 7235 7239 9090
ENTRYPOINT ["perdure"]
CMD ["--help"]
