"""Small data sets of made-up texts, on disk as the real ones are."""

import random

FILES = ("train_neg", "train_pos", "test_neg", "test_pos")


def sentence(draw, vocabulary, length):
    return " ".join(draw.choices(vocabulary, k=length)) + "."


def film_reviews(root, each=40, length=60):
    """`imdb/<file>.tsv`, a review a line: its name, a tab, its text, of made-up words.

    Returns:
        The texts of each file, in order.
    """
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("abcdefghij", k=4)) for _ in range(100)]
    texts = {
        name: [sentence(draw, vocabulary, length) for _ in range(each)]
        for name in FILES
    }
    write_reviews(root, texts)
    return texts


def write_reviews(root, texts):
    """`imdb/<file>.tsv`, from the texts of each file."""
    folder = root / "imdb"
    folder.mkdir(exist_ok=True)
    for name, some in texts.items():
        lines = [f"{place}_7.txt\t{text}\n" for place, text in enumerate(some)]
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
