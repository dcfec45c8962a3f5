# syntax=docker/dockerfile:1
# Everything that the workflow, its jobs and the command wellfield need. Written without a Docker daemon at hand: the
# commands were tried, the image was not built.
#   docker build --tag wellfield .
#   docker build --tag wellfield:libraries --build-arg EXTRAS=torch,jax,tensorflow,pyclesperanto \
#     --build-arg SYSTEM_PACKAGES=pocl-opencl-icd .
#   docker build --tag wellfield:gpu --build-arg EXTRAS=gpu .
FROM python:3.11-slim

# Extras of pyproject.toml, separated by commas; Debian packages, separated by blanks.
ARG EXTRAS=""
ARG SYSTEM_PACKAGES=""

RUN if [ -n "$SYSTEM_PACKAGES" ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends $SYSTEM_PACKAGES \
        && rm -rf /var/lib/apt/lists/*; \
    fi

COPY . /opt/wellfield
WORKDIR /opt/wellfield

# The requirements for the image's own Python, the package in an environment of its own above it: a job that Snakemake
# starts in the image with the image's Python must find the code of the workflow that started it, not that of the image.
RUN python -m pip install --no-cache-dir "pip==26.3" \
    && python -m pip install --no-cache-dir --constraint requirements/lock.txt --only-deps ".${EXTRAS:+[$EXTRAS]}" \
    && python -m venv --system-site-packages --without-pip venv \
    && python -m pip --python venv/bin/python install --no-cache-dir --no-deps --editable . \
    && ln -s /opt/wellfield/venv/bin/wellfield /usr/local/bin/wellfield

# The image may be run under any user id: one without a name, which Snakemake asks for, and without a home for caches.
ENV USER=wellfield XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/cache/matplotlib

RUN useradd --create-home wellfield
USER wellfield
WORKDIR /data

# In /data, where the project is mounted: config/config.yaml, config/plates.tsv, results/.
CMD ["snakemake", "--snakefile", "/opt/wellfield/Snakefile", "--cores", "all"]
