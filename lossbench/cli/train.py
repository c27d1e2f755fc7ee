"""`train.py`: from a config to a finished run."""

from __future__ import annotations

import json
import pathlib
import sys

from lossbench import console

DESCRIPTION = """\
Train a backbone with a loss head as a config file describes, then evaluate it on the test set.

Everything is written to a run folder: the resolved config, one history row an epoch, checkpoints, metrics and plots.
Ctrl-C finishes the step and saves; --resume goes on from there as if nothing had happened, also with what the last
evaluation lacks.
"""
EXAMPLES = """\
examples:
  train.py lgm_digits                                        (a config that comes with lossbench, by name)
  train.py --config configs/lgm_cifar10_short.yaml data.root=/data/cifar10 --seed 1
  train.py --config configs/lgm_mnist.yaml anneal.head.margin.end=0.5 --run-dir runs/margin-0.5
  train.py --config configs/lgm_cifar10.yaml --show          (the resolved config and the parameter groups)
  train.py --config configs/lgm_cifar10.yaml --resume        (go on after an interruption)
  mpiexec -n 2 python -m mpi4py scripts/train.py --config configs/lgm_cifar10.yaml --distributed
"""
QUICK = ("data.limit=1000", "trainer.max_steps=50")
QUICK_CLIP = "optimizer.clip_global_norm=5"  # of so few steps a warm-up has two or three, and L-GM ended in NaN


def main(arguments=None, prog=None) -> int:
    if "--distributed" in (sys.argv[1:] if arguments is None else arguments):
        from lossbench.training import communication

        communication.join()  # before anything can fail: the other ranks would wait for this one
    return _main(arguments, prog)


@console.guarded
def _main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--config", action=console.Once, metavar="FILE", help="experiment: a file, or a name of `lossbench configs`"
    )
    parser.add_argument(
        "--run-dir",
        type=console.output_folder,
        metavar="DIR",
        help="where to write (default: runs/<config name>/seed-<seed>)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the unfinished run in the run folder")
    parser.add_argument("--seed", type=int, metavar="N", help="the same as seed=N")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a first try: {' '.join(QUICK)}, and {QUICK_CLIP} if the config does not clip; "
        "in runs/<config name>/quick-<seed>",
    )
    parser.add_argument(
        "--show", action="store_true", help="print the resolved config and parameter groups; do not train"
    )
    parser.add_argument(
        "--distributed", action="store_true", help="this is one of several processes that mpiexec started; needs mpi4py"
    )
    parser.add_argument(
        "--exchange-timeout",
        type=float,
        default=300,
        metavar="S",
        help="seconds after which an exchange between processes that does not return ends them all (default: 300)",
    )
    console.add_data(parser, "--resume")
    console.add_device(parser)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="values in place of the config's; without --config, it comes first",
    )
    options = parser.parse_intermixed_args(arguments)
    if options.config is None:
        if not options.overrides or "=" in options.overrides[0]:
            parser.error("a config must be named: lossbench train lgm_digits, or --config FILE")
        options.config = options.overrides.pop(0)

    if not options.distributed:
        return _train(options)

    from lossbench import _mxnet
    from lossbench.training import communication

    with communication.MPI(options.exchange_timeout) as communicator:
        if options.threads is None:
            _mxnet.share_threads(communicator.threads)
        return _train(options, communicator)


def _train(options, communicator=None):
    is_first = communicator is None or communicator.rank == 0

    from lossbench import config

    overrides = [*(QUICK if options.quick else ()), *options.overrides]
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")
    if options.data_root is not None:
        overrides.append(f"data.root={json.dumps(options.data_root)}")
    settings = config.load(options.config, overrides)
    if options.quick and settings.optimizer.clip_global_norm is None and settings.head.parallel is None:
        settings = config.load(options.config, [QUICK_CLIP, *overrides])
    if options.show:
        return _show(settings, options.device) if is_first else console.DONE
    run_dir = options.run_dir or f"runs/{settings.name}/{'quick' if options.quick else 'seed'}-{settings.seed}"

    from lossbench import experiment

    result = experiment.run(
        settings,
        run_dir,
        resume=options.resume,
        accept_changed_data=options.accept_changed_data,
        device=options.device,
        **({} if communicator is None else {"communicator": communicator}),
        hint=_shorter_config(config.shipped.find(options.config)),
    )
    if not is_first:
        return 128 + result.signal if result.signal else console.DONE
    if result.finished_before:
        for sentence in result.run.read_all().problems:
            console.note(f"{run_dir}: {sentence}")
        print(
            f"{run_dir} holds this run, finished; nothing to do. Another seed: --seed N; another folder: --run-dir DIR."
        )
    elif result.signal:
        print(
            f"Interrupted; everything is saved in {run_dir}. Go on with the same command and --resume.", file=sys.stderr
        )
        return 128 + result.signal
    console.print_metrics(result.run.metrics)
    return console.DONE


def _shorter_config(path) -> str:
    path = pathlib.Path(path)
    shorter = path.with_name(f"{path.stem}_short{path.suffix}")
    return f"{shorter} is a shorter recipe." if shorter.exists() else ""


def _show(settings, device):
    from lossbench import config, experiment

    print(config.dump(settings), end="")
    print("# parameter groups")
    for line in experiment.describe_groups(settings, device):
        print(f"# {line}")
