"""What a run knows of an experiment, by topic of the reporting checklists."""

from __future__ import annotations

from collections.abc import Mapping

from bonescint.cohort import Manifest, Protocol, read_protocol
from bonescint.experiment.report.experiment_sections import Results
from bonescint.experiment.spec import ExperimentSpec
from bonescint.model import ModelFolder
from bonescint.scan import Case, Split


def checklist_answers(
    spec: ExperimentSpec,
    results: Results,
    cards: Mapping[str, ModelFolder],
    cohort: Manifest,
) -> dict[str, str]:
    """A text for each topic that the run can answer; a topic that it cannot is left out.

    Args:
        spec: what was done.
        results: results of every model.
        cards: the model folders.
        cohort: cohort of the experiment.
    """
    first = next(iter(results.values())).saliency
    test = cohort.split(Split.TEST)
    learnt = {case.centre for case in cohort.cases if case.split is not Split.TEST}
    external = sorted({case.centre for case in test} - learnt)
    patients = len({case.patient_id for case in cohort.cases})
    facts = {
        "preprocessing": _by_model(
            {
                name: f"preprocessing {folder.card.preprocessing.identifier}"
                for name, folder in cards.items()
            }
        ),
        "data_elements": "anterior and posterior whole-body view of each scan; label of the scan",
        "missing_data": _left_out(results),
        "partitions": f"by the manifest: {_splits(cohort)}",
        "disjointness": f"patients ({patients}): none is in two splits, which is checked",
        "model": _by_model({name: folder.card.architecture for name, folder in cards.items()}),
        "software": _by_model(
            {
                name: ", ".join(f"{key} {value}" for key, value in folder.card.software.items())
                for name, folder in cards.items()
            }
        ),
        "initialisation": _by_model(
            {name: folder.card.training.weights for name, folder in cards.items()}
        ),
        "training": _by_model({name: _training(folder) for name, folder in cards.items()}),
        "selection": "the weights at the end of training; nothing was selected on the test split",
        "ensembling": "none",
        "metrics": "area under the ROC curve, sensitivity, specificity, predictive values, F1, "
        "likelihood ratios, precision-recall, calibration, decision curve",
        "uncertainty": "DeLong, Wilson, and stratified bootstrap "
        f"({spec.resamples} resamples), 95 %",
        "robustness": "the same scans with fewer counts, blurred, shifted, turned, views exchanged "
        "or missing",
        "external_test": f"centre{'s' * (len(external) > 1)} {', '.join(external)}"
        if external
        else "",
        "flow": "section Cohort: to the reference standard, and through each index test",
        "demographics": _demographics(cohort.cases),
        "performance": "validation: in the model cards; test: section Performance",
        "accuracy": _by_model(
            {name: f"AUC {result.judgement.area.text()}" for name, result in results.items()}
        ),
        "failures": "section Explanation shows wrong calls; the report of each model shows more",
        "cutoff": f"{spec.rule.words}, on the validation split",
        "blinding": "models saw images only, no label and no clinical information",
        "indeterminate": "none: every scan that could be read gets a call; those in a model's "
        "uncertain band are counted separately, section Uncertain and unlike",
        "variability": "subgroups with tests for interaction: section Subgroups, reports of the "
        "models",
        "cross_tabulation": "confusion matrices, section Performance",
    }
    if spec.cohort.protocol:
        facts |= _simulated(read_protocol(spec.cohort.protocol), spec.cohort.seed)
    if first is not None and first.measures:
        facts["explainability"] = "maps measured against lesion masks, section Explanation"
    return {topic: text for topic, text in facts.items() if text}


def _simulated(protocol: Protocol, seed: int) -> dict[str, str]:
    """What is known of scans because a simulator made them."""
    visible = protocol.disease.visible_contrast_to_noise
    exact = "the simulator's own truth: which metastases it put into the patient"
    nobody = "not applicable: the simulator's truth"
    return {
        "design": "simulated; the reference standard was there before the index tests",
        "data_sources": f"simulated: protocol {protocol.name}, version {protocol.version}, seed "
        f"{seed}",
        "setting": "no place or date: simulated",
        "eligibility": "with metastases: at least one with a contrast-to-noise ratio of "
        f"{visible:g} or more in some view; without: no metastasis, other findings allowed",
        "identified": "drawn by the simulator, as the protocol's centres say",
        "sampling": "drawn at random by centre and class until the protocol's numbers were reached",
        "subsets": "positive patients without a visible metastasis are left out, in occult.csv",
        "sample_size": f"set by the protocol {protocol.name}",
        "deidentification": "simulated: the scans are not of real patients",
        "reference_standard": exact,
        "reference_rationale": "exact: no reader or follow-up could add to it",
        "reference_cutoff": "positive with one metastasis or more",
        "reference_blinded": "does not apply: set before the scan was simulated",
        "annotators": nobody,
        "annotation_tools": "none: masks are the simulator's truth",
        "rater_variability": "none: the truth is exact",
        "severity": "Subgroups: number and contrast of the lesions",
        "alternatives": "Explanation: which benign findings the evidence of false positives lies "
        "on",
        "interval": "none: the same moment",
        "adverse_events": "none: no patient took part",
    }


def _by_model(texts: Mapping[str, str]) -> str:
    same = set(texts.values())
    if len(same) == 1:
        return same.pop()
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


def _left_out(results: Results) -> str:
    counts = {name: len(result.left_out) for name, result in results.items()}
    return _by_model({name: f"{count} scans had no prediction" for name, count in counts.items()})


def _splits(cohort: Manifest) -> str:
    return ", ".join(f"{split.value} {len(cohort.split(split))}" for split in Split)


def _training(folder: ModelFolder) -> str:
    training = folder.card.training
    settings = training.settings
    rates = ("backbone_learning_rate", "head_learning_rate")
    named = ("network", "batch_size", "steps_per_epoch", *rates, "schedule", "seed")
    told = ", ".join(f"{name} {settings[name]}" for name in named if settings.get(name) is not None)
    return f"{training.epochs} epochs{', ' if told else ''}{told}"


def _demographics(cases: tuple[Case, ...]) -> str:
    known = [case for case in cases if case.age is not None and case.sex]
    return f"Table 1; age and sex of {len(known)} of {len(cases)} scans" if known else ""
