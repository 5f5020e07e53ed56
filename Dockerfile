# cloudsync as an image: no root, no shell needed, runs with a read-only root file system.
#
#   docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges \
#     --group-add "$(stat -c %g /var/run/docker.sock)" -v /var/run/docker.sock:/var/run/docker.sock:ro \
#     -v "$PWD/cloudsync.toml:/etc/cloudsync/config.toml:ro" -v cloudsync-state:/var/lib/cloudsync \
#     -e HCLOUD_TOKEN cloudsync plan
#
# docs/install.md has the same with a socket proxy instead of the socket.
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY cloudsync cloudsync
COPY providers providers
COPY deploy deploy
COPY docs/glossary.md docs/writing-a-provider.md docs/
COPY examples/provider examples/provider
# Which providers' libraries are in it: aws, digitalocean, gcp, hetzner, openstack with commas between, or all.
ARG EXTRAS=all
RUN python -m venv /opt/cloudsync \
    && /opt/cloudsync/bin/python -m pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[${EXTRAS}]" \
    && /opt/cloudsync/bin/python -m pip uninstall --yes pip setuptools \
    && mkdir /state && mkdir -m 0700 /state/cloudsync

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="cloudsync" \
      org.opencontainers.image.description="Keeps cloud firewalls in step with the ports that Docker containers need" \
      org.opencontainers.image.licenses="MIT" \
      cloudsync.expose="false"
COPY --from=build /opt/cloudsync /opt/cloudsync
COPY --from=build --chown=65532:65532 /state/ /var/lib/
# State in /var/lib/cloudsync, configuration in /etc/cloudsync/config.toml; Python writes nothing beside its code.
ENV PATH=/opt/cloudsync/bin:$PATH \
    HOME=/var/lib/cloudsync \
    XDG_STATE_HOME=/var/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/cloudsync
VOLUME /var/lib/cloudsync
ENTRYPOINT ["cloudsync"]
CMD ["plan"]
