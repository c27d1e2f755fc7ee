"""`lossbench export`: a trained run as files that are served without lossbench."""

from __future__ import annotations

from lossbench import console, export
from lossbench.cli.opening import open_run

DESCRIPTION = """\
Write a trained run as a network to serve: ONNX, or MXNet's own symbol.

The file takes images of any batch size, normalizes them itself and holds what else serving needs to know: class names,
size and form of the images. It is held against the run at once, on images of the run's data or on those named: above a
difference of {tolerance:g} of the largest value nothing is written. docs/deploy.md shows how to serve it.
"""
EPILOG = """\
formats:
{formats}

outputs:
{outputs}

inputs:
{inputs}

Without --out the files are RUN/export/OUTPUT.onnx, or RUN/export/OUTPUT-symbol.json and so on."""


@console.guarded
def main(arguments, prog):
    tables = {name: console.explained(getattr(export, name.upper())) for name in ("formats", "outputs", "inputs")}
    parser = console.parser(prog, DESCRIPTION.format(tolerance=export.TOLERANCE), EPILOG.format(**tables))
    console.add_run(parser)
    parser.add_argument("--format", choices=export.FORMATS, default="onnx", help="default: onnx")
    parser.add_argument("--output", choices=export.OUTPUTS, default="logits", help="default: logits")
    parser.add_argument("--input", choices=export.INPUTS, default="uint8", help="default: uint8")
    parser.add_argument(
        "--out",
        type=console.output_file,
        metavar="FILE",
        help="file to write, or how the names of a symbol's files begin",
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="image files or folders of them to compare on; - for names on the standard input",
    )
    options = parser.parse_intermixed_args(arguments)

    from lossbench import experiment

    paths = experiment.image_files(options.images) if options.images else []
    opened = open_run(options)
    exported = experiment.export(
        opened,
        options.out,
        form=options.format,
        output=options.output,
        input=options.input,
        paths=paths,
    )
    for file in exported.files:
        print(file)
    about, difference = exported.metadata, exported.difference
    opset = f", opset {about['opset']}" if "opset" in about else ""
    print(f"{options.format}{opset}: {_form(about['input'])} -> {_form(about['output'])}")
    print(
        f"Worst difference from the run: {difference.largest:.1e}, where the largest value is {difference.scale:.3g} "
        f"({difference.share:.1e} of it), on {exported.images}."
    )


def _form(end):
    return f"{end['name']} ({', '.join(map(str, end['shape']))}) {end['type']}"
