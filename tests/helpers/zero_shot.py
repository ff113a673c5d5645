"""Tiny zero-shot detectors with random weights, written as their authors' are: by `save_pretrained`, with real
processors and tokenisers of a few words."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    SwinConfig,
)

# Grounding DINO's code names the ids that BERT's vocabulary gives these.
BERTS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
WORDS = ["a", "photo", "of", "the", "cello", "flute", "acoustic", "guitar", "tu", "##ba"]


def write_zero_shot(kind: str, folder: Path, seed: int = 0) -> Path:
    """The files of a detector owlv2 or grounding_dino in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    if kind == "owlv2":
        _write_owlv2(folder)
    else:
        _write_grounding_dino(folder)
    return folder


def _write_owlv2(folder: Path) -> None:
    """It reads letter by letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["!", *letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    size: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    ends: dict[str, Any] = {"bos_token_id": len(tokens) - 2, "eos_token_id": len(tokens) - 1}
    config = Owlv2Config(
        text_config={**size, **ends, "vocab_size": len(tokens), "max_position_embeddings": 40},
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    tokenizer = CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    Owlv2Processor(Owlv2ImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)


def _write_grounding_dino(folder: Path) -> None:
    words = [f"[unused{number}]" for number in range(1030)]
    for word, number in BERTS.items():
        words[number] = word
    words += WORDS
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in words))
    layers: dict[str, Any] = {"encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads: dict[str, Any] = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    swin: dict[str, Any] = {"image_size": 32, "embed_dim": 8, "depths": [1] * 4, "num_heads": [1] * 4}
    swin |= {"window_size": 2, "out_indices": [2, 3, 4]}
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(**swin),
        text_config=BertConfig(
            vocab_size=len(words),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
        ),
        num_queries=12,
        d_model=32,
        max_text_len=32,
        **layers,
        **heads,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    GroundingDinoProcessor(images, BertTokenizer(str(vocabulary))).save_pretrained(folder)
