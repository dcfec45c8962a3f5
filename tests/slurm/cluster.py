"""A real SLURM on this machine: munged, slurmctld and a slurmd for each node, on loopback, below one folder.

Nothing outside of that folder is written: the client commands find the cluster through wrappers that come first on the
``PATH``, and so do the jobs, which inherit it. Needs no root. The nodes share this machine, and their GPUs are plain
files: SLURM hands them out and sets the variables of a job, nothing can compute on them.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

DAEMONS = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd"}
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare")
PACKAGES = "munge slurmctld slurmd slurm-client"

GPUS_PER_NODE = 2
STARTING = 60  # seconds

CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# A job that holds more than it asked for is ended, as kernels do where SLURM has cgroups.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
GresTypes=gpu
MailProg=/bin/true
MessageTimeout=10
# Finished jobs are remembered that long; without accounting that is all that squeue knows of them.
MinJobAge=600
KillWait=2
OverTimeLimit=0
ReturnToService=2
# On a busy machine a node that is there may be slow to say so.
SlurmdTimeout=90
SchedulerParameters=sched_min_interval=0,bf_interval=2
SlurmdParameters=config_overrides
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{node_ports}] CPUs={cpus} RealMemory={memory_mb} \
Gres=gpu:a100:{gpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing_commands() -> list[str]:
    """Return the commands of SLURM that are not installed."""
    return [name for name in (*DAEMONS, *CLIENTS[:6]) if _found(name) is None]


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Cluster:
    """A SLURM whose files all lie in one folder.

    Parameters
    ----------
    folder:
        An empty folder; its path must be short, as a socket lies in it.
    nodes, cpus, memory_mb:
        Number of nodes; what each claims to have, whatever this machine has.
    """

    def __init__(self, folder: Path, *, nodes: int = 3, cpus: int = 4, memory_mb: int = 8000) -> None:
        self.folder = folder
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self._cpus, self._memory_mb = cpus, memory_mb

    @property
    def environment(self) -> dict[str, str]:
        """What a user of the cluster has: the wrappers of its commands come first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PYTEST_", "COV_"))}
        return kept | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def start(self) -> None:
        """Start everything that does not run, and wait until all nodes are idle.

        Raises
        ------
        RuntimeError
            They are not within a minute; the message has the last lines of the logs.
        """
        if not (self.folder / "slurm.conf").exists():
            self._write()
        self.start_munge()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        for _ in self._waiting(STARTING):
            states = self.command("sinfo", "--noheader", "--Node", "--format", "%T", check=False).split()
            if len(states) == len(self.nodes) and set(states) <= {"idle", "mixed", "allocated"}:
                return
        logs = [f"{log.name}:\n{log.read_text()[-1500:]}" for log in sorted(self.folder.glob("*.log"))]
        raise RuntimeError("SLURM did not start:\n" + "\n".join(logs))

    def stop(self) -> None:
        """End all jobs, and every process that :meth:`start` started."""
        self.command("scancel", "--user", getpass.getuser(), check=False)
        for _ in self._waiting(20):
            if not self.queue():
                break
        names = [*self.nodes, "slurmctld", "munged"]
        for name in names:
            self._signal(name, signal.SIGTERM)
        for _ in self._waiting(15):
            if not any(self._process(name) for name in names):
                return
        for name in names:
            self._signal(name, signal.SIGKILL)

    def start_munge(self) -> None:
        """Start the authentication service."""
        if self._process("munged") is None:
            (self.folder / "munged.pid").unlink(missing_ok=True)
            of_folder = [f"--{kind}={self.folder / name}" for kind, name in (
                ("socket", "munge.sock"), ("key-file", "munge.key"), ("pid-file", "munged.pid"),
                ("log-file", "munged.log"), ("seed-file", "munge.seed"),
            )]  # fmt: skip
            self._run("munged", "--force", "--num-threads=2", *of_folder)

    def start_controller(self) -> None:
        """Start slurmctld, with the state that it left."""
        if self._process("slurmctld") is None:
            self._run("slurmctld")

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node."""
        if self._process(node) is None:
            self._run("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Let a node crash: its slurmd and everything that runs under it are gone at once."""
        found = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
        steps = set(self.jobs_on(node))
        self._signal(node, signal.SIGKILL)
        for line in found.splitlines():
            pid, _, command = line.strip().partition(" ")
            if command.startswith("slurmstepd: [") and command[13:].split(".")[0] in steps:
                _kill_tree(int(pid))

    def jobs_on(self, node: str) -> list[str]:
        """Return the ids of the jobs that run on a node."""
        return self.command("squeue", "--noheader", "--nodelist", node, "--states", "R", "--format", "%A").split()

    def queue(self) -> list[str]:
        """Return a line for each job that waits, runs or ends: id, state, name of the rule and the wildcards."""
        text = self.command("squeue", "--noheader", "--format", "%A %T %k", check=False)
        return [line for line in text.splitlines() if line]

    def command(self, *arguments: str, check: bool = True) -> str:
        """Return what a client command prints; they hang where the controller is gone, hence the limit of time."""
        try:
            done = subprocess.run(
                arguments, env=self.environment, capture_output=True, text=True, timeout=20, check=check
            )
        except subprocess.TimeoutExpired:
            if check:
                raise
            return ""
        return done.stdout

    def _run(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        command = [str(_found(name)), *arguments]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=STARTING)

    def _write(self) -> None:
        for name in ("state", "bin", "gpus", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        controller, *nodes = _free_ports(len(self.nodes) + 1)
        host = socket.gethostname().partition(".")[0]
        text = CONFIGURATION.format(
            folder=self.folder,
            host=host,
            user=getpass.getuser(),
            controller_port=controller,
            node_ports=",".join(map(str, nodes)),
            nodes=len(self.nodes),
            cpus=self._cpus,
            memory_mb=self._memory_mb,
            gpus=GPUS_PER_NODE,
        )
        (self.folder / "slurm.conf").write_text(text)
        for number in range(GPUS_PER_NODE):
            (self.folder / "gpus" / f"nvidia{number}").symlink_to("/dev/null")
        files = f"{self.folder}/gpus/nvidia[0-{GPUS_PER_NODE - 1}]"
        (self.folder / "gres.conf").write_text(f"NodeName=n[1-{len(self.nodes)}] Name=gpu Type=a100 File={files}\n")
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        for name in CLIENTS:
            if (command := _found(name)) is not None:
                wrapper = self.folder / "bin" / name
                wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {command} "$@"\n')
                wrapper.chmod(0o755)

    def _process(self, name: str) -> int | None:
        """Return the id of a daemon that runs."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / f"{name}.pid").read_text())
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            return None if state == "Z" else pid
        return None

    def _signal(self, name: str, number: signal.Signals) -> None:
        if (pid := self._process(name)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @staticmethod
    def _waiting(seconds: float) -> Iterator[None]:
        """Come back every tenth of a second until the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield
            time.sleep(0.1)


def _kill_tree(pid: int) -> None:
    """Kill a process and all that it started."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                _kill_tree(int(child))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
