"""Functions that generated C and CUDA contain besides the model's own equations.

Source text only.  `LOCAL` stands for what a function of the file's own is
declared with (`static`, or CUDA's qualifiers), `PUBLIC_` for what an exported
one is.
"""

from __future__ import annotations

HELPERS = {
    "ipow": """
/* Small whole powers by repeated multiplication. */
LOCAL double ipow(double x, int n)
{
    int left = n < 0 ? -n : n;
    double y = 1.0;
    while (left > 0) {
        if (left & 1)
            y *= x;
        left >>= 1;
        if (left > 0)
            x *= x;
    }
    return n < 0 ? 1.0/y : y;
}
""",
    "sign_of": """
/* -1, 0 or 1; NaN of NaN. */
LOCAL double sign_of(double x)
{
    return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x;
}
""",
    "smaller": """
/* The smaller one; NaN where either is. */
LOCAL double smaller(double a, double b)
{
    return a <= b || a != a ? a : b;
}
""",
    "larger": """
/* The larger one; NaN where either is. */
LOCAL double larger(double a, double b)
{
    return a >= b || a != a ? a : b;
}
""",
    "modulo": """
/* The remainder with the sign of b. */
LOCAL double modulo(double a, double b)
{
    return a - b*floor(a/b);
}
""",
    "input_value": """
/* Input number k at time t, or its derivative of that order; NaN outside its table. */
LOCAL double input_value(const double *tables, int k, double t, int order)
{
    const double *table = tables + (long)tables[k];
    const long m = (long)table[0];
    const double *knots = table + 3, *c;
    long low = 0, high = m, middle;
    double s;
    if (!(table[1] <= t && t <= table[2]))
        return NAN;
    while (high - low > 1) {
        middle = (low + high)/2;
        if (knots[middle] <= t)
            low = middle;
        else
            high = middle;
    }
    s = t - knots[low];
    c = knots + m + 4*low;
    switch (order) {
    case 0:
        return c[0] + s*(c[1] + s*(c[2] + s*c[3]));
    case 1:
        return c[1] + s*(2.0*c[2] + 3.0*s*c[3]);
    case 2:
        return 2.0*c[2] + 6.0*c[3]*s;
    default:
        return 6.0*c[3];
    }
}
""",
    "digamma": """
/* Logarithmic derivative of the gamma function (recurrence, reflection, asymptotic series). */
LOCAL double digamma(double x)
{
    double total = 0.0, y;
    if (x < 0.5) {
        total = -3.141592653589793/tan(3.141592653589793*x);
        x = 1.0 - x;
    }
    while (x < 8.0) {
        total -= 1.0/x;
        x += 1.0;
    }
    y = 1.0/(x*x);
    return total + log(x) - 0.5/x - y*(1.0/12 - y*(1.0/120 - y*(1.0/252 - y*(1.0/240
        - y*(1.0/132 - y*(691.0/32760 - y/12))))));
}
""",
}
"""Functions math.h does not have, included where the model uses them."""

_BODIES = {
    "tanh": "s[0] = tanh(x);\ns[1] = 1.0 - s[0]*s[0];\ns[2] = -2.0*s[0]*s[1];",
    "sigmoid": (
        "const double e = exp(-fabs(x));\ns[0] = (x >= 0.0 ? 1.0 : e)/(1.0 + e);\n"
        "s[1] = e/((1.0 + e)*(1.0 + e));\ns[2] = s[1]*(1.0 - 2.0*s[0]);"
    ),
    "softplus": (
        "const double e = exp(-fabs(x));\ns[0] = (x > 0.0 ? x : 0.0) + log1p(e);\n"
        "s[1] = (x >= 0.0 ? 1.0 : e)/(1.0 + e);\ns[2] = e/((1.0 + e)*(1.0 + e));"
    ),
    "relu": "s[0] = x > 0.0 ? x : 0.0;\ns[1] = x > 0.0 ? 1.0 : 0.0;\ns[2] = 0.0;",
    "gelu": (
        "const double cdf = 0.5*erfc(-x*0.7071067811865476);\n"
        "const double pdf = 0.3989422804014327*exp(-0.5*x*x);\n"
        "s[0] = x*cdf;\ns[1] = cdf + x*pdf;\ns[2] = pdf*(2.0 - x*x);"
    ),
    "swish": (
        "const double e = exp(-fabs(x));\nconst double y = (x >= 0.0 ? 1.0 : e)/(1.0 + e);\n"
        "const double d = e/((1.0 + e)*(1.0 + e));\n"
        "s[0] = x*y;\ns[1] = y + x*d;\ns[2] = d*(2.0 + x*(1.0 - 2.0*y));"
    ),
    "sin": "s[0] = sin(x);\ns[1] = cos(x);\ns[2] = -s[0];",
    "rbf": "s[0] = exp(-x*x);\ns[1] = -2.0*x*s[0];\ns[2] = (4.0*x*x - 2.0)*s[0];",
    "identity": "s[0] = x;\ns[1] = 1.0;\ns[2] = 0.0;",
}

ACTIVATIONS = {
    name: f"\n/* {name}(x) and its first and second derivative. */\nLOCAL void {name}_slopes(double x, double *s)\n{{\n"
    + "".join(f"    {line}\n" for line in body.split("\n"))
    + "}\n"
    for name, body in _BODIES.items()
}
"""Activation -> a function that writes value, first and second derivative."""

NETWORK = """
/* Network @SHOWN@ (@WIDTHS@, @ACTIVATION@) with weights w. Its inputs are io[0] ... io[@N@ - 1]; behind them it
   writes @STRIDE@ numbers for each output: the value, @N@ first derivatives where order > 0, @N@*@N@ second
   derivatives where order > 1. A layer's matrix acts on all of them alike. */
LOCAL void @NAME@(const double *w, int order, double *io)
{
    const int widths[@LAYERS@ + 1] = {@LISTED@};
    const int columns = order == 0 ? 1 : order == 1 ? 1 + @N@ : @STRIDE@;
    double now[@WIDEST@][@STRIDE@], next[@WIDEST@][@STRIDE@], s[3];
    int layer, i, j, c;
    for (i = 0; i < @N@; i++) {
        for (c = 0; c < columns; c++)
            now[i][c] = c == 1 + i ? 1.0 : 0.0;
        now[i][0] = io[i];
    }
    for (layer = 0; layer < @LAYERS@; layer++) {
        const double *bias = w + widths[layer]*widths[layer + 1];
        for (i = 0; i < widths[layer + 1]; i++) {
            for (c = 0; c < columns; c++)
                next[i][c] = c == 0 ? bias[i] : 0.0;
            for (j = 0; j < widths[layer]; j++) {
                const double weight = w[i*widths[layer] + j];
                for (c = 0; c < columns; c++)
                    next[i][c] += weight*now[j][c];
            }
            if (layer + 1 < @LAYERS@) {
                @ACTIVATION@_slopes(next[i][0], s);
                for (c = 1 + @N@; c < columns; c++) {
                    const int a = (c - 1 - @N@)/@N@, b = (c - 1 - @N@)%@N@;
                    next[i][c] = s[2]*next[i][1 + a]*next[i][1 + b] + s[1]*next[i][c];
                }
                for (c = 1; c < 1 + @N@ && c < columns; c++)
                    next[i][c] *= s[1];
                next[i][0] = s[0];
            }
        }
        w = bias + widths[layer + 1];
        for (i = 0; i < widths[layer + 1]; i++)
            for (c = 0; c < columns; c++)
                now[i][c] = next[i][c];
    }
    for (i = 0; i < @OUTPUTS@; i++)
        for (c = 0; c < columns; c++)
            io[@N@ + i*@STRIDE@ + c] = now[i][c];
}
"""
"""One network: loops over its layers; words between @ are filled in."""

APART = """
/* The parts of long functions are compiled one by one: joined, they would take compilers far longer. */
#if defined(__GNUC__)
#define APART __attribute__((noinline))
#elif defined(_MSC_VER)
#define APART __declspec(noinline)
#else
#define APART
#endif
"""

ALGEBRA = """
/* LU factorisation with row exchanges of W = I - gamma df/du, for w_solve: factors into lu (n, n), row by row,
   exchanges into pivots (n). Returns 0, or k where the k-th pivot is 0. */
PUBLIC_ int w_factor(double t, const double *u, const double *p, double gamma, double *lu, int *pivots)
{
    const int n = N_STATES;
    int i, j, k, best, failed = 0;
    jacobian(t, u, p, lu);
    for (i = 0; i < n*n; i++)
        lu[i] = (i%(n + 1) == 0 ? 1.0 : 0.0) - gamma*lu[i];
    for (k = 0; k < n; k++) {
        best = k;
        for (i = k + 1; i < n; i++)
            if (fabs(lu[i*n + k]) > fabs(lu[best*n + k]))
                best = i;
        pivots[k] = best;
        if (lu[best*n + k] == 0.0) {
            failed = failed ? failed : k + 1;
            continue;
        }
        for (j = 0; j < n && best != k; j++) {
            const double x = lu[k*n + j];
            lu[k*n + j] = lu[best*n + j];
            lu[best*n + j] = x;
        }
        for (i = k + 1; i < n; i++) {
            const double factor = lu[i*n + k] /= lu[k*n + k];
            for (j = k + 1; j < n && factor != 0.0; j++)
                lu[i*n + j] -= factor*lu[k*n + j];
        }
    }
    return failed;
}

/* The solution of W x = b from the factors of w_factor; x replaces b (n). */
PUBLIC_ void w_solve(const double *lu, const int *pivots, double *b)
{
    const int n = N_STATES;
    int i, j;
    for (i = 0; i < n; i++) {
        const double x = b[i];
        b[i] = b[pivots[i]];
        b[pivots[i]] = x;
    }
    for (i = 0; i < n; i++)
        for (j = 0; j < i; j++)
            b[i] -= lu[i*n + j]*b[j];
    for (i = n - 1; i >= 0; i--) {
        for (j = i + 1; j < n; j++)
            b[i] -= lu[i*n + j]*b[j];
        b[i] /= lu[i*n + i];
    }
}

/* The inverse of df/du into out (n, n), by Gauss-Jordan elimination in place. Returns 0, or k where the k-th
   pivot is 0 and there is no inverse. */
PUBLIC_ int inverse_jacobian(double t, const double *u, const double *p, double *out)
{
    enum { n = N_STATES };
    int i, j, k, best, pivots[n];
    jacobian(t, u, p, out);
    for (k = 0; k < n; k++) {
        double scale;
        best = k;
        for (i = k + 1; i < n; i++)
            if (fabs(out[i*n + k]) > fabs(out[best*n + k]))
                best = i;
        pivots[k] = best;
        if (out[best*n + k] == 0.0)
            return k + 1;
        for (j = 0; j < n && best != k; j++) {
            const double x = out[k*n + j];
            out[k*n + j] = out[best*n + j];
            out[best*n + j] = x;
        }
        scale = 1.0/out[k*n + k];
        out[k*n + k] = 1.0;
        for (j = 0; j < n; j++)
            out[k*n + j] *= scale;
        for (i = 0; i < n; i++) {
            const double factor = out[i*n + k];
            if (i == k)
                continue;
            out[i*n + k] = 0.0;
            for (j = 0; j < n; j++)
                out[i*n + j] -= factor*out[k*n + j];
        }
    }
    for (k = n - 1; k >= 0; k--)
        for (i = 0; i < n && pivots[k] != k; i++) {
            const double x = out[i*n + k];
            out[i*n + k] = out[i*n + pivots[k]];
            out[i*n + pivots[k]] = x;
        }
    return 0;
}
"""
"""Solutions of linear equations with the Jacobian."""

LOOP_HELPERS = {
    "whole_mod": """
/* The remainder with the sign of b. */
LOCAL long whole_mod(long a, long b)
{
    const long r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
""",
    "whole_div": """
/* a/b rounded down. */
LOCAL long whole_div(long a, long b)
{
    const long q = a/b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
""",
    "whole_clamp": """
/* a, but at least low and at most high. */
LOCAL long whole_clamp(long a, long low, long high)
{
    return a < low ? low : a > high ? high : a;
}
""",
}
"""What subscripts of arrays may need."""

OWN = [*HELPERS, *(f"{name}_slopes" for name in ACTIVATIONS), "failed", "io", "columns", "i_", "s_", "places_", "APART"]
"""Names this source uses at the level of the file."""

_MATH = (
    "acos asin atan atan2 cos sin tan acosh asinh atanh cosh sinh tanh exp exp2 expm1 frexp ilogb ldexp log log10 "
    "log1p log2 logb modf scalbn scalbln cbrt fabs hypot pow sqrt erf erfc lgamma tgamma ceil floor nearbyint rint "
    "lrint llrint round lround llround trunc fmod remainder remquo copysign nan nextafter nexttoward fdim fmax fmin "
    "fma gamma j0 j1 jn y0 y1 yn drem significand scalb exp10 pow10 sincos signbit finite isinf isnan isfinite "
    "isnormal isgreater isless fpclassify isunordered rsqrt rcbrt sinpi cospi normcdf normcdfinv erfinv erfcinv erfcx"
).split()

_KEYWORDS = (
    # C and C++ to the latest standards, and words GNU compilers and CUDA predefine
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while _Alignas "
    "_Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local alignas alignof bool "
    "constexpr false nullptr static_assert thread_local true typeof typeof_unqual and and_eq asm bitand bitor catch "
    "class compl concept consteval constinit const_cast co_await co_return co_yield decltype delete dynamic_cast "
    "explicit export friend mutable namespace new noexcept not not_eq operator or or_eq private protected public "
    "reinterpret_cast requires static_cast template this throw try typeid typename using virtual wchar_t char8_t "
    "char16_t char32_t xor xor_eq override final import module main abs labs min max linux unix i386 "
    "errno stdin stdout stderr NULL EOF INFINITY NAN HUGE_VAL HUGE_VALF HUGE_VALL FP_NAN FP_INFINITE FP_ZERO "
    "FP_NORMAL FP_SUBNORMAL FP_ILOGB0 FP_ILOGBNAN MATH_ERRNO MATH_ERREXCEPT math_errhandling float_t double_t "
    "DOMAIN SING OVERFLOW UNDERFLOW PLOSS TLOSS HUGE MAXFLOAT X_TLOSS complex I assert signgam std size_t "
    "threadIdx blockIdx blockDim gridDim warpSize dim3 double2 double3 double4 float2 float3 float4 int2 int3 int4"
).split()

WORDS = frozenset(
    [
        *_KEYWORDS,
        *(name + suffix for name in _MATH for suffix in ("", "f", "l", "_r")),
        *(f"M_{name}" for name in "E LOG2E LOG10E LN2 LN10 PI PI_2 PI_4 1_PI 2_PI 2_SQRTPI SQRT2 SQRT1_2".split()),
        *(f"N_{name}" for name in "STATES PARAMETERS OBSERVABLES WEIGHTS NONZEROS EVENTS NETWORKS".split()),
    ]
)
"""Words of C, C++ and math.h that generated source never uses as names."""
