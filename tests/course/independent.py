"""Right answers to exercises of chapter 12, each written without a look at the others."""

ANSWERS: dict[str, list[str]] = {
    "pair-counts-answer": [
        '''
def my_pair_counts(ids, vocab_size):
    """Count how often each token follows each other one: (T,) -> (V, V)."""
    counts = np.zeros((vocab_size, vocab_size))
    for first, second in zip(ids, ids[1:], strict=False):
        counts[first, second] += 1
    return counts
''',
        '''
def my_pair_counts(ids, vocab_size):
    """Count how often each token follows each other one: (T,) -> (V, V)."""
    m = np.zeros((vocab_size, vocab_size), dtype=int)
    for i in range(len(ids) - 1):
        m[ids[i], ids[i + 1]] += 1
    return m
''',
        """
def my_pair_counts(ids, vocab_size):
    result = np.zeros((vocab_size, vocab_size))
    np.add.at(result, (ids[:-1], ids[1:]), 1)
    return result
""",
        """
def my_pair_counts(ids, vocab_size):
    # list of lists, then array
    table = [[0] * vocab_size for _ in range(vocab_size)]
    previous = None
    for token in ids:
        if previous is not None:
            table[previous][token] += 1
        previous = token
    return np.array(table)
""",
        """
def my_pair_counts(ids, vocab_size):
    C = np.zeros([vocab_size, vocab_size])
    for t in range(1, len(ids)):
        a = ids[t - 1]
        b = ids[t]
        C[a, b] = C[a, b] + 1
    return C
""",
    ],
    "copy-answer": [
        """
def my_longest_copy(sample, text):
    longest, start = 0, 0
    while start + longest < len(sample):
        if sample[start : start + longest + 1] in text:
            longest += 1
        else:
            start += 1
    return longest
""",
        """
def my_longest_copy(sample, text):
    best = 0
    for i in range(len(sample)):
        for j in range(i + 1, len(sample) + 1):
            if sample[i:j] in text and j - i > best:
                best = j - i
    return best
""",
        """
def my_longest_copy(sample, text):
    previous = [0] * (len(text) + 1)
    best = 0
    for i in range(1, len(sample) + 1):
        current = [0] * (len(text) + 1)
        for j in range(1, len(text) + 1):
            if sample[i - 1] == text[j - 1]:
                current[j] = previous[j - 1] + 1
                best = max(best, current[j])
        previous = current
    return best
""",
        """
def my_longest_copy(sample, text):
    for length in range(len(sample), 0, -1):
        for start in range(len(sample) - length + 1):
            if sample[start:start + length] in text:
                return length
    return 0
""",
        """
def my_longest_copy(sample, text):
    low, high = 0, len(sample)
    while low < high:
        mid = (low + high + 1) // 2
        pieces = {text[i:i + mid] for i in range(len(text) - mid + 1)}
        if any(sample[i:i + mid] in pieces for i in range(len(sample) - mid + 1)):
            low = mid
        else:
            high = mid - 1
    return low
""",
        """
def my_longest_copy(sample, text):
    max_len = 0
    for i in range(len(sample)):
        for j in range(i, len(sample)):
            sub = sample[i:j + 1]
            if sub in text:
                if len(sub) > max_len:
                    max_len = len(sub)
            else:
                break
    return max_len
""",
    ],
    "add-k-answer": [
        """
def my_add_k(counts, k):
    V = counts.shape[0]
    total = counts.sum(axis=1, keepdims=True)
    return (counts + k) / (total + k * V)
""",
        """
def my_add_k(counts, k):
    smoothed = counts + k
    row_sums = np.sum(smoothed, axis=1)
    return smoothed / row_sums[:, None]
""",
        """
def my_add_k(counts, k):
    probs = np.zeros_like(counts)
    n = len(counts)
    for a in range(n):
        total = counts[a].sum() + k * n
        for b in range(n):
            probs[a, b] = (counts[a, b] + k) / total
    return probs
""",
        """
def my_add_k(counts, k):
    rows = []
    for row in counts:
        rows.append((row + k) / (row.sum() + k * len(row)))
    return np.array(rows)
""",
    ],
    "kneser-ney-answer": [
        """
def my_kneser_ney(counts, discount):
    seen = counts > 0
    shorter = seen.sum(axis=0) / seen.sum()
    result = np.empty(counts.shape)
    for a, row in enumerate(counts):
        total = row.sum()
        if total == 0:
            result[a] = shorter
        else:
            taken = discount * seen[a].sum() / total
            result[a] = np.maximum(row - discount, 0) / total + taken * shorter
    return result
""",
        """
def my_kneser_ney(counts, discount):
    before = (counts > 0).sum(axis=0)
    shorter = before / before.sum()
    total = counts.sum(axis=1, keepdims=True)
    followers = (counts > 0).sum(axis=1, keepdims=True)
    divisor = np.maximum(total, 1)
    mixed = np.maximum(counts - discount, 0) / divisor + discount * followers / divisor * shorter
    return np.where(total > 0, mixed, shorter)
""",
        """
def my_kneser_ney(counts, discount):
    n = counts.shape[0]
    cont = np.zeros(n)
    for b in range(n):
        for a in range(n):
            if counts[a, b] > 0:
                cont[b] += 1
    cont = cont / cont.sum()
    probs = np.zeros((n, n))
    for a in range(n):
        total = sum(counts[a])
        if total == 0:
            probs[a] = cont
            continue
        kinds = sum(1 for c in counts[a] if c > 0)
        lam = discount * kinds / total
        for b in range(n):
            probs[a, b] = max(counts[a, b] - discount, 0) / total + lam * cont[b]
    return probs
""",
        """
def my_kneser_ney(counts, discount):
    continuation = np.count_nonzero(counts, axis=0)
    p_cont = continuation / continuation.sum()
    row_totals = counts.sum(axis=1)
    out = np.zeros_like(counts, dtype=float)
    for i in range(len(counts)):
        if row_totals[i] == 0:
            out[i] = p_cont
        else:
            lam = discount / row_totals[i] * np.count_nonzero(counts[i])
            out[i] = np.clip(counts[i] - discount, 0, None) / row_totals[i] + lam * p_cont
    return out
""",
        """
def my_kneser_ney(counts, discount):
    types = (counts > 0)
    unigram = types.sum(0) / types.sum()
    c = counts.sum(1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.maximum(counts - discount, 0) / c
        weight = discount * types.sum(1)[:, None] / c
        p = first + weight * unigram
    p[c[:, 0] == 0] = unigram
    return p
""",
        """
def my_kneser_ney(counts, discount):
    V = len(counts)
    seen = (counts > 0).astype(float)
    lower = seen.sum(axis=0) / seen.sum()
    P = np.zeros((V, V))
    for a in range(V):
        total = counts[a].sum()
        if total > 0:
            discounted = np.maximum(counts[a] - discount, 0) / total
            left_over = discount * seen[a].sum() / total
            P[a] = discounted + left_over * lower
        else:
            P[a] = lower
    return P
""",
    ],
}
