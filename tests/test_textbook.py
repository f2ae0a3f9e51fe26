"""Models as textbooks, papers and other packages print them, against functions written by hand.

Each entry: the text as printed, and a plain Python function `(t, states..., parameters...)` of the
right-hand side whose argument names, in order, are those of the model.
"""

from __future__ import annotations

import inspect
import unicodedata
from math import cos, erf, exp, gamma, lgamma, log, pi, sin, sqrt, tanh

import numpy as np
import pytest

import sciml_dsl as sd

# fmt: off
MODELS = {
# ---------------------------------------------------------------- Strogatz, Nonlinear Dynamics and Chaos
"logistic, 2.3": ("Ṅ = r*N*(1 - N/K)\nparam r = 0.6, K = 10", lambda t, N, r=0.6, K=10: [r*N*(1 - N/K)]),
"budworm, 3.7": (
    "dN/dt = R*N*(1 - N/K) - p(N)\np(N) = B*N^2/(A^2 + N^2)\nparam R = 0.5, K = 8, A = 1, B = 1.2",
    lambda t, N, R=0.5, K=8, A=1, B=1.2: [R*N*(1 - N/K) - B*N**2/(A**2 + N**2)]),
"laser, 3.3": (
    "ṅ = G*n*N - k*n\nN = N₀ - α*n\nparam G = 0.3, k = 1, N₀ = 9, α = 0.7",
    lambda t, n, G=0.3, k=1, N0=9, α=0.7: [G*n*(N0 - α*n) - k*n]),
"overdamped pendulum, 4.4": (
    "b*θ' + m*g*L*sin(θ) = Γ; param b = 2, m = 1, g = 9.81, L = 0.5, Γ = 3",
    lambda t, θ, b=2, m=1, g=9.81, L=0.5, Γ=3: [(Γ - m*g*L*sin(θ))/b]),
"oscillator, 5.1": (
    "m*ẍ + k*x = 0\nparam m = 2, k = 3\nx(0) = 1; ẋ(0) = 0",
    lambda t, x, v, m=2, k=3: [v, -k/m*x]),
"love affairs, 5.3": (
    "Ṙ = a*R + b*J; J̇ = c*R + d*J; param a = 1, b = -2, c = 0.5, d = -1",
    lambda t, R, J, a=1, b=-2, c=0.5, d=-1: [a*R + b*J, c*R + d*J]),
"rabbits and sheep, 6.4": ("x' = x*(3 - x - 2y)\ny' = y*(2 - x - y)", lambda t, x, y: [x*(3-x-2*y), y*(2-x-y)]),
"pendulum, 6.7": ("θ̈ + b*θ̇ + sin(θ) = 0; param b = 0.2", lambda t, θ, ω, b=0.2: [ω, -b*ω - sin(θ)]),
"van der Pol, 7.1": (
    "x'' + μ*(x^2 - 1)*x' + x = 0\nparam μ = 1.5", lambda t, x, v, μ=1.5: [v, -μ*(x**2 - 1)*v - x]),
"van der Pol, Lienard": (
    "x' = μ*(y - F(x)); y' = -x/μ; F(x) = x^3/3 - x; param μ = 10",
    lambda t, x, y, μ=10: [μ*(y - (x**3/3 - x)), -x/μ]),
"glycolysis, 7.3": (
    "dx/dt = -x + a*y + x^2*y; dy/dt = b - a*y - x^2*y; param a = 0.08, b = 0.6",
    lambda t, x, y, a=0.08, b=0.6: [-x + a*y + x*x*y, b - a*y - x*x*y]),
"Duffing, 12.5": (
    "d^2x/dt^2 + δ*dx/dt - x + x^3 = F*cos(ω*t); param δ = 0.25, F = 0.4, ω = 1",
    lambda t, x, v, δ=0.25, F=0.4, ω=1: [v, F*cos(ω*t) - δ*v + x - x**3]),
"damped, Leibniz": ("d²x/dt² = -x - 2*ζ*dx/dt; param ζ = 0.1", lambda t, x, v, ζ=0.1: [v, -x - 2*ζ*v]),
"beam": ("d³y/dt³ = -d²y/dt² - 3*dy/dt*dy/dt", lambda t, y, v, a: [v, a, -a - 3*v*v]),
"Duffing, primes": (
    "x'' + δ*x' - x + x^3 = F*cos(ω*t); param δ = 0.25, F = 0.4, ω = 1",
    lambda t, x, v, δ=0.25, F=0.4, ω=1: [v, F*cos(ω*t) - δ*v + x - x**3]),
"Lorenz, 9.2": (
    "ẋ = σ*(y - x)\nẏ = r*x - y - x*z\nż = x*y - b*z\nparam σ = 10, b = 8/3, r = 28",
    lambda t, x, y, z, σ=10, b=8/3, r=28: [σ*(y - x), r*x - y - x*z, x*y - b*z]),
"Rossler, 10.6": (
    "x' = -y - z; y' = x + a*y; z' = b + z*(x - c)\nparam a = 0.2\nparam b = 0.2\nparam c = 5.7",
    lambda t, x, y, z, a=0.2, b=0.2, c=5.7: [-y - z, x + a*y, b + z*(x - c)]),
"Chua": (
    "x' = α*(y - x - f); y' = x - y + z; z' = -β*y\n"
    "f = m1*x + 0.5*(m0 - m1)*(abs(x + 1) - abs(x - 1))\nparam α = 15.6, β = 28, m1 = -0.714, m0 = -1.143",
    lambda t, x, y, z, α=15.6, β=28, m1=-0.714, m0=-1.143: [
        α*(y - x - (m1*x + 0.5*(m0 - m1)*(abs(x + 1) - abs(x - 1)))), x - y + z, -β*y]),
# ---------------------------------------------------------------- Murray, Mathematical Biology; ecology
"Lotka-Volterra, 3.1": (
    "dN/dt = N*(a - b*P)\ndP/dt = P*(c*N - d)\nparam a = 1, b = 0.5, c = 0.2, d = 0.7",
    lambda t, N, P, a=1, b=0.5, c=0.2, d=0.7: [N*(a - b*P), P*(c*N - d)]),
"Rosenzweig-MacArthur": (
    "R'(t) = r*R(t)*(1 - R(t)/K) - a*R(t)*C(t)/(1 + a*h*R(t))\nC'(t) = e*a*R(t)*C(t)/(1 + a*h*R(t)) - m*C(t)\n"
    "param r = 1, K = 5, a = 1.3, h = 0.4, e = 0.6, m = 0.3",
    lambda t, R, C, r=1, K=5, a=1.3, h=0.4, e=0.6, m=0.3: [
        r*R*(1 - R/K) - a*R*C/(1 + a*h*R), e*a*R*C/(1 + a*h*R) - m*C]),
"SIR": (
    "dS/dt = -beta*S*I/N\ndI/dt = beta*S*I/N - gamma*I\ndR/dt = gamma*I\nN = S + I + R\nparam beta = 0.4, gamma = 0.1",
    lambda t, S, I, R, beta=0.4, gamma=0.1: [
        -beta*S*I/(S+I+R), beta*S*I/(S+I+R) - gamma*I, gamma*I]),
"SEIR with births": (
    "S' = μ*(N - S) - λ*S; E' = λ*S - (μ + σ)*E; I' = σ*E - (μ + γ)*I; R' = γ*I - μ*R; λ = β*I/N\n"
    "param μ = 0.02, σ = 0.2, γ = 0.1, β = 0.5; const N = 10",
    lambda t, S, E, I, R, μ=0.02, σ=0.2, γ=0.1, β=0.5: [
        μ*(10 - S) - β*I/10*S, β*I/10*S - (μ + σ)*E, σ*E - (μ + γ)*I, γ*I - μ*R]),
"SIR, seasonal": (
    "β = β₀*(1 + β₁*cos(2π*t))\nS' = -β*S*I; I' = β*S*I - γ*I; param β₀ = 1.2, β₁ = 0.2, γ = 0.5",
    lambda t, S, I, β0=1.2, β1=0.2, γ=0.5: [
        -β0*(1 + β1*cos(2*pi*t))*S*I, β0*(1 + β1*cos(2*pi*t))*S*I - γ*I]),
"chemostat": (
    "μ(S) = μmax*S/(Ks + S)\nd(S)/dt = D*(S0 - S) - μ(S)*X/Y; d(X)/dt = (μ(S) - D)*X\n"
    "param μmax = 0.5, Ks = 0.2, D = 0.1, S0 = 5, Y = 0.4",
    lambda t, S, X, μmax=0.5, Ks=0.2, D=0.1, S0=5, Y=0.4: [
        D*(S0 - S) - μmax*S/(Ks + S)*X/Y, (μmax*S/(Ks + S) - D)*X]),
"Allee": ("N' = r*N*(N/A - 1)*(1 - N/K); param r = 1, A = 2, K = 9",
    lambda t, N, r=1, A=2, K=9: [r*N*(N/A - 1)*(1 - N/K)]),
"Gompertz": ("dV/dt = a*V*ln(K/V); param a = 0.3, K = 9", lambda t, V, a=0.3, K=9: [a*V*log(K/V)]),
"Kermack, e as a name": ("e' = -lambda*e; param lambda = 2", lambda t, e, lam=2: [-lam*e]),
# ---------------------------------------------------------------- neurons and cells
"Hodgkin-Huxley, 1952": (
    "C*dV/dt = I - gNa*m^3*h*(V - ENa) - gK*n^4*(V - EK) - gL*(V - EL)\n"
    "dm/dt = αm*(1 - m) - βm*m\ndh/dt = αh*(1 - h) - βh*h\ndn/dt = αn*(1 - n) - βn*n\n"
    "αm = 0.1*(V + 40)/(1 - exp(-(V + 40)/10));  βm = 4*exp(-(V + 65)/18)\n"
    "αh = 0.07*exp(-(V + 65)/20);  βh = 1/(1 + exp(-(V + 35)/10))\n"
    "αn = 0.01*(V + 55)/(1 - exp(-(V + 55)/10));  βn = 0.125*exp(-(V + 65)/80)\n"
    "param C = 1, I = 10, gNa = 120, gK = 36, gL = 0.3, ENa = 50, EK = -77, EL = -54.4",
    lambda t, V, m, h, n, C=1, I=10, gNa=120, gK=36, gL=0.3, ENa=50, EK=-77, EL=-54.4: [
        (I - gNa*m**3*h*(V - ENa) - gK*n**4*(V - EK) - gL*(V - EL))/C,
        0.1*(V + 40)/(1 - exp(-(V + 40)/10))*(1 - m) - 4*exp(-(V + 65)/18)*m,
        0.07*exp(-(V + 65)/20)*(1 - h) - 1/(1 + exp(-(V + 35)/10))*h,
        0.01*(V + 55)/(1 - exp(-(V + 55)/10))*(1 - n) - 0.125*exp(-(V + 65)/80)*n]),
"Morris-Lecar, 1981": (
    "C*V' = I - gL*(V - VL) - gCa*Mss*(V - VCa) - gK*N*(V - VK)\nN' = (Nss - N)/τN\n"
    "Mss = (1 + tanh((V - V1)/V2))/2; Nss = (1 + tanh((V - V3)/V4))/2; τN = 1/(φ*cosh((V - V3)/(2*V4)))\n"
    "param C = 20, I = 90, gL = 2, VL = -60, gCa = 4, VCa = 120, gK = 8, VK = -84, V1 = -1.2, V2 = 18, V3 = 12, "
    "V4 = 17.4, φ = 0.067",
    lambda t, V, N, C=20, I=90, gL=2, VL=-60, gCa=4, VCa=120, gK=8, VK=-84, V1=-1.2, V2=18, V3=12, V4=17.4, φ=0.067: [
        (I - gL*(V - VL) - gCa*(1 + tanh((V - V1)/V2))/2*(V - VCa) - gK*N*(V - VK))/C,
        ((1 + tanh((V - V3)/V4))/2 - N)*φ*float(np.cosh((V - V3)/(2*V4)))]),
"FitzHugh-Nagumo": (
    "v' = v - v^3/3 - w + Iext\nτ*w' = v + a - b*w\nparam Iext = 0.5, τ = 12.5, a = 0.7, b = 0.8",
    lambda t, v, w, I=0.5, τ=12.5, a=0.7, b=0.8: [v - v**3/3 - w + I, (v + a - b*w)/τ]),
"leaky integrate and fire": (
    "tau*dV/dt = -(V - EL) + R*I\nwhen V > Vth: V = Vr\nparam tau = 20, EL = -65, R = 10, I = 2, Vth = -50, Vr = -70",
    lambda t, V, tau=20, EL=-65, R=10, I=2, Vth=-50, Vr=-70: [(-(V - EL) + R*I)/tau]),
"Goldbeter calcium, 1990": (
    "dZ/dt = v0 + v1*β - v2 + v3 + kf*Y - k*Z\ndY/dt = v2 - v3 - kf*Y\nv2 = VM2*Z^2/(K2^2 + Z^2)\n"
    "v3 = VM3*Y^2/(KR^2 + Y^2) * Z^4/(KA^4 + Z^4)\n"
    "param v0 = 1, v1 = 7.3, β = 0.3, kf = 1, k = 10, VM2 = 65, K2 = 1, VM3 = 500, KR = 2, KA = 0.9",
    lambda t, Z, Y, v0=1, v1=7.3, β=0.3, kf=1, k=10, VM2=65, K2=1, VM3=500, KR=2, KA=0.9: [
        v0 + v1*β - VM2*Z**2/(K2**2 + Z**2) + VM3*Y**2/(KR**2 + Y**2)*Z**4/(KA**4 + Z**4) + kf*Y - k*Z,
        VM2*Z**2/(K2**2 + Z**2) - VM3*Y**2/(KR**2 + Y**2)*Z**4/(KA**4 + Z**4) - kf*Y]),
"repressilator": (
    "m1' = -m1 + α/(1 + p3^n) + α0; p1' = -β*(p1 - m1)\nm2' = -m2 + α/(1 + p1^n) + α0; p2' = -β*(p2 - m2)\n"
    "m3' = -m3 + α/(1 + p2^n) + α0; p3' = -β*(p3 - m3)\nparam α = 216, α0 = 0.2, n = 2, β = 5",
    lambda t, m1, p1, m2, p2, m3, p3, α=216, α0=0.2, n=2, β=5: [
        -m1 + α/(1 + p3**n) + α0, -β*(p1 - m1), -m2 + α/(1 + p1**n) + α0, -β*(p2 - m2),
        -m3 + α/(1 + p2**n) + α0, -β*(p3 - m3)]),
"toggle switch": (
    "u' = α₁/(1 + v^β) - u\nv' = α₂/(1 + u^γ) - v\nparam α₁ = 10, β = 2, α₂ = 8, γ = 3",
    lambda t, u, v, a1=10, β=2, a2=8, γ=3: [a1/(1 + v**β) - u, a2/(1 + u**γ) - v]),
"Goodwin": (
    "X' = a/(K^n + Z^n) - b*X; Y' = c*X - d*Y; Z' = e*Y - f*Z; param a = 1, K = 1, n = 9, b = 0.1, c = 1, d = 0.1, "
    "e = 1, f = 0.1",
    lambda t, X, Y, Z, a=1, K=1, n=9, b=0.1, c=1, d=0.1, e=1, f=0.1: [a/(K**n + Z**n) - b*X, c*X - d*Y, e*Y - f*Z]),
"Michaelis-Menten": (
    "dS/dt = -kf*E*S + kr*ES; dE/dt = -kf*E*S + kr*ES + kcat*ES; dES/dt = kf*E*S - kr*ES - kcat*ES; dP/dt = kcat*ES\n"
    "param kf = 1, kr = 0.5, kcat = 0.2",
    lambda t, S, E, ES, P, kf=1, kr=0.5, kcat=0.2: [
        -kf*E*S + kr*ES, -kf*E*S + kr*ES + kcat*ES, kf*E*S - kr*ES - kcat*ES, kcat*ES]),
"Tyson cell cycle, reduced": (
    "u' = k4*(v - u)*(α + u^2) - k6*u;  v' = κ - k6*u\nparam k4 = 180, α = 0.018, k6 = 1, κ = 0.015",
    lambda t, u, v, k4=180, α=0.018, k6=1, κ=0.015: [k4*(v - u)*(α + u*u) - k6*u, κ - k6*u]),
# ---------------------------------------------------------------- chemistry and stiff tests
"Robertson": (
    "y₁' = -0.04y₁ + 1e4*y₂*y₃\ny₂' = 0.04y₁ - 1e4*y₂*y₃ - 3e7*y₂^2\ny₃' = 3e7*y₂^2",
    lambda t, a, b, c: [-0.04*a + 1e4*b*c, 0.04*a - 1e4*b*c - 3e7*b*b, 3e7*b*b]),
"Brusselator": (
    "@ode_def Brusselator begin\n  dx = 1 + x^2*y - 4x\n  dy = 3x - x^2*y\nend",
    lambda t, x, y: [1 + x*x*y - 4*x, 3*x - x*x*y]),
"Oregonator, SciML": (
    "orego = @ode_def Orego begin\n  dy1 = p1*(y2+y1*(1-p2*y1-y2))\n  dy2 = (y3-(1+y1)*y2)/p1\n  dy3 = p3*(y1-y3)\n"
    "end p1 p2 p3\nparam p1 = 77.27, p2 = 8.375e-6, p3 = 0.161",
    lambda t, y1, y2, y3, p1=77.27, p2=8.375e-6, p3=0.161: [
        p1*(y2 + y1*(1 - p2*y1 - y2)), (y3 - (1 + y1)*y2)/p1, p3*(y1 - y3)]),
"CSTR, exothermic": (
    "dC/dt = q*(Cf - C)/V - k*C;  dT/dt = q*(Tf - T)/V + ΔH*k*C - UA*(T - Tc)\nk = k₀*exp(-E_R/T)\n"
    "param q = 1, Cf = 1, V = 2, Tf = 350, ΔH = 200, UA = 2, Tc = 300, k₀ = 7e10, E_R = 8750",
    lambda t, C, T, q=1, Cf=1, V=2, Tf=350, ΔH=200, UA=2, Tc=300, k0=7e10, E=8750: [
        q*(Cf - C)/V - k0*exp(-E/T)*C, q*(Tf - T)/V + ΔH*k0*exp(-E/T)*C - UA*(T - Tc)]),
"HIRES": (
    "y1' = -1.71y1 + 0.43y2 + 8.32y3 + 0.0007; y2' = 1.71y1 - 8.75y2; y3' = -10.03y3 + 0.43y4 + 0.035y5\n"
    "y4' = 8.32y2 + 1.71y3 - 1.12y4; y5' = -1.745y5 + 0.43y6 + 0.43y7\n"
    "y6' = -280y6*y8 + 0.69y4 + 1.71y5 - 0.43y6 + 0.69y7; y7' = 280y6*y8 - 1.81y7; y8' = -280y6*y8 + 1.81y7",
    lambda t, a, b, c, d, e, f, g, h: [
        -1.71*a + 0.43*b + 8.32*c + 0.0007, 1.71*a - 8.75*b, -10.03*c + 0.43*d + 0.035*e,
        8.32*b + 1.71*c - 1.12*d, -1.745*e + 0.43*f + 0.43*g,
        -280*f*h + 0.69*d + 1.71*e - 0.43*f + 0.69*g, 280*f*h - 1.81*g, -280*f*h + 1.81*g]),
# ---------------------------------------------------------------- mechanics, circuits, control, climate
"RLC": (
    "L*dI/dt + R*I + Q/C = E₀*cos(ω*t)\ndQ/dt = I\nparam L = 0.5, R = 2, C = 0.1, E₀ = 3, ω = 4",
    lambda t, I, Q, L=0.5, R=2, C=0.1, E0=3, ω=4: [(E0*cos(ω*t) - R*I - Q/C)/L, I]),
"Kepler": (
    "x'' = -x/r^3; y'' = -y/r^3; r = √(x^2 + y^2)",
    lambda t, x, vx, y, vy: [vx, -x/sqrt(x*x + y*y)**3, vy, -y/sqrt(x*x + y*y)**3]),
"double well, Langevin mean": ("m*x'' = -γ*x' + a*x - b*x³; param m = 1, γ = 0.1, a = 1, b = 1; x³ = x^3",
    lambda t, x, v, m=1, γ=0.1, a=1, b=1: [v, -γ*v + x - x**3]),
"Euler's rigid body": (
    "I₁*ω₁' = (I₂ - I₃)*ω₂*ω₃; I₂*ω₂' = (I₃ - I₁)*ω₃*ω₁; I₃*ω₃' = (I₁ - I₂)*ω₁*ω₂; param I₁ = 1, I₂ = 2, I₃ = 3.5",
    lambda t, a, b, c, I1=1, I2=2, I3=3.5: [(I2 - I3)*b*c/I1, (I3 - I1)*c*a/I2, (I1 - I2)*a*b/I3]),
"elastic pendulum": (
    "r'' = r*θ'^2 + g*cos(θ) - k/m*(r - r₀)\nr*θ'' + 2*r'*θ' + g*sin(θ) = 0\nparam g = 9.81, k = 40, m = 1, r₀ = 1",
    lambda t, r, vr, θ, ω, g=9.81, k=40, m=1, r0=1: [
        vr, r*ω**2 + g*cos(θ) - k/m*(r - r0), ω, -(2*vr*ω + g*sin(θ))/r]),
"falling with drag": (
    "v' = -g + 0.5*ρ*Cd*A*v²/m; y' = v; v² = v^2; const g = 9.80665; param ρ = 1.2, Cd = 0.47, A = 0.01, m = 0.4",
    lambda t, v, y, ρ=1.2, Cd=0.47, A=0.01, m=0.4: [-9.80665 + 0.5*ρ*Cd*A*v*v/m, v]),
"Newton's cooling": ("dT/dt = -k*(T - Ta); Ta = 20 + 5*sin(2π*t/24); param k = 0.1",
    lambda t, T, k=0.1: [-k*(T - 20 - 5*sin(2*pi*t/24))]),
"PID": (
    "m*v' = u - b*v\nz' = r - v\nu = Kp*(r - v) + Ki*z\nr = if t < 1 then 0 else 5\n"
    "param m = 2, b = 0.5, Kp = 3, Ki = 1",
    lambda t, v, z, m=2, b=0.5, Kp=3, Ki=1: [
        (Kp*((0 if t < 1 else 5) - v) + Ki*z - b*v)/m, (0 if t < 1 else 5) - v]),
"Stommel's boxes": (
    "dT/dt = η₁ - T*(1 + |q|)\n".replace("|q|", "abs(q)") + "dS/dt = η₂ - S*(η₃ + abs(q)); q = T - S; "
    "param η₁ = 3, η₂ = 1, η₃ = 0.3",
    lambda t, T, S, a=3, b=1, c=0.3: [a - T*(1 + abs(T - S)), b - S*(c + abs(T - S))]),
"Budyko's ice": (
    "C*T' = Q*(1 - α(T)) - ε*σ*T^4\nα(T) = T < 250 ? 0.6 : T > 280 ? 0.3 : 0.3 + 0.3*(280 - T)/30\n"
    "param C = 1e8, Q = 342, ε = 0.6; const σ = 5.67e-8",
    lambda t, T, C=1e8, Q=342, ε=0.6: [
        (Q*(1 - (0.6 if T < 250 else 0.3 if T > 280 else 0.3 + 0.3*(280 - T)/30)) - ε*5.67e-8*T**4)/C]),
# ---------------------------------------------------------------- pharmacometrics
"one compartment, oral": (
    "d/dt(depot) = -ka*depot\nd/dt(central) = ka*depot - CL/V*central\nC = central/V\ndepot(0) = dose\n"
    "param ka = 1, CL = 5, V = 50, dose = 100",
    lambda t, depot, central, ka=1, CL=5, V=50, dose=100: [-ka*depot, ka*depot - CL/V*central]),
"two compartments, saturable": (
    "A1' = -VMAX*C1/(KM + C1) - Q/V1*A1 + Q/V2*A2\nA2' = Q/V1*A1 - Q/V2*A2\nC1 = A1/V1\n"
    "every tau from 0 until 4*tau: A1 += F*dose\n"
    "param VMAX = 10, KM = 2, Q = 3, V1 = 20, V2 = 40, tau = 12, F = 0.8, dose = 100",
    lambda t, A1, A2, VMAX=10, KM=2, Q=3, V1=20, V2=40, tau=12, F=0.8, dose=100: [
        -VMAX*(A1/V1)/(KM + A1/V1) - Q/V1*A1 + Q/V2*A2, Q/V1*A1 - Q/V2*A2]),
"indirect response": (
    "R' = kin*(1 - Imax*Cp/(IC50 + Cp)) - kout*R; Cp = D/V*exp(-k*t); R(0) = kin/kout\n"
    "param kin = 10, Imax = 0.9, IC50 = 1, kout = 0.5, D = 100, V = 20, k = 0.1",
    lambda t, R, kin=10, Imax=0.9, IC50=1, kout=0.5, D=100, V=20, k=0.1: [
        kin*(1 - Imax*D/V*exp(-k*t)/(IC50 + D/V*exp(-k*t))) - kout*R]),
"transit compartments": (
    "a0' = -ktr*a0; a1' = ktr*(a0 - a1); a2' = ktr*(a1 - a2); ktr = (n + 1)/MTT; param n = 2, MTT = 3",
    lambda t, a, b, c, n=2, MTT=3: [-(n+1)/MTT*a, (n+1)/MTT*(a - b), (n+1)/MTT*(b - c)]),
"Simeoni tumour growth": (
    "x1' = λ0*x1/(1 + (λ0/λ1*w)^ψ)^(1/ψ) - k2*c*x1; x2' = k2*c*x1 - k1*x2; w = x1 + x2; c = exp(-t)\n"
    "param λ0 = 0.3, λ1 = 0.5, ψ = 20, k2 = 0.1, k1 = 0.6",
    lambda t, x1, x2, λ0=0.3, λ1=0.5, ψ=20, k2=0.1, k1=0.6: [
        λ0*x1/(1 + (λ0/λ1*(x1 + x2))**ψ)**(1/ψ) - k2*exp(-t)*x1, k2*exp(-t)*x1 - k1*x2]),
"HIV dynamics": (
    "T' = λ - d*T - k*V*T; I' = k*V*T - δ*I; V' = N*δ*I - c*V\n"
    "param λ = 10, d = 0.1, k = 0.02, δ = 0.5, N = 100, c = 3",
    lambda t, T, I, V, λ=10, d=0.1, k=0.02, δ=0.5, N=100, c=3: [λ - d*T - k*V*T, k*V*T - δ*I, N*δ*I - c*V]),
"minimal model of glucose": (
    "G' = -(p1 + X)*G + p1*Gb; X' = -p2*X + p3*(I - Ib); I = Ib + 50*exp(-0.1*t)\n"
    "param p1 = 0.03, Gb = 90, p2 = 0.02, p3 = 1e-5, Ib = 7",
    lambda t, G, X, p1=0.03, Gb=90, p2=0.02, p3=1e-5, Ib=7: [-(p1 + X)*G + p1*Gb, -p2*X + p3*50*exp(-0.1*t)]),
# ---------------------------------------------------------------- ParameterizedFunctions.jl, old and new
"PF: Lotka-Volterra": (
    "f = @ode_def LotkaVolterra begin\n  dx = a*x - b*x*y\n  dy = -c*y + d*x*y\nend a b c d\n"
    "param a = 1.5, b = 1, c = 3, d = 1",
    lambda t, x, y, a=1.5, b=1, c=3, d=1: [a*x - b*x*y, -c*y + d*x*y]),
"PF: old arrows": (
    "f = @ode_def_nohes LotkaVolterraTest begin\n  dx = a*x - b*x*y\n"
    "  dy = -c*y + d*x*y\nend a=>1.5 b=>1.0 c=>3.0 d=1.0",
    lambda t, x, y, a=1.5, b=1, c=3: [a*x - b*x*y, -c*y + x*y]),
"PF: bare, Unicode, comments": (
    "@ode_def_bare Lorenz begin\n  dx = σ*(y-x)   # Prandtl\n  dy = x*(ρ-z) - y\n  #= the last\n one =#\n"
    "  dz = x*y - β*z;\nend σ ρ β; param σ = 10, ρ = 28, β = 8/3",
    lambda t, x, y, z, σ=10, ρ=28, β=8/3: [σ*(y - x), x*(ρ - z) - y, x*y - β*z]),
"PF: one line": (
    "g = @ode_def_all begin dx = -k*x; dy = 2k*x - √y; end k=>0.5", lambda t, x, y, k=0.5: [-k*x, 2*k*x - sqrt(y)]),
"PF: helpers": (
    "f = @ode_def begin\n  r = x^2 + y^2\n  dx = -y + h*x\n  dy = x + h*y\n  h = 1 - r\nend",
    lambda t, x, y: [-y + (1 - x*x - y*y)*x, x + (1 - x*x - y*y)*y]),
"PF: Rober with subscripts": (
    "rober = @ode_def begin\n  dy₁ = -k₁*y₁+k₃*y₂*y₃\n  dy₂ =  k₁*y₁-k₂*y₂^2-k₃*y₂*y₃\n  dy₃ =  k₂*y₂^2\nend k₁ k₂ k₃\n"
    "param k₁ = 0.04, k₂ = 3e7, k₃ = 1e4",
    lambda t, a, b, c, k1=0.04, k2=3e7, k3=1e4: [-k1*a + k3*b*c, k1*a - k2*b*b - k3*b*c, k2*b*b]),
"PF: van der Pol": (
    "van = @ode_def VanDerPol begin\n dy = μ*((1-x^2)*y - x)\n dx = 1*y\nend μ\nparam μ = 4",
    lambda t, y, x, μ=4: [μ*((1 - x*x)*y - x), y]),
"PF: rigid body": (
    "rigid = @ode_def RigidBody begin\n dy₁ = I₁*y₂*y₃\n dy₂ = I₂*y₁*y₃\n dy₃ = I₃*y₁*y₂ + 0.25*sin(t)^2\n"
    "end I₁=>-2.0 I₂=>1.25 I₃=>-0.5",
    lambda t, a, b, c, I1=-2.0, I2=1.25, I3=-0.5: [I1*b*c, I2*a*c, I3*a*b + 0.25*sin(t)**2]),
"PF: conditions": (
    "@ode_def C begin\n dx = (t > 1 && x < 2) || !(x ≥ 0) ? a : -2x^2\n dy = ifelse(x ≤ 1, 1//2, -1.5e0)*y\nend a=>3",
    lambda t, x, y, a=3: [a if (t > 1 and x < 2) or not x >= 0 else -2*x*x, (0.5 if x <= 1 else -1.5)*y]),
"PF: powers and roots": (
    "@ode_def P begin\n dx = 2^-x + x^2^2 - 3x^2*∛x\n dy = 2(x + y)*ℯ^-y + 1/2x\nend",
    lambda t, x, y: [2**-x + x**4 - 3*x*x*float(np.cbrt(x)), 2*(x + y)*exp(-y) + 1/(2*x)]),
"PF: superscripts as names": (
    "@ode_def S begin\n dCa²⁺ = -k⁺*Ca²⁺\n dx⁻ = k⁺*x⁻\nend k⁺=>0.5", lambda t, c, x, k=0.5: [-k*c, k*x]),
# ---------------------------------------------------------------- everything else people write
"t first, functions of functions": (
    "f(x) = g(x)^2; g(x) = x + h(x, 2); h(a, b) = a*b\nx' = f(x)", lambda t, x: [(3*x)**2]),
"special functions": (
    "x' = erf(x) + gamma(x + 1) + lgamma(x + 2) + atan2(x, 2) + log10(x) + mod(t, 2) + floor(x)",
    lambda t, x: [erf(x) + gamma(x + 1) + lgamma(x + 2)
                  + float(np.arctan2(x, 2)) + log(x)/log(10) + t % 2 + np.floor(x)]),
"signs of every kind": ("x' = −x·y ⋅ 2 × 3 ∗ y − −y; y′ = +x**2", lambda t, x, y: [-x*y*2*3*y + y, x**2]),
"chained comparison": ("x' = if 0 < x <= 1 then 1 else -1", lambda t, x: [1 if 0 < x <= 1 else -1]),
"continued lines": (
    "x' = a*x\n     - b*x*y\n     + (c\n  - d)\ny' = x +\n y\nparam a = 1, b = 2,\n  c = 3, d = 4",
    lambda t, x, y, a=1, b=2, c=3, d=4: [a*x - b*x*y + c - d, x + y]),
"third order": ("x''' + 3*x'' + 3*x' + x = sin(t)", lambda t, x, v, a: [v, a, sin(t) - 3*a - 3*v - x]),
"d²x/dt²": ("d²x/dt² = -x - 0.1*x'", lambda t, x, v: [v, -x - 0.1*v]),
"pulse": ("x' = (t >= 1)*(t < 2) - x", lambda t, x: [(1 <= t < 2) - x]),
"words as names": (
    "end' = -at*end; at' = when; when = 2*model; param model = 3, every = 1; in' = every",
    lambda t, end, at, in_, model=3, every=1: [-at*end, 2*model, every]),
}
# fmt: on


def points(n: int):
    rng = np.random.default_rng(n)
    return [(t, rng.uniform(0.3, 1.7, n)) for t in (0.4, 1.3, 2.6)]


@pytest.mark.parametrize("name", MODELS)
def test_model_as_printed(name):
    text, by_hand = MODELS[name]
    m = sd.model(text)
    given = list(inspect.signature(by_hand).parameters.values())[1:]
    states = [q.name for q in given if q.default is q.empty]
    defaults = [q.default for q in given if q.default is not q.empty]
    assert len(m.states) == len(states), m.states
    assert [m.defaults[p] for p in m.parameters] == pytest.approx(defaults)
    p = np.array(defaults, dtype=float)
    f, python = m.rhs("native"), m.rhs("python")
    for t, u in points(len(states)):
        expected = np.array(by_hand(t, *map(float, u)), dtype=float)
        np.testing.assert_allclose(f(t, u, p), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(python(t, u.tolist(), p.tolist()), expected, rtol=1e-12, atol=1e-12)
    again = sd.model(m.code("sciml"))
    assert again == m
    assert unicodedata.is_normalized("NFC", str(again))


def test_there_are_many():
    assert len(MODELS) >= 60
