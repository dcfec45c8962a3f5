"""Choose the route from one library to another, from facts and rules, without touching the array."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from wellfield.memory.rules import LibraryRules, rules_of
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType, Method

_HAVE_CUDA_INTERFACE = (MemoryType.CUPY, MemoryType.TORCH, MemoryType.JAX)
_TAKE_CUDA_INTERFACE = (MemoryType.CUPY, MemoryType.TORCH)


@dataclass(frozen=True, slots=True)
class Conversion:
    """How an array is converted, or why it is not.

    Parameters
    ----------
    source_type, target_type:
        Memory types.
    source_dtype, target_dtype:
        NumPy's names of the dtypes. They differ only if the rules say so; the values are equal.
    source_device, target_device:
        Where the bytes are, before and after.
    methods:
        The routes in the order in which they are tried; empty if the conversion is refused.
    copies:
        How often the values are copied; 0 if the memory is shared.
    reasons:
        Why the values are copied although the libraries could share memory, and why the dtype changes.
    refusal:
        Which check refuses the conversion, and why; ``None`` if it is possible.
    """

    source_type: MemoryType
    target_type: MemoryType
    source_dtype: str
    target_dtype: str
    source_device: Device = CPU
    target_device: Device = CPU
    methods: tuple[Method, ...] = ()
    copies: int = 0
    reasons: tuple[str, ...] = ()
    refusal: tuple[str, str] | None = None

    def __str__(self) -> str:
        route = f"{self.source_type} {self.source_dtype} → {self.target_type}"
        if self.source_device != self.target_device:
            route += f" on {self.target_device}"
        if self.refusal:
            return f"{route}: refused ({self.refusal[1]})"
        kept = "" if self.source_dtype == self.target_dtype else f" as {self.target_dtype}"
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"{route}{kept} by {self.methods[0]} ({'copied' if self.copies else 'shared'}{why})"


@lru_cache(maxsize=4096)
def choose_route(
    source: MemoryType, target: MemoryType, facts: ArrayFacts, device: Device, x64: bool = False
) -> Conversion:
    """Return how an array with these facts becomes one of *target* on *device*.

    Parameters
    ----------
    x64:
        JAX keeps 64-bit dtypes.
    """
    rules = rules_of(target, device, x64=x64)
    dtype = rules.becomes.get(facts.dtype, facts.dtype)

    def conversion(methods: tuple[Method, ...], copies: int, *reasons: str) -> Conversion:
        return Conversion(source, target, facts.dtype, dtype, facts.device, device, methods, copies, reasons)

    if source == target and facts.device == device:
        return conversion((Method.SAME_OBJECT,), 0)
    if dtype == "bfloat16" and facts.device != device and source != target:
        reason = f"bfloat16 goes from {facts.device} to {device} through NumPy, which has none; use float32"
        return Conversion(source, target, dtype, dtype, facts.device, device, refusal=("dtype", reason))
    if refusal := _refusal(target, facts, device, dtype, rules):
        return Conversion(source, target, facts.dtype, dtype, facts.device, device, refusal=refusal)
    if facts.device != device or dtype != facts.dtype:
        kinds = {facts.device.kind, device.kind}
        moves = source == target and DeviceKind.PROTOTYPE not in kinds
        last = () if facts.dtype == "bfloat16" else (Method.HOST_COPY,)
        why = () if dtype == facts.dtype else (f"{facts.dtype} becomes {dtype}, with equal values",)
        return conversion((Method.DEVICE_MOVE, *last) if moves else last, 1, *why)
    reasons = _reasons_to_copy(target, facts, rules)
    if MemoryType.NUMPY in (source, target):
        return conversion(
            (Method.HOST_COPY,) if reasons else (Method.SAME_BUFFER, Method.HOST_COPY), len(reasons[:1]), *reasons
        )
    methods = [Method.DLPACK]
    if device.kind == DeviceKind.CUDA and source in _HAVE_CUDA_INTERFACE and target in _TAKE_CUDA_INTERFACE:
        methods.append(Method.CUDA_ARRAY_INTERFACE)
    if facts.dtype != "bfloat16":
        methods.append(Method.HOST_COPY)
    return conversion(tuple(methods), len(reasons[:1]), *reasons)


def _refusal(
    target: MemoryType, facts: ArrayFacts, device: Device, dtype: str, rules: LibraryRules
) -> tuple[str, str] | None:
    least, most = rules.ranks
    if dtype not in rules.dtypes:
        known = ", ".join(sorted({*rules.dtypes, *rules.becomes}))
        hint = "; set jax_enable_x64 for 64 bits" if target == MemoryType.JAX and dtype.endswith(("64", "128")) else ""
        where = " of the prototype" if device.kind == DeviceKind.PROTOTYPE else ""
        return "dtype", f"{target}{where} does not hold {dtype} unchanged; it takes {known}{hint}"
    if facts.rank < least or (most is not None and facts.rank > most):
        return "shape", f"{target} takes arrays of {least} to {most} dimensions; this one has {facts.rank}"
    if facts.empty and not rules.empty:
        return "shape", f"{target} takes no arrays without elements"
    return None


def _reasons_to_copy(target: MemoryType, facts: ArrayFacts, rules: LibraryRules) -> tuple[str, ...]:
    """Return the reasons why *target* cannot share the memory; NumPy can share everything."""
    if target == MemoryType.NUMPY:
        return ()
    checks = {
        "its bytes are not in this machine's order, or not at addresses of their size": not facts.native,
        "an axis runs backwards": not facts.forward,
        f"{target} takes no arrays with gaps or another order of axes": not facts.compact and not rules.strided,
        f"it does not start at a multiple of {rules.alignment} bytes": not facts.aligned and rules.alignment > 1,
        f"it must not change, and {target} could write it": not facts.writable and not rules.immutable,
    }
    return tuple(reason for reason, applies in checks.items() if applies)
