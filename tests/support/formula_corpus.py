"""Two hundred formulas of the kinds that R1 writes, and fifty that are made to do harm."""

# ruff: noqa: E501 - a formula is one line

from __future__ import annotations

FORMULAS = r"""
x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
ax^2 + bx + c = 0
\boxed{42}
\boxed{\dfrac{3}{4}}
\boxed{x = 2 \text{ or } x = 3}
x = \frac{5 \pm 1}{2}
(x - 2)(x - 3) = 0
x^2 - 5x + 6 = 0
2^{10} = 1024
a^2 + b^2 = c^2
\frac{1}{2} + \frac{1}{3} = \frac{5}{6}
\frac{\frac{a}{b}}{\frac{c}{d}} = \frac{ad}{bc}
\tfrac{1}{2} m v^2
\sqrt{2} \approx 1.41421356
\sqrt[3]{27} = 3
\sqrt{1 + \sqrt{1 + \sqrt{1 + x}}}
\sum_{n=1}^{\infty} \frac{1}{n^2} = \frac{\pi^2}{6}
\sum_{i=1}^{n} i = \frac{n(n+1)}{2}
\sum_{k=0}^{n} \binom{n}{k} x^k y^{n-k} = (x+y)^n
\prod_{p \text{ prime}} \frac{1}{1 - p^{-s}} = \zeta(s)
\prod_{i=1}^{n} a_i
\int_{-\infty}^{\infty} e^{-x^2} \, dx = \sqrt{\pi}
\int_0^1 x^2 \, dx = \left[ \frac{x^3}{3} \right]_0^1 = \frac{1}{3}
\iint_D f(x,y) \, dA
\iiint_V \rho \, dV
\oint_C \mathbf{F} \cdot d\mathbf{r} = \iint_S (\nabla \times \mathbf{F}) \cdot d\mathbf{S}
\lim_{x \to 0} \frac{\sin x}{x} = 1
\lim_{n \to \infty} \left(1 + \frac{1}{n}\right)^n = e
\lim_{h \to 0} \frac{f(x+h) - f(x)}{h} = f'(x)
\frac{d}{dx} \left( x^n \right) = n x^{n-1}
\frac{\partial f}{\partial x} = 2xy
\frac{\partial^2 u}{\partial t^2} = c^2 \nabla^2 u
f''(x) + 4f(x) = 0
y' + p(x)y = q(x)
\frac{dy}{dx} = \frac{dy}{du} \cdot \frac{du}{dx}
\nabla \cdot \mathbf{E} = \frac{\rho}{\varepsilon_0}
\begin{pmatrix} a & b \\ c & d \end{pmatrix}
\begin{bmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \\ 7 & 8 & 9 \end{bmatrix}
\begin{vmatrix} a & b \\ c & d \end{vmatrix} = ad - bc
\begin{pmatrix} 1 & 1 \\ 1 & 0 \end{pmatrix}^n = \begin{pmatrix} F_{n+1} & F_n \\ F_n & F_{n-1} \end{pmatrix}
\begin{Bmatrix} 1 & 0 \\ 0 & 1 \end{Bmatrix}
\begin{Vmatrix} x \\ y \end{Vmatrix}
\begin{matrix} 1 & 2 \\ 3 & 4 \end{matrix}
\left[\begin{array}{ccc|c} 1 & 2 & 3 & 4 \\ 0 & 1 & 5 & 6 \\ 0 & 0 & 1 & 7 \end{array}\right]
\begin{array}{c|cc} x & 0 & 1 \\ \hline f(x) & 3 & 5 \end{array}
\begin{array}{r} 123 \\ + 456 \\ \hline 579 \end{array}
\begin{bmatrix} a_{11} & \cdots & a_{1n} \\ \vdots & \ddots & \vdots \\ a_{m1} & \cdots & a_{mn} \end{bmatrix}
A = \begin{bmatrix} 2 & -1 \\ -1 & 2 \end{bmatrix}, \quad \det(A) = 3
\det(A - \lambda I) = 0
A^{-1} = \frac{1}{\det A} \operatorname{adj}(A)
A^T A \hat{x} = A^T b
\mathbf{v} = \begin{pmatrix} v_1 \\ v_2 \\ v_3 \end{pmatrix}
f(x) = \begin{cases} x^2 & \text{if } x \ge 0 \\ -x & \text{if } x < 0 \end{cases}
|x| = \begin{cases} x, & x \geq 0 \\ -x, & x < 0 \end{cases}
\begin{cases} x + y = 10 \\ x - y = 2 \end{cases}
\begin{cases} 2x + 3y = 7 \\ 4x - y = 1 \end{cases} \implies x = \frac{5}{7}, \; y = \frac{13}{7}
D = b^2 - 4ac \begin{cases} > 0 & \text{Two distinct real roots} \\ = 0 & \text{One real root} \\ < 0 & \text{No real roots} \end{cases}
\begin{aligned} 2x + 3 &= 11 \\ 2x &= 8 \\ x &= 4 \end{aligned}
\begin{aligned} (a+b)^2 &= (a+b)(a+b) \\ &= a^2 + 2ab + b^2 \end{aligned}
\begin{align} y &= mx + b \\ m &= \frac{y_2 - y_1}{x_2 - x_1} \end{align}
\begin{align*} E &= mc^2 \\ p &= \frac{h}{\lambda} \end{align*}
\begin{gather} a + b = c \\ d = e + f \end{gather}
\begin{gathered} x = 1 \\ y = 2 \end{gathered}
\begin{equation} e^{i\pi} + 1 = 0 \end{equation}
\begin{split} a &= b + c \\ &= d \end{split}
\begin{aligned} \text{Total} &= 3 \times \$4.50 \\ &= \$13.50 \end{aligned}
\text{Area} = \pi r^2
\text{Speed} = \frac{\text{Distance}}{\text{Time}}
60 \text{ km/h} \times 2.5 \text{ h} = 150 \text{ km}
\text{面积} = \pi r^2
\text{当 } x > 0 \text{ 时，} f(x) \text{ 单调递增}
f(x) = \begin{cases} 0 & \text{如果 } x < 0 \\ 1 & \text{否则} \end{cases}
\frac{\text{路程}}{\text{时间}} = \text{速度}
\boxed{\text{答案：} 42}
x^{\text{上}}_{\text{下}}
\text{设}\ a_n = 2n + 1\text{，则}\ S_n = n^2 + 2n
\hat{x} + \bar{y} + \vec{v} + \tilde{n} + \dot{q} + \ddot{q}
\overline{AB} \parallel \overline{CD}
\overrightarrow{AB} + \overrightarrow{BC} = \overrightarrow{AC}
\widehat{ABC} = \widetilde{xyz}
\underline{x} + \underbrace{a + b + \cdots + z}_{26 \text{ letters}}
\overbrace{1 + 2 + \cdots + n}^{n \text{ terms}}
\bar{z} = a - bi
\vec{a} \cdot \vec{b} = |\vec{a}||\vec{b}| \cos\theta
\mathbb{R}, \mathbb{N}, \mathbb{Z}, \mathbb{Q}, \mathbb{C}
\mathcal{L}\{f(t)\} = \int_0^\infty e^{-st} f(t) \, dt
\mathfrak{g} = \mathfrak{su}(2)
\mathrm{d}x, \mathsf{T}, \mathtt{code}, \mathit{ab}
\boldsymbol{\beta} = (X^\top X)^{-1} X^\top \mathbf{y}
\alpha, \beta, \gamma, \delta, \epsilon, \zeta, \eta, \theta
\Gamma, \Delta, \Theta, \Lambda, \Xi, \Pi, \Sigma, \Phi, \Psi, \Omega
\varepsilon, \vartheta, \varphi, \varrho, \varsigma
\sin^2\theta + \cos^2\theta = 1
\tan\theta = \frac{\sin\theta}{\cos\theta}
e^{i\theta} = \cos\theta + i\sin\theta
\log_2 8 = 3, \quad \ln e = 1
\log_b(xy) = \log_b x + \log_b y
\gcd(48, 18) = 6
\max_{x \in [0,1]} f(x) \ge \min_{x} g(x)
\arg\max_\theta \mathcal{L}(\theta)
\operatorname{Var}(X) = \mathbb{E}[X^2] - (\mathbb{E}[X])^2
P(A \mid B) = \frac{P(B \mid A)\,P(A)}{P(B)}
P(A \cap B) = P(A) \, P(B)
P(X = k) = \binom{n}{k} p^k (1-p)^{n-k}
f(x) = \frac{1}{\sigma\sqrt{2\pi}} \exp\left( -\frac{(x-\mu)^2}{2\sigma^2} \right)
X \sim \mathcal{N}(\mu, \sigma^2)
\binom{52}{5} = \frac{52!}{5!\,47!} = 2{,}598{,}960
n! = n \times (n-1) \times \cdots \times 2 \times 1
\frac{n!}{k!(n-k)!}
17 \equiv 2 \pmod{5}
a \equiv b \mod m
a \mid b \quad a \nmid c
x \in A \cup B \setminus C
A \subseteq B \iff \forall x\,(x \in A \implies x \in B)
\exists\, n \in \mathbb{N} : n > 0
\{ x \in \mathbb{R} \mid x^2 < 2 \}
\emptyset \subset \varnothing \subsetneq A
\neg(p \land q) \equiv \neg p \lor \neg q
p \rightarrow q \Leftrightarrow \neg q \to \neg p
\therefore x = 3 \because y = 2
\lfloor x \rfloor + \lceil x \rceil
\left\lfloor \frac{n}{2} \right\rfloor
\left| \frac{a}{b} \right| \le 1
\| \mathbf{v} \| = \sqrt{v_1^2 + v_2^2}
\langle \psi | \phi \rangle
\left( \sum_{i=1}^n a_i b_i \right)^2 \le \left( \sum a_i^2 \right) \left( \sum b_i^2 \right)
\left\{ \begin{array}{l} x + y = 1 \\ x - y = 3 \end{array} \right.
\left. \frac{df}{dx} \right|_{x=0}
\bigl( (a+b) \cdot c \bigr) + \Big[ \frac{1}{2} \Big]
\biggl\{ \frac{x}{y} \biggr\}
a_1, a_2, \ldots, a_n
1, 2, \dots, n
x_{i,j}^{(k+1)}
a_{n+1} = a_n + d
S_n = \frac{n}{2}(a_1 + a_n)
S_\infty = \frac{a}{1 - r}, \quad |r| < 1
{}^{14}_{6}\mathrm{C}
{n \choose k}
\frac{a}{b} \div \frac{c}{d} = \frac{a}{b} \cdot \frac{d}{c}
3 \times 4 \div 2 \pm 1 \mp 5
25\% \text{ of } 80 = 20
\$5.00 + \$2.50 = \$7.50
90^\circ = \frac{\pi}{2} \text{ rad}
\angle ABC = 60^{\circ}
\triangle ABC \sim \triangle DEF
\triangle ABC \cong \triangle A'B'C'
AB \perp CD
3x \cancel{+ 2} = 11 \cancel{- 2}
\frac{\cancel{x}(x+1)}{\cancel{x}} = x + 1
\xrightarrow{\text{divide by } 2}
A \xleftarrow{f} B \xrightarrow[k]{g} C
A \overset{f}{\to} B
x \stackrel{?}{=} y
\underset{x \to 0}{\lim} f(x)
\sum_{\substack{0 < i < n \\ i \text{ odd}}} i
\sum\limits_{i=1}^{n} x_i
\int\limits_a^b f(x)\,dx
\displaystyle \frac{1}{1 + \frac{1}{1 + \frac{1}{x}}}
\cfrac{1}{1 + \cfrac{1}{2 + \cfrac{1}{3}}}
\color{red}{x} + \textcolor{blue}{y}
\mathbf{x} \in \mathbb{R}^{n \times m}
\text{softmax}(z_i) = \frac{e^{z_i}}{\sum_{j} e^{z_j}}
\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}}\right)V
J(\theta) = -\frac{1}{m} \sum_{i=1}^{m} \left[ y^{(i)} \log h_\theta(x^{(i)}) + (1 - y^{(i)}) \log(1 - h_\theta(x^{(i)})) \right]
\theta \leftarrow \theta - \eta \nabla_\theta J(\theta)
O(n \log n) \subset O(n^2)
T(n) = 2T\left(\frac{n}{2}\right) + \Theta(n)
H(X) = -\sum_{x} p(x) \log_2 p(x)
D_{\mathrm{KL}}(P \parallel Q) = \sum_x P(x) \ln \frac{P(x)}{Q(x)}
i\hbar \frac{\partial}{\partial t} \Psi = \hat{H} \Psi
\Delta x \, \Delta p \ge \frac{\hbar}{2}
F = G \frac{m_1 m_2}{r^2}
E = mc^2
PV = nRT
v = v_0 + at, \quad s = v_0 t + \tfrac{1}{2} a t^2
\vec{F} = m\vec{a} = m \frac{d^2 \vec{r}}{dt^2}
R_{\mu\nu} - \tfrac{1}{2} R g_{\mu\nu} + \Lambda g_{\mu\nu} = \frac{8\pi G}{c^4} T_{\mu\nu}
\ce{2H2 + O2 -> 2H2O}
\mathrm{CH_4 + 2O_2 \rightarrow CO_2 + 2H_2O}
\Rightarrow \quad x = \pm 2
x \neq y \leq z \geq w \ll v \gg u
a \propto b \quad c \approx d \quad e \simeq f \quad g \cong h
\infty \pm \aleph_0
f \colon A \to B, \quad f \circ g
x \mapsto x^2
\sqrt{\frac{a}{b}} = \frac{\sqrt{a}}{\sqrt{b}}
\left(\frac{1}{2}\right)^{-3} = 8
0.\overline{3} = \frac{1}{3}
10^{-6}\ \mathrm{m} = 1\ \mu\mathrm{m}
\not= \quad \notin \quad \ni
x = \frac{1}{2} \tag{1}
\mathop{\mathrm{argmin}}_{w} \|Xw - y\|_2^2
\dfrac{\mathrm{d}y}{\mathrm{d}x} = \dfrac{2x}{3y^2}
\sideset{}{'}\sum_{n} a_n
\begin{vmatrix} \mathbf{i} & \mathbf{j} & \mathbf{k} \\ a_1 & a_2 & a_3 \\ b_1 & b_2 & b_3 \end{vmatrix}
\begin{smallmatrix} a & b \\ c & d \end{smallmatrix}
\hspace{1em} a \qquad b \! c
\mathbb{1}_{\{x > 0\}} = \lim\limits_{k \to \infty} \frac{1}{1 + e^{-2kx}}
u_{tt} - c^2 u_{xx} = 0, \qquad u(0,t) = u(L,t) = 0
\text{If } x = 5, \text{ then } 2x + 1 = \mathbf{11}.
""".strip().splitlines()

HOSTILE = [
    "{" * 2_000,
    "}" * 2_000,
    r"\frac{" * 500,
    "x^{" * 900 + "}" * 900,
    r"\sqrt{" * 450,
    r"\left(" * 450,
    r"\begin{matrix}" * 200,
    r"\begin{matrix}" + "&" * 2_900 + r"\end{matrix}",
    r"\begin{matrix}" + r"\\" * 1_400 + r"\end{matrix}",
    r"\def\x{\x\x}\x",
    r"\newcommand{\a}{aaaaaaaaaa}"
    + "".join(rf"\newcommand{{\{chr(98 + i)}}}{{{(chr(92) + chr(97 + i)) * 10}}}" for i in range(9))
    + r"\j",
    r"\hspace{1000000000em}x",
    r"\rule{99999999em}{9999999em}",
    r"\kern-99999em x",
    r"\hskip 1e308em x",
    "_" * 3_000,
    "^" * 3_000,
    "x" * 3_000,
    "a_" * 1_500,
    r"\overline{" * 280,
    r"\begin{array}{" + "c|" * 1_400 + r"}\end{array}",
    r"\begin{array}{*{999999999}{c}}1\end{array}",
    r"\ce{" * 500,
    r"\chemfig{" + "-A" * 1_400 + "}",
    r"\\[" + "9" * 2_900 + "em]x",
    r"\binom{" * 400,
    r"\substack{" * 290,
    r"\text{$" * 400,
    r"\color{red" * 290,
    r"\SI{" + "9" * 2_900 + "}{m}",
    r"\begin{tikzcd}" + r"A\arrow[r]&" * 250 + r"\end{tikzcd}",
    r"\mathbb{" * 370,
    "\x00\x01\x02",
    "\ud800",
    "\u202e" * 500,
    r"\text{" + "\u6c49" * 2_900 + "}",
    "\u6c49" * 3_000,
    r"\input{/etc/passwd}",
    r"\include{secrets}\write18{rm -rf /}",
    r"\href{javascript:alert(1)}{x}",
    r"\includegraphics{http://example.com/a.png}",
    r"\htmlData{a=b}{x}",
    r"<svg onload=alert(1)>",
    r"&#x41;&lt;script&gt;",
    r"\unicode{x1F600}" * 180,
    "\u0301" * 2_000,
    r"\sum" * 700,
    r"\int_{\int_{" * 250,
    r"\frac12" * 420,
    r"\underbrace{\overbrace{" * 130,
]
