"""equinb: make a pretrained model respect a symmetry.

    G = eq.cyclic(4)
    turn, same = eq.Rot90(G), eq.Trivial(G)
    f = eq.Equitune(model, turn, same)                                # eq. (1)
    f = eq.Equizero(model, turn, same, loss=eq.losses.neg_max_prob)   # eq. (2)
    f = eq.LambdaEquitune(model, turn, same, net)                     # eq. (4)
    f = eq.CanonicalLambda(model, frame, act_in, act_out, net)        # eq. (5), (6)
    f = eq.Routed(model, turn, same, router, k=1)                     # fewer passes
    y, orbit = f(x, return_orbit=True)
    eq.check_equivariance(f, turn, same, x)
    print(eq.diagnose(model, x, {"turns": (turn, same)}))             # which to try

The methods are those of Basu et al., *Efficient Equivariant Transfer Learning from
Pretrained Models* (NeurIPS 2023). Only torch and numpy are imported here; what a
chapter needs loads with `equinb.apps`.
"""

from equinb import canonical, frames, losses
from equinb.actions import (
    Action,
    Flip,
    Matrix,
    Permutation,
    Product,
    Relabel,
    Restriction,
    Rot90,
    SignedPermutation,
    Trivial,
)
from equinb.canonical import CanonicalLambda
from equinb.check import Report, check_action, check_equivariance, check_group
from equinb.chunks import fastest_chunk
from equinb.cosets import OverCosets, right_cosets
from equinb.diagnose import diagnose
from equinb.diagnosis import Diagnosis, Finding
from equinb.distinct import Cached, Distinct
from equinb.equitune import Equitune, Uniform
from equinb.equizero import ArgMin, Equizero
from equinb.export import plain_module
from equinb.groups import FiniteGroup, cyclic, dihedral, direct_product, symmetric
from equinb.lambda_equitune import LambdaEquitune, Learned
from equinb.lattices import lattice, subgroups
from equinb.routed import Route, Routed
from equinb.symmetrized import Orbit, Symmetrized, Weighting

__version__ = "0.1.0"

__all__ = [
    "Action",
    "ArgMin",
    "Cached",
    "CanonicalLambda",
    "Diagnosis",
    "Distinct",
    "Equitune",
    "Equizero",
    "Finding",
    "FiniteGroup",
    "Flip",
    "LambdaEquitune",
    "Learned",
    "Matrix",
    "Orbit",
    "OverCosets",
    "Permutation",
    "Product",
    "Relabel",
    "Report",
    "Restriction",
    "Rot90",
    "Route",
    "Routed",
    "SignedPermutation",
    "Symmetrized",
    "Trivial",
    "Uniform",
    "Weighting",
    "canonical",
    "check_action",
    "check_equivariance",
    "check_group",
    "cyclic",
    "diagnose",
    "dihedral",
    "direct_product",
    "fastest_chunk",
    "frames",
    "lattice",
    "losses",
    "plain_module",
    "right_cosets",
    "subgroups",
    "symmetric",
]
