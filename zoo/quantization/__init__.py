"""How a checkpoint becomes int8: recipes, layers that stay in fp32, and what was found of each.

    zoo quantize runs/bert_cls --max_drop 0.005 --min_speedup 1.2

`quantize` is a contract: the fastest int8 program that loses at most `--max_drop` of the main
metric on the validation split, and that surely (the whole interval) is `--min_speedup` times as
fast as eager fp32, each timed in a process of its own. The choice is confirmed once on the test
split. Where no program keeps to it there is the table, and exit code 1.

A model that goes on with texts is timed by the tokens that it writes, and its metric, bits per
byte, may rise by a share: `--max_drop 0.01` is 1%. Weights alone in 8 or 4 bits are tried on it as
well (`--method weight-only`), since a token takes little arithmetic and all of the weights.

    zoo finetune cnn_cls --qat runs/cnn_cls && zoo quantize runs/cnn_cls-qat --method static

Quantization-aware training goes on as the checkpoint was trained, for one epoch at a tenth of its
learning rate, while linear and convolutional layers compute with int8 weights and inputs. It leaves
a plain fp32 checkpoint, which `quantize --method static` calibrates anew. With `torchao` installed
`quantize` also tries PT2E (`aoti+int8-static`, on x86), and with `--device cuda` torchao's int8,
fp8 and int4 weights where the GPU has the arithmetic, without an ONNX program; those have not run
on a GPU.

Measured on two cores of an AMD EPYC with AVX512-VNNI and bf16, with `--all`: MiniLM on the movie
reviews at 26 tokens, a small ResNet-18 on Fashion-MNIST. Speed is that over eager fp32, in brackets
its 99% interval over five processes; what is lost of accuracy is that on validation, and for the
chosen program on test (bert_cls: -0.0025 to +0.0105, n = 1,500; resnet_cls: -0.0042 to +0.0032,
n = 2,000).

    checkpoint, batch  deployment                     lost              times as fast
    bert_cls, 1        onnx+int8-dynamic (chosen)     -0.0080, +0.0040  4.41 [3.41, 5.86]
                       onnx+int8-static               -0.0020           4.17 [3.18, 6.01]
                       openvino+int8-static           -0.0020           3.40 [3.01, 4.78]
    bert_cls, 16       onnx+int8-dynamic (chosen)     -0.0080, +0.0040  2.82 [2.17, 3.68]
                       openvino+int8-static           -0.0020           2.74 [2.47, 3.07]
                       onnx+int8-static               -0.0020           2.22 [1.59, 3.09]
    resnet_cls, 1      openvino+int8-static (chosen)  +0.0040, -0.0005  14.8 [9.7, 22.7]
                       onnx+int8-static               +0.0020           10.9 [9.4, 12.8]
"""
