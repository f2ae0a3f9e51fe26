"""Initial value problems with known end values: equations in our language, as `@ode_def`, and the numbers.

The problems are those of the Test Set for IVP Solvers, of DETEST and Arenstorf's orbit; the end
values were recomputed in quadruple precision where `kind` says "recomputed" (they agree with the
published ones to the digits that those carry), and are the published ones otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TEST_SET = "F. Mazzia & C. Magherini, Test Set for Initial Value Problem Solvers, release 2.4, Bari 2008"
DETEST = "W. H. Enright & J. D. Pryce, ACM TOMS 13 (1987) 1-34, Algorithm 648"
ORBIT = "R. F. Arenstorf, Amer. J. Math. 85 (1963) 27-35; the orbit of four loops in Shampine & Baca's numbers"


@dataclass(frozen=True)
class Problem:
    """One problem: `native` is a complete model, `ode_def` the macro as Julia has it (None: not expressible)."""

    name: str
    source: str
    native: str
    ode_def: str | None
    u0: tuple[float, ...]
    t_end: float
    values: tuple[float, ...]
    kind: str
    stiff: bool
    parameters: dict[str, float] = field(default_factory=dict)
    checked: tuple[int, ...] = ()
    """Components to compare; empty: all.  The others have decayed to nothing."""


PROBLEMS = (
    Problem(
        "vdpol",
        TEST_SET,
        """
            y1' = y2
            y2' = mu*(1 - y1^2)*y2 - y1
            y1(0) = 2.0; y2(0) = 0.0
            param mu = 1000.0
        """,
        """@ode_def begin
  dy1 = y2
  dy2 = mu*(1 - y1^2)*y2 - y1
end mu""",
        (2.0, 0.0),
        2000.0,
        (1.706167732170465, -0.0008928097010248166),
        "recomputed",
        True,
        {"mu": 1000.0},
    ),
    Problem(
        "vdpol_scaled",
        TEST_SET,
        """
            y1' = y2
            y2' = ((1 - y1^2)*y2 - y1)/eps
            y1(0) = 2.0; y2(0) = 0.0
            param eps = 1e-06
        """,
        """@ode_def begin
  dy1 = y2
  dy2 = ((1 - y1^2)*y2 - y1)/eps
end eps""",
        (2.0, 0.0),
        2.0,
        (1.706167732170465, -0.8928097010248165),
        "recomputed",
        True,
        {"eps": 1e-06},
    ),
    Problem(
        "orego",
        TEST_SET,
        """
            y1' = k1*(y2 + y1 - y1*y2 - k2*y1*y1)
            y2' = (y3 - (1 + y1)*y2)/k3
            y3' = k4*(y1 - y3)
            y1(0) = 1.0; y2(0) = 2.0; y3(0) = 3.0
            param k1 = 77.27, k2 = 8.375e-06, k3 = 77.27, k4 = 0.161
        """,
        """@ode_def begin
  dy1 = k1*(y2 + y1 - y1*y2 - k2*y1*y1)
  dy2 = (y3 - (1 + y1)*y2)/k3
  dy3 = k4*(y1 - y3)
end k1 k2 k3 k4""",
        (1.0, 2.0, 3.0),
        360.0,
        (1.0008148703185227, 1228.178521549888, 132.05549428465082),
        "recomputed",
        True,
        {"k1": 77.27, "k2": 8.375e-06, "k3": 77.27, "k4": 0.161},
    ),
    Problem(
        "rober",
        TEST_SET,
        """
            y1' = -k1*y1 + k3*y2*y3
            y2' = k1*y1 - k2*y2*y2 - k3*y2*y3
            y3' = k2*y2*y2
            y1(0) = 1.0; y2(0) = 0.0; y3(0) = 0.0
            param k1 = 0.04, k2 = 30000000.0, k3 = 10000.0
        """,
        """@ode_def begin
  dy1 = -k1*y1 + k3*y2*y3
  dy2 = k1*y1 - k2*y2*y2 - k3*y2*y3
  dy3 = k2*y2*y2
end k1 k2 k3""",
        (1.0, 0.0, 0.0),
        100000000000.0,
        (2.083340149701294e-08, 8.333360770334784e-14, 0.9999999791665152),
        "recomputed",
        True,
        {"k1": 0.04, "k2": 30000000.0, "k3": 10000.0},
    ),
    Problem(
        "hires",
        TEST_SET,
        """
            y1' = -k1*y1 + k2*y2 + k6*y3 + oks
            y2' = k1*y1 - (k2 + k3)*y2
            y3' = -(k6 + k1)*y3 + k2*y4 + k5*y5
            y4' = k3*y2 + k1*y3 - (k4 + k2)*y4
            y5' = -(k5 + k1)*y5 + k2*(y6 + y7)
            y6' = -k7*y6*y8 + k8*y4 + k1*y5 - k2*y6 + k8*y7
            y7' = k7*y6*y8 - (k2 + k8 + k9)*y7
            y8' = -k7*y6*y8 + (k2 + k8 + k9)*y7
            y1(0) = 1.0; y2(0) = 0.0; y3(0) = 0.0; y4(0) = 0.0; y5(0) = 0.0
            y6(0) = 0.0; y7(0) = 0.0; y8(0) = 0.0057
            param k1 = 1.71, k2 = 0.43, k3 = 8.32, k4 = 0.69, k5 = 0.035
            param k6 = 8.32, k7 = 280.0, k8 = 0.69, k9 = 0.69, oks = 0.0007
        """,
        """@ode_def begin
  dy1 = -k1*y1 + k2*y2 + k6*y3 + oks
  dy2 = k1*y1 - (k2 + k3)*y2
  dy3 = -(k6 + k1)*y3 + k2*y4 + k5*y5
  dy4 = k3*y2 + k1*y3 - (k4 + k2)*y4
  dy5 = -(k5 + k1)*y5 + k2*(y6 + y7)
  dy6 = -k7*y6*y8 + k8*y4 + k1*y5 - k2*y6 + k8*y7
  dy7 = k7*y6*y8 - (k2 + k8 + k9)*y7
  dy8 = -k7*y6*y8 + (k2 + k8 + k9)*y7
end k1 k2 k3 k4 k5 k6 k7 k8 k9 oks""",
        (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057),
        321.8122,
        (
            0.0007371312573325667,
            0.00014424857263161848,
            5.888729740967575e-05,
            0.001175651343283149,
            0.0023863561988313304,
            0.0062389682527427956,
            0.0028499983951857685,
            0.0028500016048142313,
        ),
        "recomputed",
        True,
        {
            "k1": 1.71,
            "k2": 0.43,
            "k3": 8.32,
            "k4": 0.69,
            "k5": 0.035,
            "k6": 8.32,
            "k7": 280.0,
            "k8": 0.69,
            "k9": 0.69,
            "oks": 0.0007,
        },
    ),
    Problem(
        "arenstorf_SB1",
        ORBIT,
        """
            d1 = ((y1 + mu)^2 + y2^2)^1.5
            d2 = ((y1 - mup)^2 + y2^2)^1.5
            y1' = y3
            y2' = y4
            y3' = y1 + 2*y4 - mup*(y1 + mu)/d1 - mu*(y1 - mup)/d2
            y4' = y2 - 2*y3 - mup*y2/d1 - mu*y2/d2
            y1(0) = 1.2; y2(0) = 0.0; y3(0) = 0.0; y4(0) = -1.049357509830319
            param mu = 0.01212856276531231, mup = 0.9878714372346877
        """,
        """@ode_def begin
  d1 = ((y1 + mu)^2 + y2^2)^1.5
  d2 = ((y1 - mup)^2 + y2^2)^1.5
  dy1 = y3
  dy2 = y4
  dy3 = y1 + 2*y4 - mup*(y1 + mu)/d1 - mu*(y1 - mup)/d2
  dy4 = y2 - 2*y3 - mup*y2/d1 - mu*y2/d2
end mu mup""",
        (1.2, 0.0, 0.0, -1.049357509830319),
        6.192169331319639,
        (1.1999999999999997, -3.822981384939974e-16, 1.5473351455967765e-15, -1.049357509830319),
        "recomputed",
        False,
        {"mu": 0.01212856276531231, "mup": 0.9878714372346877},
    ),
    Problem(
        "detest_nonstiff_A1",
        DETEST,
        """
            y1' = -y1
            y1(0) = 1.0
        """,
        """@ode_def begin
  dy1 = -y1
end""",
        (1.0,),
        20.0,
        (2.061153622438558e-09,),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_A2",
        DETEST,
        """
            y1' = -0.5*y1*y1*y1
            y1(0) = 1.0
        """,
        """@ode_def begin
  dy1 = -0.5*y1*y1*y1
end""",
        (1.0,),
        20.0,
        (0.2182178902359924,),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_A3",
        DETEST,
        """
            y1' = y1*cos(t)
            y1(0) = 1.0
        """,
        """@ode_def begin
  dy1 = y1*cos(t)
end""",
        (1.0,),
        20.0,
        (2.4916502718504145,),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_A4",
        DETEST,
        """
            y1' = (1 - y1/20)*y1/4
            y1(0) = 1.0
        """,
        """@ode_def begin
  dy1 = (1 - y1/20)*y1/4
end""",
        (1.0,),
        20.0,
        (17.73016648131484,),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_A5",
        DETEST,
        """
            y1' = (y1 - t)/(y1 + t)
            y1(0) = 4.0
        """,
        """@ode_def begin
  dy1 = (y1 - t)/(y1 + t)
end""",
        (4.0,),
        20.0,
        (-0.7887826688964015,),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_B1",
        DETEST,
        """
            y1' = 2*(y1 - y1*y2)
            y2' = -(y2 - y1*y2)
            y1(0) = 1.0; y2(0) = 3.0
        """,
        """@ode_def begin
  dy1 = 2*(y1 - y1*y2)
  dy2 = -(y2 - y1*y2)
end""",
        (1.0, 3.0),
        20.0,
        (0.6761876008576606, 0.18608160996400297),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_B2",
        DETEST,
        """
            y1' = -y1 + y2
            y2' = y1 - 2*y2 + y3
            y3' = y2 - y3
            y1(0) = 2.0; y2(0) = 0.0; y3(0) = 1.0
        """,
        """@ode_def begin
  dy1 = -y1 + y2
  dy2 = y1 - 2*y2 + y3
  dy3 = y2 - y3
end""",
        (2.0, 0.0, 1.0),
        20.0,
        (1.0000000010305767, 1.0, 0.9999999989694232),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_B3",
        DETEST,
        """
            y1' = -y1
            y2' = y1 - y2*y2
            y3' = y2*y2
            y1(0) = 1.0; y2(0) = 0.0; y3(0) = 0.0
        """,
        """@ode_def begin
  dy1 = -y1
  dy2 = y1 - y2*y2
  dy3 = y2*y2
end""",
        (1.0, 0.0, 0.0),
        20.0,
        (2.061153622438558e-09, 0.05257228022048512, 0.9474277177183612),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_B4",
        DETEST,
        """
            d = sqrt(y1*y1 + y2*y2)
            y1' = -y2 - y1*y3/d
            y2' = y1 - y2*y3/d
            y3' = y1/d
            y1(0) = 3.0; y2(0) = 0.0; y3(0) = 0.0
        """,
        """@ode_def begin
  d = sqrt(y1*y1 + y2*y2)
  dy1 = -y2 - y1*y3/d
  dy2 = y1 - y2*y3/d
  dy3 = y1/d
end""",
        (3.0, 0.0, 0.0),
        20.0,
        (0.982695092800653, 2.1984470816949298, 0.9129452507276277),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_nonstiff_B5",
        DETEST,
        """
            y1' = y2*y3
            y2' = -y1*y3
            y3' = -0.51*y1*y2
            y1(0) = 0.0; y2(0) = 1.0; y3(0) = 1.0
        """,
        """@ode_def begin
  dy1 = y2*y3
  dy2 = -y1*y3
  dy3 = -0.51*y1*y2
end""",
        (0.0, 1.0, 1.0),
        20.0,
        (-0.9396570798729204, -0.34211777540007493, 0.7414126596199953),
        "recomputed",
        False,
        {},
    ),
    Problem(
        "detest_stiff_A1",
        DETEST,
        """
            y1' = -0.5*y1
            y2' = -y2
            y3' = -100*y3
            y4' = -90*y4
            y1(0) = 1.0; y2(0) = 1.0; y3(0) = 1.0; y4(0) = 1.0
        """,
        """@ode_def begin
  dy1 = -0.5*y1
  dy2 = -y2
  dy3 = -100*y3
  dy4 = -90*y4
end""",
        (1.0, 1.0, 1.0, 1.0),
        20.0,
        (4.5399929762484854e-05, 2.061153622438558e-09, -0.0, -0.0),
        "recomputed",
        True,
        {},
        (0, 1),
    ),
    Problem(
        "detest_stiff_A2",
        DETEST,
        """
            y1' = -1800*y1 + 900*y2
            y2' = y1 - 2*y2 + y3
            y3' = y2 - 2*y3 + y4
            y4' = y3 - 2*y4 + y5
            y5' = y4 - 2*y5 + y6
            y6' = y5 - 2*y6 + y7
            y7' = y6 - 2*y7 + y8
            y8' = y7 - 2*y8 + y9
            y9' = 1000*y8 - 2000*y9 + 1000
            y1(0) = 0.0; y2(0) = 0.0; y3(0) = 0.0; y4(0) = 0.0; y5(0) = 0.0
            y6(0) = 0.0; y7(0) = 0.0; y8(0) = 0.0; y9(0) = 0.0
        """,
        """@ode_def begin
  dy1 = -1800*y1 + 900*y2
  dy2 = y1 - 2*y2 + y3
  dy3 = y2 - 2*y3 + y4
  dy4 = y3 - 2*y4 + y5
  dy5 = y4 - 2*y5 + y6
  dy6 = y5 - 2*y6 + y7
  dy7 = y6 - 2*y7 + y8
  dy8 = y7 - 2*y8 + y9
  dy9 = 1000*y8 - 2000*y9 + 1000
end""",
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        120.0,
        (
            0.09999912552938292,
            0.1999982511574009,
            0.2999975543185246,
            0.3999971057520932,
            0.499996950994161,
            0.599997105754922,
            0.6999975543238952,
            0.799998251164768,
            0.8999991255379987,
        ),
        "recomputed",
        True,
        {},
    ),
    Problem(
        "detest_stiff_B1",
        DETEST,
        """
            y1' = -y1 + y2
            y2' = -100*y1 - y2
            y3' = -100*y3 + y4
            y4' = -10000*y3 - 100*y4
            y1(0) = 1.0; y2(0) = 0.0; y3(0) = 1.0; y4(0) = 0.0
        """,
        """@ode_def begin
  dy1 = -y1 + y2
  dy2 = -100*y1 - y2
  dy3 = -100*y3 + y4
  dy4 = -10000*y3 - 100*y4
end""",
        (1.0, 0.0, 1.0, 0.0),
        20.0,
        (1.0041686411481093e-09, 1.799999887618427e-08, -0.0, -0.0),
        "recomputed",
        True,
        {},
        (0, 1),
    ),
    Problem(
        "detest_stiff_B2",
        DETEST,
        """
            y1' = -10*y1 + b*y2
            y2' = -b*y1 - 10*y2
            y3' = -4*y3
            y4' = -y4
            y5' = -0.5*y5
            y6' = -0.1*y6
            y1(0) = 1.0; y2(0) = 1.0; y3(0) = 1.0; y4(0) = 1.0; y5(0) = 1.0
            y6(0) = 1.0
            param b = 3.0
        """,
        """@ode_def begin
  dy1 = -10*y1 + b*y2
  dy2 = -b*y1 - 10*y2
  dy3 = -4*y3
  dy4 = -y4
  dy5 = -0.5*y5
  dy6 = -0.1*y6
end b""",
        (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        20.0,
        (
            -1.7398678078435476e-87,
            -8.962140191654566e-88,
            1.8048513878818873e-35,
            2.061153622438558e-09,
            4.5399929762484854e-05,
            0.1353352832366127,
        ),
        "recomputed",
        True,
        {"b": 3.0},
        (3, 4, 5),
    ),
    Problem(
        "detest_stiff_C1",
        DETEST,
        """
            y1' = -y1 + (y2*y2 + y3*y3 + y4*y4)
            y2' = -10*y2 + 10*(y3*y3 + y4*y4)
            y3' = -40*y3 + 40*y4*y4
            y4' = -100*y4 + 2
            y1(0) = 1.0; y2(0) = 1.0; y3(0) = 1.0; y4(0) = 1.0
        """,
        """@ode_def begin
  dy1 = -y1 + (y2*y2 + y3*y3 + y4*y4)
  dy2 = -10*y2 + 10*(y3*y3 + y4*y4)
  dy3 = -40*y3 + 40*y4*y4
  dy4 = -100*y4 + 2
end""",
        (1.0, 1.0, 1.0, 1.0),
        20.0,
        (0.00040032239269392354, 0.00040016, 0.0004, 0.02),
        "recomputed",
        True,
        {},
    ),
    Problem(
        "detest_stiff_C2",
        DETEST,
        """
            y1' = -y1 + 2
            y2' = -10*y2 + beta*y1*y1
            y3' = -40*y3 + 4*beta*(y1*y1 + y2*y2)
            y4' = -100*y4 + 10*beta*(y1*y1 + y2*y2 + y3*y3)
            y1(0) = 1.0; y2(0) = 1.0; y3(0) = 1.0; y4(0) = 1.0
            param beta = 0.1
        """,
        """@ode_def begin
  dy1 = -y1 + 2
  dy2 = -10*y2 + beta*y1*y1
  dy3 = -40*y3 + 4*beta*(y1*y1 + y2*y2)
  dy4 = -100*y4 + 10*beta*(y1*y1 + y2*y2 + y3*y3)
end beta""",
        (1.0, 1.0, 1.0, 1.0),
        20.0,
        (1.9999999979388463, 0.039999999908393175, 0.04001599991536469, 0.04003201271913862),
        "recomputed",
        True,
        {"beta": 0.1},
    ),
    Problem(
        "detest_stiff_D1",
        DETEST,
        """
            y1' = 0.2*y2 - 0.2*y1
            y2' = 10*y1 - (60 - 0.125*y3)*y2 + 0.125*y3
            y3' = 1
            y1(0) = 0.0; y2(0) = 0.0; y3(0) = 0.0
        """,
        """@ode_def begin
  dy1 = 0.2*y2 - 0.2*y1
  dy2 = 10*y1 - (60 - 0.125*y3)*y2 + 0.125*y3
  dy3 = 1
end""",
        (0.0, 0.0, 0.0),
        400.0,
        (22.242220106172397, 27.110713344844758, 400.0),
        "recomputed",
        True,
        {},
    ),
    Problem(
        "detest_stiff_E2",
        DETEST,
        """
            y1' = y2
            y2' = 5*y2 - 5*y1*y1*y2 - y1
            y1(0) = 2.0; y2(0) = 0.0
        """,
        """@ode_def begin
  dy1 = y2
  dy2 = 5*y2 - 5*y1*y1*y2 - y1
end""",
        (2.0, 0.0),
        10.0,
        (-1.1587012660309908, 0.4304698089791424),
        "recomputed",
        True,
        {},
    ),
    Problem(
        "detest_stiff_F2",
        DETEST,
        """
            y1' = -y1 - y1*y2 + 294*y2
            y2' = y1*(1 - y2)/98 - 3*y2
            y1(0) = 1.0; y2(0) = 0.0
        """,
        """@ode_def begin
  dy1 = -y1 - y1*y2 + 294*y2
  dy2 = y1*(1 - y2)/98 - 3*y2
end""",
        (1.0, 0.0),
        240.0,
        (0.39126991222920116, 0.0013299641660848398),
        "recomputed",
        True,
        {},
    ),
    Problem(
        "chemakzo",
        TEST_SET,
        """
            r1 = k1*y1^4*sqrt(y2)
            r2 = k2*y3*y4
            r3 = (k2/kbig)*y1*y5
            r4 = k3*y1*y4^2
            r5 = k4*y6^2*sqrt(y2)
            fin = kla*(po2/hen - y2)
            y1' = -2*r1 + r2 - r3 - r4
            y2' = -0.5*r1 - r4 - 0.5*r5 + fin
            y3' = r1 - r2 + r3
            y4' = -r2 + r3 - 2*r4
            y5' = r2 - r3 + r5
            0 = ks*y1*y4 - y6
            y1(0) = 0.444; y2(0) = 0.00123; y3(0) = 0.0; y4(0) = 0.007; y5(0) = 0.0
            y6(0) = 0.35999964
            param k1 = 18.7, k2 = 0.58, k3 = 0.09, k4 = 0.42, kbig = 34.4
            param kla = 3.3, ks = 115.83, po2 = 0.9, hen = 737.0
        """,
        None,
        (0.444, 0.00123, 0.0, 0.007, 0.0, 0.35999964),
        180.0,
        (
            0.1150794920661702,
            0.001203831471567715,
            0.1611562887407974,
            0.0003656156421249283,
            0.01708010885264404,
            0.004873531310307455,
        ),
        "published",
        True,
        {
            "k1": 18.7,
            "k2": 0.58,
            "k3": 0.09,
            "k4": 0.42,
            "kbig": 34.4,
            "kla": 3.3,
            "ks": 115.83,
            "po2": 0.9,
            "hen": 737.0,
        },
    ),
    Problem(
        "chemakzo_ode",
        TEST_SET,
        """
            r1 = k1*y1^4*sqrt(y2)
            r2 = k2*y3*y4
            r3 = (k2/kbig)*y1*y5
            r4 = k3*y1*y4^2
            r5 = k4*(ks*y1*y4)^2*sqrt(y2)
            fin = kla*(po2/hen - y2)
            y1' = -2*r1 + r2 - r3 - r4
            y2' = -0.5*r1 - r4 - 0.5*r5 + fin
            y3' = r1 - r2 + r3
            y4' = -r2 + r3 - 2*r4
            y5' = r2 - r3 + r5
            y1(0) = 0.444; y2(0) = 0.00123; y3(0) = 0.0; y4(0) = 0.007; y5(0) = 0.0
            param k1 = 18.7, k2 = 0.58, k3 = 0.09, k4 = 0.42, kbig = 34.4
            param kla = 3.3, ks = 115.83, po2 = 0.9, hen = 737.0
        """,
        """@ode_def begin
  r1 = k1*y1^4*sqrt(y2)
  r2 = k2*y3*y4
  r3 = (k2/kbig)*y1*y5
  r4 = k3*y1*y4^2
  r5 = k4*(ks*y1*y4)^2*sqrt(y2)
  fin = kla*(po2/hen - y2)
  dy1 = -2*r1 + r2 - r3 - r4
  dy2 = -0.5*r1 - r4 - 0.5*r5 + fin
  dy3 = r1 - r2 + r3
  dy4 = -r2 + r3 - 2*r4
  dy5 = r2 - r3 + r5
end k1 k2 k3 k4 kbig kla ks po2 hen""",
        (0.444, 0.00123, 0.0, 0.007, 0.0),
        180.0,
        (0.11507949206617021, 0.001203831471567715, 0.16115628874079743, 0.0003656156421249283, 0.017080108852644042),
        "recomputed",
        True,
        {
            "k1": 18.7,
            "k2": 0.58,
            "k3": 0.09,
            "k4": 0.42,
            "kbig": 34.4,
            "kla": 3.3,
            "ks": 115.83,
            "po2": 0.9,
            "hen": 737.0,
        },
    ),
)
