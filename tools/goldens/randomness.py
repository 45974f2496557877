"""Random numbers that depend on a name only, so that no golden changes when another is added before it."""

import hashlib

import numpy as np


def generator(name: str) -> np.random.Generator:
    """A generator seeded by the name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed))


def normal(name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> np.ndarray:
    """Normal float32 numbers."""
    return (generator(name).standard_normal(shape) * std + mean).astype(np.float32)


def base_tensor(base: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of a base, scaled so that signals keep their size through the layers and attention is far from uniform.

    Norm weights scatter around 1 and biases around 0: a forgotten weight or bias then changes every output.
    """
    seed = f"base/{base}/{name}"
    if name.endswith("norm.weight"):
        return normal(seed, shape, 0.2, mean=1.0)
    if name.endswith(".bias"):
        return normal(seed, shape, 0.2)
    if name.endswith("embed_tokens.weight"):
        return normal(seed, shape, 0.5)
    return normal(seed, shape, shape[-1] ** -0.5)


def tokens(name: str, count: int, vocabulary: int, first: int = 20) -> list[int]:
    """Token ids in [first, vocabulary); ids below `first` are kept for control and invocation tokens."""
    return generator(name).integers(first, vocabulary, count).tolist()
