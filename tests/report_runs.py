"""Run directories as a finished training leaves them, written by hand: with hostile names, and with every judgement."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

LONG = "endless " * 37 + "name"
SCRIPT = "<script>alert(1)</script>"
ATTRIBUTE = '"onmouseover="alert(2)'
REVERSED = "cat\u202egnp.exe"
CLASSES = ["airplane", SCRIPT, ATTRIBUTE, REVERSED, LONG, "dog", "[click](javascript:alert(3))", "a|b", "قطة", "truck"]


def metric(value: float, margin: float = 0.007) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - margin), "high": min(1.0, value + margin)}


def png(red: int, side: int = 12) -> str:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = (b"".join(bytes((red, 20 * x % 256, 20 * y % 256)) for x in range(side)) for y in range(side))
    pixels = b"".join(b"\0" + line for line in lines)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return base64.b64encode(image).decode()


def evaluation(
    accuracy: float, *, linear: float = 0.41, classes: list[str] = CLASSES, support: int = 1000
) -> dict[str, Any]:
    size = len(classes)
    confusion = [[0] * size for _ in range(size)]
    for true in range(size):
        wrong = round(support * (1 - accuracy) * (0.4 + 1.2 * true / (size - 1)))
        confusion[true][(true + 1) % size] += wrong * 2 // 3
        confusion[true][(true + 3) % size] += wrong - wrong * 2 // 3
        confusion[true][true] = support - wrong
    scores = [
        {
            "name": name,
            "support": support,
            "precision": metric(accuracy, 0.02),
            "recall": metric(confusion[index][index] / support, 0.02),
            "f1": metric(confusion[index][index] / support, 0.03),
        }
        for index, name in enumerate(classes)
    ]
    shares = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
    return {
        "rows": support * size,
        "metrics": {name: metric(accuracy) for name in shares}
        | {"log_loss": {"value": 0.412, "low": 0.4, "high": 0.425}},
        "classes": scores,
        "confusion": confusion,
        "baselines": {
            "majority": {"accuracy": metric(0.1), "what": f"always {classes[0]!r}"},
            "linear": {"accuracy": metric(linear), "what": "logistic regression on pictures of 12 × 12"},
        },
        "without_views": metric(accuracy - 0.02),
    }


def data() -> dict[str, Any]:
    return {
        "name": "photos",
        "kind": "image",
        "classes": CLASSES,
        "counts": {"train": [4500, 400, *[4500] * 8], "validation": [500] * 10, "test": [1000] * 10},
        "split_origin": "the folders train and test; validation was taken from train, by class",
        "notes": ["The folder names are the classes.", "3 animated pictures: the first frame of each is used."],
        "set_aside": [
            {"key": "cats/\u202egpj.txt", "reason": "not a picture: it begins with 'MZ'"},
            *({"key": f"dogs/{index:03d}.jpg", "reason": "the file is cut short"} for index in range(9)),
        ],
        "input_shape": [3, 32, 32],
        "encoder": {"size": 32, "mean": [0.4, 0.4, 0.4]},
        "duplicates": {
            "groups": 4,
            "rows": 9,
            "across_labels": 1,
            "across_splits": 2,
            "examples": [["cats/1.png", "dogs/2.png"], ["cats/3.png", "cats/4.png", "cats/5.png"]],
        },
    }


def plan() -> dict[str, Any]:
    return {
        "decisions": [
            {"name": "network", "value": "resnet, width 48", "reason": "the largest that takes 12 epochs in 5 min"},
            {"name": "format", "value": "bfloat16", "reason": "1.9 × as fast as float32 here, measured in 3 s"},
            {"name": "batch", "value": "256", "reason": "larger ones are no faster on this machine"},
        ],
        "steps": 1800,
        "batch": 256,
        "planned_s": 300.0,
        "history": [
            {"step": 900, "steps_before": 2000, "steps": 1800, "reason": "steps took 11 % longer than measured"}
        ],
        "unknown": {"to": "this version"},
    }


def events() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"event": "phase", "name": "training", "elapsed_s": 12.0}]
    for step in range(10, 1801, 10):
        done = step / 1800
        epoch, elapsed_s = step / 175, 12 + 270 * done
        wobble = 0.08 * ((step * 7919) % 13 / 13 - 0.5)
        found.append(
            {
                "event": "step",
                "step": step,
                "steps": 1800,
                "epoch": epoch,
                "loss": 0.45 + 1.9 * (1 - done) ** 3 + wobble,
                "learning_rate": 0.4 * min(done / 0.2, (1 - done) / 0.8),
                "rows_per_s": 1700.0,
                "elapsed_s": elapsed_s,
            }
        )
        if step % 150 == 0:
            judged = {"step": step, "epoch": epoch, "loss": 0.42 + 1.5 * (1 - done) ** 2, "elapsed_s": elapsed_s}
            found.append({"event": "validation", "accuracy": 0.869 - 0.5 * (1 - done) ** 2, "best": True} | judged)
    return [*found, {"event": "stop", "step": 1800, "reason": "planned"}]


def write(run: Path, name: str, content: object) -> None:
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text(json.dumps(content), "utf-8")


def write_events(run: Path, found: list[dict[str, Any]], torn: str = "") -> None:
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in found) + torn, "utf-8")


def whole_run(run: Path) -> Path:
    """A finished run of ten classes with hostile names."""
    write(run, "data.json", data())
    write(run, "plan.json", plan())
    environment = {"gnomon": "0.1.0", "python": "3.11.2", "threads": 2, "seed": 0}
    environment |= {"started": "2025-03-04T18:30:00+01:00", "command": "gnomon train photos/ --by 5m"}
    write(run, "environment.json", environment)
    (run / "recipe.toml").write_text('[source]\nlocation = "photos"\n\n[dataset]\nseed = 0\n', "utf-8")
    write_events(run, events(), torn='{"event": "step", "st')
    write(run, "evaluation/test.json", evaluation(0.87))
    write(run, "evaluation/validation.json", evaluation(0.876))
    mistakes = [
        {
            "key": f"test/{CLASSES[index]}/{index:04d}.png",
            "label": CLASSES[index],
            "predicted": CLASSES[(index + 1) % 10],
            "confidence": 0.99999 - 0.01 * index,
            "thumbnail": png(25 * index),
        }
        for index in range(10)
    ]
    write(run, "evaluation/mistakes.json", mistakes)
    layer = {"name": "stage.convolution", "kind": "Conv2d", "parameters": 9216, "output_shape": [48, 32, 32]}
    write(run, "network.json", {"model": "resnet", "parameters": 1234567, "bytes": 4938268, "layers": [layer] * 14})
    (run / "model.safetensors").write_bytes(b"\0" * 2_470_000)
    return run


def judged_run(run: Path) -> Path:
    """The same with calibration, curves, slices, suspects, duplicates, explanations and rows of the matrix's cells."""
    whole_run(run)
    for name, accuracy in (("test", 0.87), ("validation", 0.876)):
        write(run, f"evaluation/{name}.json", evaluation(accuracy) | _judgement(accuracy))
    write(run, "evaluation/specimens.json", _specimens())
    write(run, "evaluation/speed.json", {"one_row_s": 0.0021, "rows_per_s": 5200.0})
    write(run, "evaluation/slices.json", _slices())
    write(run, "evaluation/suspects.json", _suspects())
    write(run, "evaluation/duplicates.json", _near_duplicates())
    write(run, "explain/examples.json", _explanations())
    return run


def _judgement(accuracy: float) -> dict[str, Any]:
    bins: list[dict[str, Any]] = [
        {"rows": 1000, "confidence": 0.1 * step + 0.05, "accuracy": metric(min(1.0, 0.1 * step + 0.03), 0.03)}
        for step in range(10)
    ]
    before = [each | {"accuracy": metric(max(0.0, 0.1 * step - 0.07), 0.03)} for step, each in enumerate(bins)]
    kept = [
        {"confidence": 0.99 - 0.09 * step, "share": 0.1 * (step + 1), "accuracy": metric(0.999 - 0.0143 * step, 0.004)}
        for step in range(10)
    ]
    curve = [(x / 20, (x / 20) ** 0.2) for x in range(21)]
    curves = [
        {"name": name, "roc": curve, "precision_recall": [(x, 1 - 0.4 * x * (1 + index / 10)) for x, _ in curve]}
        for index, name in enumerate(CLASSES)
    ]
    calibration = {"temperature": 1.4, "error": metric(0.011), "error_before": metric(0.052)}
    calibration |= {"log_loss_before": metric(0.47), "bins": bins, "bins_before": before, "error_by_chance": 0.009}
    scores = evaluation(accuracy)["classes"]
    for index, score in enumerate(scores):
        score |= {"roc_area": metric(0.99 - 0.01 * index), "average_precision": metric(0.97 - 0.02 * index)}
    unlike = {"threshold": 3.1, "share": metric(0.08)}
    return {
        "calibration": calibration,
        "kept": kept,
        "curves": curves,
        "classes": scores,
        "unlike": unlike,
        "groups": 12,
    }


def _specimens() -> list[dict[str, Any]]:
    def rows(true: int, said: int) -> list[dict[str, Any]]:
        return [
            {
                "key": f"test/{true}/{said}-{index}.png",
                "confidence": 0.99 - 0.1 * index,
                "picture": png(20 * true + said),
            }
            for index in range(3)
        ]

    return [
        {"true": true, "predicted": said, "rows": rows(true, said)}
        for true in range(10)
        for said in (true, (true + 1) % 10, (true + 3) % 10)
    ]


def _slices() -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {
            "by": "class",
            "name": SCRIPT,
            "rows": 1000,
            "p": 0.0001,
            "difference": {"value": -0.11, "low": -0.13, "high": -0.09},
        },
        {"by": "brightness", "name": "dark", "low": 0.0, "high": 41.5, "unit": "", "rows": 2500, "p": 0.4},
        {"by": "column", "column": ATTRIBUTE, "name": "north", "rows": 70, "p": 1.0},
    ]
    for part in parts:
        part["score"] = metric(0.8)
        part.setdefault("difference", {"value": 0.01, "low": -0.01, "high": 0.03})
    return {"measure": "accuracy", "overall": metric(0.87), "slices": parts, "worst": [0]}


def _suspects() -> dict[str, Any]:
    rows = [
        {
            "key": f"train/{index}.png",
            "part": "train",
            "label": CLASSES[index],
            "suggested": CLASSES[(index + 1) % 10],
            "given_probability": 0.01,
            "suggested_probability": 0.97,
            "doubt": 0.9,
            "thumbnail": png(9 * index),
        }
        for index in range(10)
    ]
    return {"judged": {"train": 40900}, "found": 610, "expected_wrong": 0.021, "rows": rows}


def _near_duplicates() -> dict[str, Any]:
    pair: dict[str, Any] = {
        "keys": ["train/a.png", "test/b.png"],
        "parts": ["train", "test"],
        "labels": ["dog", SCRIPT],
    }
    pair |= {"likeness": 0.99, "thumbnails": [png(3), png(4)]}
    return {"compared": 60000, "pairs_found": 31, "across_parts": 4, "across_labels": 2, "pairs": [pair] * 3}


def _explanations() -> dict[str, Any]:
    explanation = {"method": "integrated-gradients", "output": "dog", "score": 3.2, "picture": png(77)}
    explanation["findings"] = [{"en": "It looks at the middle.", "zh": "它看的是中间。"}]
    tokens = {"method": "occlusion", "output": "dog", "score": 1.0, "pieces": [{"text": SCRIPT, "weight": 0.9}]}
    example = {"key": "test/dog/1.png", "label": "dog", "predicted": "truck", "confidence": 0.98, "right": False}
    return {"kind": "image", "examples": [example | {"picture": png(5), "explanations": [explanation, tokens]}]}
