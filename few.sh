/tmp/quiet .venv/bin/python tests/benchmarks/bench_kernels.py $1 --few-rows --rows ${2:-1,2,4,8,16} --repetitions ${3:-5}
