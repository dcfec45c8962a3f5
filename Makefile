# Every target sets up what it needs. Needs Python >= 3.11, make and git; never root.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc 2>/dev/null || echo 2)
EXAMPLE := example
SLURM_PACKAGES := munge slurmctld slurmd slurm-client

export PATH := $(CURDIR)/$(BIN):$(PATH)

# The exact versions that are installed here and in CI, and the extras that they are for.
LOCK := requirements/lock.txt
LOCKED := slurm test lint docs libraries gpu

.PHONY: help setup core lock test-oldest example demo test test-all readers lint format schemas docs bench bench-quick stress slurm-test clean
