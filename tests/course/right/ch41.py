"""Right answers to the exercises of chapter 41, as different students might write them."""

import math

import numpy as np
import torch


def my_clip_factor__sum_of_squares(gradients, longest):
    total = 0.0
    for gradient in gradients:
        total += (gradient**2).sum().item()
    length = total**0.5
    if length <= longest:
        return 1
    return longest / length


def my_clip_factor__one_vector(gradients, longest):
    whole = torch.cat([g.flatten() for g in gradients])
    return torch.clamp(longest / whole.norm(), max=1.0)


def my_clip_factor__length_of_lengths(gradients, longest):
    length = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
    return longest / max(longest, length)


def my_clip_factor__numbers(gradients, longest):
    numbers = [number for g in gradients for number in g.reshape(-1).tolist()]
    return min(1, longest / math.hypot(*numbers))


def my_clip_factor__float32(gradients, longest):
    length = torch.zeros(1)
    for g in gradients:
        g.square_()  # changes its argument
        length += g.sum()
    return min(1.0, float(longest / length.sqrt()))


def my_adamw__steps(w, g, past, step, lr):
    m, v = past
    m = 0.9 * m + (1 - 0.9) * g
    v = 0.99 * v + (1 - 0.99) * g * g
    m_hat = m / (1 - 0.9**step)
    v_hat = v / (1 - 0.99**step)
    w = w * (1 - lr * 0.1)
    w = w - lr * m_hat / (v_hat**0.5 + 1e-8)
    return w, m, v


def my_adamw__library(w, g, past, step, lr):
    weight = torch.nn.Parameter(torch.tensor(w, dtype=torch.double))
    optimiser = torch.optim.AdamW([weight], lr=lr, betas=(0.9, 0.99), weight_decay=0.1)
    m, v = (torch.tensor(x, dtype=torch.double) for x in past)
    optimiser.state[weight] = {"step": torch.tensor(step - 1.0), "exp_avg": m, "exp_avg_sq": v}
    weight.grad = torch.tensor(g, dtype=torch.double)
    optimiser.step()
    return weight.detach(), m, v


def my_adamw__arrays(w, g, past, step, lr):
    betas = np.array([0.9, 0.99])
    means = betas * past + (1 - betas) * [g, g**2]
    m, v = means / (1 - betas**step)
    moved = w - lr * (0.1 * w + m / (np.sqrt(v) + 1e-8))
    return np.array([moved, *means])


def my_adamw__list(w, g, past, step, lr):
    result = [w, past[0] + 0.1 * (g - past[0]), past[1] + 0.01 * (g**2 - past[1])]
    m, v = result[1] / (1 - 0.9**step), result[2] / (1 - 0.99**step)
    result[0] -= lr * 0.1 * w
    result[0] -= lr * m / (math.sqrt(v) + 1e-8)
    return result


def my_rate__smallest(step, max_steps, warmup, cooldown, high):
    return min(high, high * (step + 1) / warmup, high * (max_steps - step) / cooldown)


def my_rate__cases(step, max_steps, warmup, cooldown, high):
    if step < warmup:
        return high / warmup * (step + 1)
    if step >= max_steps - cooldown:
        return high / cooldown * (max_steps - step)
    return high


def my_rate__interpolation(step, max_steps, warmup, cooldown, high):
    corners = [-1, warmup - 1, max_steps - cooldown, max_steps]
    return np.interp(step, corners, [0, high, high, 0])


def my_rate__whole_list(step, max_steps, warmup, cooldown, high):
    up = [high * (i + 1) / warmup for i in range(warmup)]
    down = [high * i / cooldown for i in range(cooldown, 0, -1)]
    level = [high] * (max_steps - warmup - cooldown)
    return (up + level + down)[step]


def my_mean_of_models__softmax(logits):
    return torch.log(torch.softmax(logits, dim=-1).mean(dim=0))


def my_mean_of_models__logarithms(logits):
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))


def my_mean_of_models__sum(logits):
    return logits.softmax(-1).sum(0).log()  # as good as the mean: softmax divides by the sum


def my_mean_of_models__largest_is_zero(logits):
    total = sum(torch.softmax(one, dim=-1) for one in logits)
    scores = total.log()
    return scores - scores.max(dim=-1, keepdim=True).values


def my_mean_of_models__numpy(logits):
    raised = np.exp(logits.numpy())
    probs = raised / raised.sum(axis=-1, keepdims=True)
    return np.log(probs.mean(axis=0))


def my_mean_of_models__loop(logits):
    M, B, T, V = logits.shape
    mean = torch.zeros(B, T, V)
    for model in range(M):
        mean += logits[model].softmax(dim=-1) / M
    return mean.log().tolist()
