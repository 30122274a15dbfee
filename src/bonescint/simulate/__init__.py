"""Whole-body bone scans of synthetic patients, each with its truth.

Layer 1: arrays and data types only, no files. Needs the extra `simulate`.
"""

from bonescint.simulate.anatomy import Anatomy, build_anatomy, draw_anatomy
from bonescint.simulate.camera import CAMERAS, Camera, camera_named, draw_camera, set_up_camera
from bonescint.simulate.faintest import FaintestMetastasis
from bonescint.simulate.patient import ArmPose, LegPose, Patient, draw_patient
from bonescint.simulate.population import Disease, Population
from bonescint.simulate.projection import Projector
from bonescint.simulate.requested import RequestedUptake, can_have
from bonescint.simulate.seen_foci import TWELVE_NAMES, region_maps, twelve_regions
from bonescint.simulate.simulated_scan import SimulatedScan, simulate_scan

__all__ = [
    "CAMERAS",
    "TWELVE_NAMES",
    "Anatomy",
    "ArmPose",
    "Camera",
    "Disease",
    "FaintestMetastasis",
    "LegPose",
    "Patient",
    "Population",
    "Projector",
    "RequestedUptake",
    "SimulatedScan",
    "build_anatomy",
    "camera_named",
    "can_have",
    "draw_anatomy",
    "draw_camera",
    "draw_patient",
    "region_maps",
    "set_up_camera",
    "simulate_scan",
    "twelve_regions",
]
