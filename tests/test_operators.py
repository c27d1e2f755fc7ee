"""MXNet's operators, compiled when they are first called: the same functions as MXNet's own, only later."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOLD = """
import inspect, json, sys, types
import lossbench
from lossbench import _operators
if EAGER:
    _operators.WRITERS = ()
from lossbench._mxnet import mx

def told(function):
    name, doc, module = function.__name__, function.__doc__, function.__module__
    signature = str(inspect.signature(function))
    if hasattr(function, "__wrapped__"):  # MXNet says the signature itself
        function.__wrapped__.compiled()
    code = function.__code__
    constants = [repr(c) for c in code.co_consts if not isinstance(c, int) or c < 2**16]  # without addresses
    return [name, function.__qualname__, doc, module, signature, code.co_name, code.co_code.hex(), constants,
            code.co_names, code.co_varnames, repr(function.__defaults__), repr(function.__kwdefaults__),
            [*vars(function)]]

writers = ("mxnet.ndarray.register", "mxnet.symbol.register")
functions = {}
for place, module in sorted(sys.modules.items()):
    if place.startswith("mxnet"):
        for name, function in sorted(vars(module).items()):
            if not isinstance(function, types.FunctionType) or function.__module__ in writers:
                continue
            if function.__globals__["__name__"] in writers:
                functions[f"{place}.{name}"] = told(function)
json.dump(functions, sys.stdout)
"""


def python(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_operator_is_the_function_that_mxnet_writes():
    eager, lazy = (json.loads(python(f"EAGER = {eager}" + TOLD)) for eager in (True, False))
    assert len(eager) > 2500
    assert lazy.keys() == eager.keys()
    different = [name for name in eager if lazy[name] != eager[name]]
    assert different == []
    assert lazy["mxnet.ndarray.op.dot"][4].startswith("(lhs=None, rhs=None, transpose_a=_Null")


def test_an_import_and_a_call_compile_what_is_called_alone():
    code = """
import lossbench
from lossbench._mxnet import mx
from lossbench import _operators
operators = [f for module in (mx.nd.op, mx.sym.op) for f in vars(module).values() if hasattr(f, "__wrapped__")]
print(len(operators))
a = mx.nd.ones((2, 3))
print(mx.nd.dot(a, a, transpose_b=True).asnumpy().tolist(), mx.nd.dot.__code__.co_varnames[:2], vars(mx.nd.dot))
print(sum(hasattr(f, "__wrapped__") for f in operators) - len(operators))
"""
    count, *dot, compiled = python(code).splitlines()
    assert int(count) > 500
    assert dot == ["[[3.0, 3.0], [3.0, 3.0]] ('lhs', 'rhs') {}"]
    assert -10 < int(compiled) < 0


def test_threads_may_call_an_operator_for_the_first_time_together():
    code = """
import sys, threading
import lossbench
from lossbench._mxnet import mx
sys.setswitchinterval(1e-6)
names = ["sin", "cos", "exp", "tanh", "sigmoid", "relu", "abs", "square", "sqrt", "ceil", "floor", "sign"]
x, wrong = mx.nd.ones((2, 2)), []
def call(name, barrier):
    barrier.wait()
    try:
        getattr(mx.nd, name)(data=x).wait_to_read()
        getattr(mx.sym, name)(mx.sym.var("x"))
    except Exception as error:
        wrong.append((name, error))
for name in names:
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=call, args=(name, barrier)) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(wrong)
"""
    assert python(code) == "[]\n"


def test_a_wrong_first_call_says_what_it_always_said():
    code = """
import lossbench
from lossbench._mxnet import mx
for call in range(2):
    try:
        mx.nd.relu(1, 2, 3, 4)
    except TypeError as error:
        print(error)
"""
    first, second = python(code).splitlines()
    assert first == second
    assert first.startswith("relu() takes from 0 to 3 positional arguments but 4 were given")
