"""Every loss again, slow: one sample at a time, NumPy float64, angles by arccos, gradients by central differences.

A function takes an embedding (D,), a label and the parameters by name, and returns the loss and the logits (C,). It
shares nothing with the package but the published formulas.
"""

import math

import numpy as np


def gradients(function, arrays, step=1e-6):
    """Central differences of a scalar function of named arrays, one component at a time."""
    result = {}
    for name, array in arrays.items():
        result[name] = np.empty_like(array)
        for index in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * step
                values.append(function({**arrays, name: moved}))
            result[name][index] = (values[0] - values[1]) / (2 * step)
    return result


def batch(function, embedding, label, parameters, **options):
    """Loss (B,) and logits (B, C) of a batch, sample by sample."""
    rows = [function(x, int(y), parameters, **options) for x, y in zip(embedding, label)]
    return np.array([loss for loss, _ in rows]), np.array([logits for _, logits in rows])


def cross_entropy(logits, label, smoothing=0.0):
    largest = max(logits)
    log_sum = largest + math.log(sum(math.exp(z - largest) for z in logits))
    target = np.full(len(logits), smoothing / len(logits))
    target[label] += 1 - smoothing
    return sum(t * (log_sum - z) for t, z in zip(target, logits))


def with_true(logits, label, value):
    """The logits with the true class's replaced."""
    changed = np.array(logits)
    changed[label] = value
    return changed


def norm(x):
    return math.sqrt(sum(value * value for value in x))


def cosine(x, w):
    lengths = norm(x) * norm(w)
    return min(1.0, max(-1.0, float(x @ w) / lengths)) if lengths else 0.0


def softmax(x, label, p, *, normalize_weight=False, smoothing=0.0):
    weight = [w / norm(w) for w in p["weight"]] if normalize_weight else p["weight"]
    logits = np.array([x @ w for w in weight]) + p.get("bias", 0.0)
    return cross_entropy(logits, label, smoothing), logits


def l2_softmax(x, label, p, *, smoothing=0.0):
    length = norm(x)
    logits = np.array([p["scale"][0] * (x @ w) / length for w in p["weight"]])
    return cross_entropy(logits, label, smoothing), logits


def cosine_head(x, label, p, *, smoothing=0.0, true_cosine=lambda theta, margin: math.cos(theta)):
    cosines = [cosine(x, w) for w in p["weight"]]
    logits = p["scale"][0] * np.array(cosines)
    theta = math.acos(cosines[label])
    value = p["scale"][0] * true_cosine(theta, float(p.get("margin", [0.0])[0]))
    return cross_entropy(with_true(logits, label, value), label, smoothing), logits


def additive_cosine(theta, margin):
    return math.cos(theta) - margin


def additive_angle(theta, margin):
    return math.cos(theta + margin) if theta < math.pi - margin else math.cos(theta) - margin * math.sin(margin)


def easy_additive_angle(theta, margin):
    return math.cos(theta + margin) if theta < math.pi / 2 else math.cos(theta)


def psi(theta, margin):
    k = min(int(margin * theta / math.pi), margin - 1)
    return (-1) ** k * math.cos(margin * theta) - 2 * k


def multiplied_angle(x, label, p, *, margin, unit_weight, smoothing=0.0):
    lengths = [norm(x) * (1.0 if unit_weight else norm(w)) for w in p["weight"]]
    cosines = [cosine(x, w) for w in p["weight"]]
    logits = np.array([length * c for length, c in zip(lengths, cosines)])
    beta = float(p["beta"][0])
    blended = (beta * cosines[label] + psi(math.acos(cosines[label]), margin)) / (1 + beta)
    return cross_entropy(with_true(logits, label, lengths[label] * blended), label, smoothing), logits


def lgm(x, label, p, *, log_variance_floor=-4.0, smoothing=0.0):
    num_classes, size = p["mean"].shape
    raw = p.get("raw_log_variance")
    log_variance = np.zeros((num_classes, 1)) if raw is None else log_variance_floor + np.log1p(np.exp(raw))
    distance, half_log_det = np.zeros(num_classes), np.zeros(num_classes)
    for k in range(num_classes):
        for i in range(size):
            log_var = log_variance[k, i if log_variance.shape[1] > 1 else 0]
            distance[k] += 0.5 * (x[i] - p["mean"][k, i]) ** 2 / math.exp(log_var)
            half_log_det[k] += 0.5 * log_var
    logits = -distance - half_log_det
    with_margin = with_true(logits, label, logits[label] - p["margin"][0] * distance[label])
    likelihood = distance[label] + half_log_det[label]
    return cross_entropy(with_margin, label, smoothing) + p["likelihood_weight"][0] * likelihood, logits
