"""How good captions are, by the measures that captioning is published with: pycocoevalcap's own scorers.

Its tokenizer needs Java; captions are cut into words here instead: lower case, runs of letters and digits, no
punctuation, as the Penn Treebank tokenizer of COCO's evaluation leaves them too. Scores of text with contractions
("it's") may differ in the third digit from those of COCO's server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

WORD = re.compile(r"[^\W_]+")


def caption_metrics(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """One caption for each picture, and the sentences that are right for it (one or more).

    `exact_match`: share of captions that are one of the references, letter for letter. `bleu_4` (Papineni et al.,
    2002), `rouge_l` (Lin, 2004) and `cider` (Vedantam et al., 2015; ten times a mean cosine, and 0 for a single
    picture, because words weigh by how few pictures have them).
    """
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    exact = sum(said in right for said, right in zip(captions, references, strict=True))
    said_words = {index: [split_words(caption)] for index, caption in enumerate(captions)}
    right_words = {index: [split_words(each) for each in right] for index, right in enumerate(references)}
    bleu = BleuScorer(n=4)
    for index, said in said_words.items():
        bleu += (said[0], right_words[index])
    return {
        "exact_match": exact / max(1, len(captions)),
        "bleu_4": float(bleu.compute_score(option="closest", verbose=0)[0][3]),
        "rouge_l": float(Rouge().compute_score(right_words, said_words)[0]),
        "cider": float(Cider().compute_score(right_words, said_words)[0]),
    }


def split_words(caption: str) -> str:
    """Words with one space between them, which is where the scorers cut."""
    return " ".join(WORD.findall(caption.lower()))
